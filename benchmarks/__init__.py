"""Measurements of CPU time and memory, as ratios within one run on one machine; not tests."""
