"""Measurements: ratios of CPU time and memory, taken in one run on one machine. Not tests, and not
installed."""
