"""`plan`: what there is to do, and who would do it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import PlanOptions
from ..errors import UsageError
from ..settings import parse_limits, settings
from . import SOURCES, Verbs, add_source_options, add_verb
from .access_options import access_of, add_access_options

_EXAMPLES = """
examples:
  hpc-remetrics plan oci:/data/layout
  hpc-remetrics plan seed2017:/gpfs/hub --ranks 64 --json
  hpc-remetrics plan oci:/data/layout --ranks 64 --nodes 4 --time --calibration sample.h5

--time predicts hours, scratch and memory by what an earlier run took (its dataset holds that), such as one over a
few hundred of the same layers on the same machine, and prints the sbatch line to use.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "show the layers by size, and how they would be dealt out to ranks"
    parser = add_verb(verbs, "plan", text, SOURCES + _EXAMPLES, _run)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="where images are")
    parser.add_argument(
        "--ranks", type=int, default=4, metavar="N", help="ranks, rank 0 included (default: 4)"
    )
    parser.add_argument(
        "--nodes", type=int, default=1, metavar="M", help="nodes that they run on (default: 1)"
    )
    parser.add_argument(
        "--time",
        action="store_true",
        help="predict hours, scratch and memory, and how to submit it",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DATASET.h5",
        help="the earlier run (default: remetrics.h5)",
    )
    parser.add_argument("--extract", action="store_true", help="with room for unpacked layers")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_source_options(parser)
    add_access_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    flags = {
        "sources": arguments.sources,
        "platforms": arguments.platform,
        "limits": parse_limits(arguments.limit),
    }
    merged = settings(flags, arguments.config)
    if not merged.get("sources"):
        raise UsageError(
            "no source named", "for example `hpc-remetrics plan oci:/data/layout`, or `plan demo:`"
        )
    if arguments.ranks < 1:
        raise UsageError(f"--ranks {arguments.ranks} is not above 0")
    if not 1 <= arguments.nodes <= arguments.ranks:
        raise UsageError(
            f"--nodes {arguments.nodes} is not from 1 to the number of ranks, {arguments.ranks}"
        )
    calibration = (
        (arguments.calibration or Path("remetrics.h5"))
        if arguments.time or arguments.calibration
        else None
    )
    from ..report.plan_page import plan_command

    platforms = tuple(merged.get("platforms", ()))
    sources = tuple(merged["sources"])
    access = access_of(arguments, 0.0)
    return plan_command(
        PlanOptions(
            sources,
            arguments.ranks,
            arguments.json,
            platforms,
            merged["limits"],
            access,
            arguments.nodes,
            calibration,
            arguments.extract,
        )
    )
