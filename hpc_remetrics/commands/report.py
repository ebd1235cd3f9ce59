"""`report`: show the numbers of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import force_option, json_option
from ..errors import UsageError
from ..options import PATH, Options, argument, option
from . import Command

_EXAMPLES = """
examples:
  hpc-remetrics report hub.h5
  hpc-remetrics report hub.h5 --html hub.html               one page with all figures, to pass on
  hpc-remetrics report hub.h5 --json | jq .metrics.growth_summary
"""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """The options of `report`."""

    dataset: Path = argument("DATASET.h5", value=PATH, help="the dataset")
    json: bool = json_option("print every number as JSON")
    html: Path | None = option(
        "--html",
        value=PATH,
        key=False,
        metavar="FILE",
        help="write an HTML page with figures, tables and definitions",
        default_text="print text",
    )
    force: bool = force_option("a file that is no page of this program")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.json and self.html:
            raise UsageError("--html and --json exclude each other", "run the command twice")


def _run(options: ReportOptions) -> int:
    from ..report import report_command

    return report_command(options.dataset, options.json, options.html, options.force)


COMMAND = Command("show the numbers of a dataset", ReportOptions, _run, _EXAMPLES)
