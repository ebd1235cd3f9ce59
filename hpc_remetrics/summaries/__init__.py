"""Read-only questions to a dataset: totals, ranks, comparison, status, forecast."""
