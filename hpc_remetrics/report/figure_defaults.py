"""Default formats, width and resolution of figures, for commands that import no numpy."""

from __future__ import annotations

FORMATS = ("png", "svg", "pdf")

WIDTH = 7.5
"""Width in inches of the text of an A4 or letter page."""

DPI = 160
"""Dots per inch of a PNG file, and of the layout of all formats."""
