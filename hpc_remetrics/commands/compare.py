"""`compare`: what moved between two datasets."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_verb

_EXAMPLES = """
Layers and contents are told by digest, images by name and platform.

examples:
  hpc-remetrics compare hub-2025.h5 hub-2026.h5
  hpc-remetrics compare hub-2025.h5 hub-2026.h5 --json | jq .layers.came
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "show the layers, contents and bytes that came, went and stayed between two datasets"
    parser = add_verb(verbs, "compare", text, _EXAMPLES, _run)
    parser.add_argument("first", type=Path, metavar="A.h5", help="the dataset before")
    parser.add_argument("second", type=Path, metavar="B.h5", help="the dataset after")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> int:
    from ..report.compare_page import compare_command

    return compare_command(arguments.first, arguments.second, arguments.json)
