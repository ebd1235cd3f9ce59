"""`plot`: draw the figures of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import directory_option, force_option
from ..errors import UsageError
from ..options import (
    COUNT,
    PATH,
    POSITIVE,
    SWITCH,
    Options,
    argument,
    choice_of,
    list_of,
    option,
)
from ..report.figure_defaults import DPI, FORMATS, WIDTH
from . import Command

_EXAMPLES = """
Figures are drawn from the metrics in the dataset; docs/figures.md says what each figure shows.

examples:
  hpc-remetrics plot hub.h5 -o figures
  hpc-remetrics plot hub.h5 --figure 14 --figure 15 --format pdf -o paper
  hpc-remetrics plot hub.h5 --width 3.4 --no-title --letters --format pdf -o column
"""


@dataclass(frozen=True, kw_only=True)
class PlotOptions(Options):
    """The options of `plot`."""

    dataset: Path = argument("DATASET.h5", value=PATH, help="the dataset")
    output: Path | None = directory_option("the dataset's name with -figures")
    figures: tuple[int, ...] = option(
        "--figure",
        value=list_of(COUNT),
        default=(),
        key=False,
        metavar="N",
        help="draw only this figure",
        default_text="all",
    )
    formats: tuple[str, ...] = option(
        "--format",
        value=list_of(choice_of(*FORMATS)),
        default=FORMATS,
        key=False,
        help="format to write",
        default_text="all of them",
    )
    width: float = option(
        "--width",
        value=POSITIVE,
        default=WIDTH,
        key=False,
        metavar="INCHES",
        help="width of a figure; below 5, for a column of a journal, panels are stacked",
    )
    dpi: float = option(
        "--dpi",
        value=POSITIVE,
        default=DPI,
        key=False,
        metavar="N",
        help="dots per inch of PNG files",
    )
    style: Path | None = option(
        "--style",
        value=PATH,
        key=False,
        metavar="FILE",
        help="matplotlib style file, such as one of a journal",
        default_text="the program's style",
    )
    no_title: bool = option(
        "--no-title",
        value=SWITCH,
        default=False,
        key=False,
        help="leave the titles of figures to the captions of a paper",
    )
    no_references: bool = option(
        "--no-references",
        value=SWITCH,
        default=False,
        key=False,
        help="leave out the published values of 2017",
    )
    letters: bool = option(
        "--letters",
        value=SWITCH,
        default=False,
        key=False,
        help="call the panels of a figure (a), (b), …",
    )
    data: bool = option(
        "--data",
        value=SWITCH,
        default=False,
        key=False,
        help="write the numbers of each figure as CSV, too",
    )
    force: bool = force_option("files that are no figures of this program")


def _run(options: PlotOptions) -> int:
    from ..report.figures import FIGURES
    from ..report.figures.style import Look
    from ..report.plot import plot_command

    if unknown := [number for number in options.figures if number not in FIGURES]:
        hint = f"there are {min(FIGURES)} to {max(FIGURES)}"
        raise UsageError(f"there is no figure {unknown[0]}", hint)

    # Draw them.
    directory = options.output or Path(f"{options.dataset.stem}-figures")
    look = Look(
        width=options.width,
        dpi=options.dpi,
        has_title=not options.no_title,
        has_references=not options.no_references,
        has_letters=options.letters,
        style=options.style,
    )
    return plot_command(
        options.dataset,
        directory,
        options.figures,
        options.formats,
        look=look,
        has_data=options.data,
        force=options.force,
    )


COMMAND = Command("draw the figures of a dataset", PlotOptions, _run, _EXAMPLES)
