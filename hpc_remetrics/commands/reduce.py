"""`reduce`: compute the metrics of a dataset anew."""

from __future__ import annotations

from ..config import ReduceOptions
from . import Command

_EXAMPLES = """
examples:
  hpc-remetrics reduce hub.h5                               in one process
  mpirun -n 64 python -m hpc_remetrics reduce hub.h5 --memory 4000

`analyze` computes the metrics at its end; `reduce` is for datasets of older versions. It writes
the metrics into a copy, which replaces the dataset when it is complete. docs/metrics.md defines
every metric.
"""


def _run(options: ReduceOptions) -> int:
    from ..metrics.reduce import reduce_command

    return reduce_command(options)


COMMAND = Command(
    "compute the metrics of a dataset and store them in it", ReduceOptions, _run, _EXAMPLES
)
