"""`status`: how far the work on a dataset is."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_verb

_EXAMPLES = """
examples:
  hpc-remetrics status hub.h5
  watch -n 30 hpc-remetrics status /gpfs/project/hub.h5
  hpc-remetrics status hub.h5 --json | jq .ledger

It only reads (parts, the notes of jobs beside them, the lock), so it may be asked at any time, from any node.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "show how far a running or stopped job is: done, failed, left, rates"
    parser = add_verb(verbs, "status", text, _EXAMPLES, _run)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> int:
    from ..report.status_page import status_command

    return status_command(arguments.dataset, arguments.json)
