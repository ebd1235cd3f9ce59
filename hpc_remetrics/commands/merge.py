"""`merge`: one dataset of several."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import reduce_options
from ..errors import UsageError
from . import Verbs, add_force_option, add_job_options, add_reduce_options, add_verb, on_every_rank

_EXAMPLES = """
A layer or image that stands in several datasets is in the result once. The result is what `analyze` of all
sources at once would have made, metrics included, but for /run. Of a layer the best outcome counts (ok,
partial, failed), then the first dataset's. Large datasets merge faster under mpirun.

examples:
  hpc-remetrics merge monday.h5 tuesday.h5 -o week.h5
  mpirun -n 4 python -m hpc_remetrics merge part1.h5 part2.h5 part3.h5 -o all.h5
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    parser = add_verb(
        verbs, "merge", "make one dataset of several, each layer once", _EXAMPLES, _run
    )
    add_job_options(parser)
    parser.add_argument(
        "datasets", type=Path, nargs="+", metavar="DATASET.h5", help="what to merge"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DATASET.h5",
        help="the new dataset (no default: it must be named)",
    )
    add_force_option(parser, "an output that is no dataset, or one whose layers would be lost")
    add_reduce_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    with on_every_rank():
        if not arguments.output:
            raise UsageError("no output named", "for example `-o all.h5`")
        flags = {"scratch": arguments.scratch, "memory": arguments.memory}
        options = reduce_options(
            arguments.output, flags, arguments.config, arguments.quiet, arguments.force
        )
    from ..gather.merge import merge_command

    return merge_command(arguments.datasets, options)
