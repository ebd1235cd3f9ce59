"""`report`: the totals of a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_verb

_EXAMPLES = """
examples:
  hpc-remetrics report hub.h5
  hpc-remetrics report hub.h5 --json | jq .layers
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    parser = add_verb(verbs, "report", "show the totals of a dataset", _EXAMPLES, _run)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> int:
    from ..report import report_command

    return report_command(arguments.dataset, arguments.json)
