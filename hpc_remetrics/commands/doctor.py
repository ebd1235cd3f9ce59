"""`doctor`: what this machine lacks."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_config_option, add_verb

_EXAMPLES = """
examples:
  hpc-remetrics doctor
  hpc-remetrics doctor -o /gpfs/project/hub.h5 --scratch /dev/shm --scratch /local
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "check this machine: what is missing or wrong, and how to mend it"
    parser = add_verb(verbs, "doctor", text, _EXAMPLES, _run)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DATASET.h5",
        help="the output to check (default: remetrics.h5)",
    )
    parser.add_argument(
        "--scratch",
        action="append",
        metavar="DIR[=SIZE]",
        help="scratch directory to check (default: /dev/shm, $TMPDIR)",
    )
    add_config_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> int:
    from ..doctor import doctor_command

    return doctor_command(arguments.output, arguments.scratch, arguments.config, arguments.json)
