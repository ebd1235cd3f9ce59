"""`reduce`: the metrics of a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import reduce_options
from . import Verbs, add_job_options, add_reduce_options, add_verb, on_every_rank

_EXAMPLES = """
examples:
  hpc-remetrics reduce hub.h5                               in one process
  mpirun -n 64 python -m hpc_remetrics reduce hub.h5 --memory 4000

`analyze` does this at its end; reduce it is for datasets of older versions. The metrics are put into a copy,
which takes the dataset's place when it is whole. docs/metrics.md defines every one of them.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "compute every figure's numbers of a dataset and store them in it"
    parser = add_verb(verbs, "reduce", text, _EXAMPLES, _run)
    add_job_options(parser)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    add_reduce_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    with on_every_rank():
        flags = {"scratch": arguments.scratch, "memory": arguments.memory}
        options = reduce_options(arguments.dataset, flags, arguments.config, arguments.quiet)
    from ..metrics.reduce import reduce_command

    return reduce_command(options)
