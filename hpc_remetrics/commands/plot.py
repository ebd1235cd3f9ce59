"""`plot`: the figures of a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from . import Verbs, add_force_option, add_verb

_FORMATS = ("png", "svg", "pdf")

_EXAMPLES = """
Figures are drawn from the metrics that `analyze` leaves in the dataset; docs/figures.md says what each shows.

examples:
  hpc-remetrics plot hub.h5 -o figures
  hpc-remetrics plot hub.h5 --figure 14 --figure 15 --format pdf -o paper
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    parser = add_verb(verbs, "plot", "draw the figures of a dataset", _EXAMPLES, _run)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="the folder (default: the dataset's name and `figures`)",
    )
    parser.add_argument(
        "--figure",
        type=int,
        action="append",
        metavar="N",
        help="only this figure (repeat; default: all)",
    )
    parser.add_argument(
        "--format",
        action="append",
        choices=_FORMATS,
        help="what to write (repeat; default: png, svg and pdf)",
    )
    add_force_option(parser, "files that are no figures of this program")


def _run(arguments: argparse.Namespace) -> int:
    from ..report.figures import FIGURES
    from ..report.plot import plot_command

    chosen = arguments.figure or ()
    if unknown := [number for number in chosen if number not in FIGURES]:
        raise UsageError(
            f"there is no figure {unknown[0]}", f"there are {min(FIGURES)} to {max(FIGURES)}"
        )
    folder = arguments.output or Path(f"{arguments.dataset.stem}-figures")
    return plot_command(
        arguments.dataset, folder, chosen, arguments.format or _FORMATS, arguments.force
    )
