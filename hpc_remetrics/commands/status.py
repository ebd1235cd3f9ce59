"""`status`: show how far the work on a dataset is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import json_option
from ..options import PATH, Options, argument
from . import Command

_EXAMPLES = """
examples:
  hpc-remetrics status hub.h5
  watch -n 30 hpc-remetrics status /gpfs/project/hub.h5
  hpc-remetrics status hub.h5 --json | jq .ledger

It only reads (parts, the notes of jobs beside them, the lock), so it can run at any time, on any
node.
"""


@dataclass(frozen=True, kw_only=True)
class StatusOptions(Options):
    """The options of `status`."""

    dataset: Path = argument("DATASET.h5", value=PATH, help="the output of the job")
    json: bool = json_option()


def _run(options: StatusOptions) -> int:
    from ..report.status_page import status_command

    return status_command(options.dataset, options.json)


COMMAND = Command(
    "show how far a running or stopped job is: layers done, failed and left, and rates",
    StatusOptions,
    _run,
    _EXAMPLES,
)
