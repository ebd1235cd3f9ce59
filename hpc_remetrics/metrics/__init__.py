"""The reduction of a dataset: exact metrics from its tables, by all ranks, in bounded memory."""
