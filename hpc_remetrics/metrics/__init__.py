"""Numbers out of a dataset: raw, exact, in bounded memory."""
