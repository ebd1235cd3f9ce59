"""Read-only questions about a dataset or a plan: totals, ranks, changes, status, forecast."""
