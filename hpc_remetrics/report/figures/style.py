"""One style for all figures: readable in black and white, with fonts that print."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTH = 7.5
"""Width in inches of the text of an A4 or letter page."""

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73")
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "////", "....", "xxxx")
MARKERS = ("D", "s", "^", "v", "o")
"""The colour-blind can tell the colours apart; line styles, hatches and markers say the same."""

GREY = "#767676"

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.3,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    # A path may hold a dollar sign, which is no formula.
    "text.parse_math": False,
    # TrueType outlines: printers and publishers refuse Type 3 fonts.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "hpc_remetrics",
}


def _matplotlib() -> Any:
    """Import matplotlib without a `matplotlibrc`: it would take one in the current directory."""
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    before, named = os.open(".", os.O_PATH | os.O_CLOEXEC), os.environ.get("MATPLOTLIBRC")
    try:
        os.chdir("/")
        os.environ["MATPLOTLIBRC"] = os.devnull
        return importlib.import_module("matplotlib")
    finally:
        os.fchdir(before)
        os.close(before)
        del os.environ["MATPLOTLIBRC"]
        if named is not None:
            os.environ["MATPLOTLIBRC"] = named


@contextmanager
def style() -> Iterator[None]:
    """Set the style, whatever the user's settings are, and restore matplotlib's state afterwards."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


MARK = "figure by hpc_remetrics"
"""Text in the metadata of a file by which this program knows its figures."""

_MOST_BYTES = 32 << 20


def new_figure(height: float, title: str) -> Any:
    """Return an empty figure of the page's width; pyplot does not know it."""
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, height))
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def is_figure(path: Path) -> bool:
    """Return whether this program made a file as a figure."""
    with open(path, "rb") as file:
        return MARK.encode() in file.read(_MOST_BYTES)


def save(figure: Any, file: Any, form: str) -> None:
    """Write a figure to a file object, without a date, so that equal figures are equal files."""
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": MARK},
        "svg": {"Date": None, "Creator": MARK},
        "pdf": {"CreationDate": None, "Creator": MARK},
    }
    figure.savefig(file, format=form, dpi=160, metadata=metadata[form])
