"""`plot`: draw the figures of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import directory_option, force_option
from ..errors import UsageError
from ..options import COUNT, PATH, Options, argument, choice_of, list_of, option
from . import Command

_FORMATS = ("png", "svg", "pdf")

_EXAMPLES = """
Figures are drawn from the metrics in the dataset; docs/figures.md says what each figure shows.

examples:
  hpc-remetrics plot hub.h5 -o figures
  hpc-remetrics plot hub.h5 --figure 14 --figure 15 --format pdf -o paper
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
        value=list_of(choice_of(*_FORMATS)),
        default=_FORMATS,
        key=False,
        help="format to write",
        default_text="all of them",
    )
    force: bool = force_option("files that are no figures of this program")


def _run(options: PlotOptions) -> int:
    from ..report.figures import FIGURES
    from ..report.plot import plot_command

    if unknown := [number for number in options.figures if number not in FIGURES]:
        hint = f"there are {min(FIGURES)} to {max(FIGURES)}"
        raise UsageError(f"there is no figure {unknown[0]}", hint)
    directory = options.output or Path(f"{options.dataset.stem}-figures")
    return plot_command(options.dataset, directory, options.figures, options.formats, options.force)


COMMAND = Command("draw the figures of a dataset", PlotOptions, _run, _EXAMPLES)
