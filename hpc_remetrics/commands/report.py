"""`report`: the numbers of a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_force_option, add_verb

_EXAMPLES = """
examples:
  hpc-remetrics report hub.h5
  hpc-remetrics report hub.h5 --html hub.html               one page with all figures, to hand on
  hpc-remetrics report hub.h5 --json | jq .metrics.growth_summary
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    parser = add_verb(verbs, "report", "show the numbers of a dataset", _EXAMPLES, _run)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print every number as JSON")
    form.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page with figures, tables, definitions (default: print text)",
    )
    add_force_option(parser, "a file that is no page of this program")


def _run(arguments: argparse.Namespace) -> int:
    from ..report import report_command

    return report_command(arguments.dataset, arguments.json, arguments.html, arguments.force)
