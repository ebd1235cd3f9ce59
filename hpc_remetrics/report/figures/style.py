"""The style of the figures: line styles and hatches beside colours, and fonts that a PDF embeds."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..figure_defaults import DPI, WIDTH
from .fonts import FAMILY, font_of, small_family

_NARROW = 5.0
"""Figures of fewer inches have their panels one below another, as in a column of a journal."""

_TITLE_CHARS = 60
"""Characters of the dataset's name that fit beside the title of a figure of the usual width."""

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73")
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "////", "....", "xxxx")
MARKERS = ("D", "s", "^", "v", "o")
"""The colour-blind can tell the colours apart; line styles, hatches and markers say the same."""

GREY = "#767676"

_RC: Any = {
    "font.family": FAMILY,
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    # Nothing stands between a panel and its title, so matplotlib need not look
    "axes.titley": 1.0,
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
    "savefig.facecolor": "white",
    # A path may hold a dollar sign, which is no formula.
    "text.parse_math": False,
    # The same widths in all formats
    "text.hinting": "no_hinting",
    # TrueType outlines: printers and publishers refuse Type 3 fonts.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "hpc_remetrics",
}


def _matplotlib() -> Any:
    """Import matplotlib without a `matplotlibrc`: it would take one in the current directory."""
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    before = _current_directory()
    named = os.environ.get("MATPLOTLIBRC")
    try:
        os.chdir("/")
        os.environ["MATPLOTLIBRC"] = os.devnull
        return importlib.import_module("matplotlib")
    finally:
        os.chdir(before)
        if isinstance(before, int):
            os.close(before)
        del os.environ["MATPLOTLIBRC"]
        if named is not None:
            os.environ["MATPLOTLIBRC"] = named


def _current_directory() -> int | str:
    """Return the current directory, where the system can by a descriptor, which needs no name."""
    return os.open(".", os.O_PATH | os.O_CLOEXEC) if hasattr(os, "O_PATH") else os.getcwd()


@dataclass(frozen=True)
class Look:
    """What users choose of the looks of figures.

    :ivar width: inches.
    :ivar dpi: dots per inch of PNG files.
    :ivar has_title: whether the number, title and dataset stand above each figure.
    :ivar has_references: whether published values of 2017 are drawn.
    :ivar has_letters: whether panels are called (a), (b), …
    :ivar style: matplotlib style file, which is read last.
    """

    width: float = WIDTH
    dpi: float = DPI
    has_title: bool = True
    has_references: bool = True
    has_letters: bool = False
    style: Path | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether panels stand one below another."""
        return self.width < _NARROW


_LOOK: ContextVar[Look] = ContextVar("look", default=Look())  # noqa: B039


def look() -> Look:
    """Return the look that :func:`style` has set."""
    return _LOOK.get()


@contextmanager
def style(formats: Sequence[str] = (), look: Look = Look()) -> Iterator[None]:
    """Set the style, whatever the user's settings are, and restore those afterwards.

    :param formats: what figures are drawn for.
    :raises UsageError: the style file of `look` can't be read.
    """
    matplotlib = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        if "pdf" in formats:
            matplotlib.rcParams["font.family"] = small_family()
        if look.style is not None:
            _read_style(look.style)
        token = _LOOK.set(look)
        try:
            yield
        finally:
            _LOOK.reset(token)


def _read_style(path: Path) -> None:
    """Read a style file; figures keep their own layout."""
    from matplotlib import rc_params_from_file, rcParams

    try:
        chosen = rc_params_from_file(path, fail_on_error=True, use_default_template=False)
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        hint = "see matplotlib's page on style sheets and rcParams"
        raise UsageError(f"--style: {path} can't be read: {error}", hint) from error
    rcParams.update(chosen)
    rcParams["figure.constrained_layout.use"] = False
    rcParams["figure.autolayout"] = False
    rcParams["savefig.bbox"] = None


MARK = "figure by hpc_remetrics"
"""Text in the metadata of a file by which this program knows its figures."""

_MAX_BYTES = 32 << 20
"""Bytes of a file that are searched for the mark."""

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": MARK},
    "svg": {"Date": None, "Creator": MARK},
    "pdf": {"CreationDate": None, "Creator": MARK},
}

_OPTIONS: dict[str, dict[str, Any]] = {"png": {"pil_kwargs": {"compress_level": 3}}}
"""Options of `savefig`: this level takes half of the time of the usual one, for 2 % more bytes."""


def new_figure(height: float, title: str, name: str) -> Any:
    """Return an empty figure with a title; pyplot does not know it.

    :param height: inches of a figure of the usual width; a narrow one is twice as high.
    :param name: of the dataset.
    """
    from matplotlib.figure import Figure

    from .panel_placement import PanelPlacement

    chosen = look()
    size = (chosen.width, 2 * height if chosen.is_narrow else height)
    figure = Figure(size, chosen.dpi, layout=PanelPlacement())
    if chosen.has_title:
        text = f"{title} · {name[: int(_TITLE_CHARS * chosen.width / WIDTH)]}"
        figure.suptitle(text, x=0.01, ha="left", **font_of([text]))
    return figure


def four_panels(row: Any) -> list[Any]:
    """Return four panels, two by two; in a narrow figure, one below the other."""
    rows, columns = (4, 1) if look().is_narrow else (2, 2)
    return list(row.subplots(rows, columns).flat)


def two_panels(row: Any) -> Any:
    """Return two panels beside each other; in a narrow figure, one below the other."""
    return row.subplots(2, 1) if look().is_narrow else row.subplots(1, 2)


def is_figure(path: Path) -> bool:
    """Return whether this program made a file as a figure."""
    with open(path, "rb") as file:
        return MARK.encode() in file.read(_MAX_BYTES)


def encode(figure: Any, formats: Sequence[str]) -> dict[str, bytes]:
    """Return a figure as files (format -> bytes), without a date: equal figures are equal files.

    The figure is laid out and drawn once, at its own resolution.
    """
    from .recording import recorded

    drawing = recorded(figure)
    found = {}
    for form in formats:
        file = io.BytesIO()
        options = _OPTIONS.get(form, {})
        drawing.savefig(file, format=form, dpi=figure.dpi, metadata=_METADATA[form], **options)
        found[form] = file.getvalue()
    return found
