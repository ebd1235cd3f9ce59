"""`merge`: make one dataset of several."""

from __future__ import annotations

from ..config import MergeOptions
from . import Command

_EXAMPLES = """
A layer or image that several datasets have is in the result once. The result is the dataset that
`analyze` would make of all sources at once, with its metrics; only /run differs. Of a layer the
best outcome is taken (ok, partial, failed), and among equal ones that of the first dataset.
mpirun makes large merges faster.

examples:
  hpc-remetrics merge monday.h5 tuesday.h5 -o week.h5
  mpirun -n 4 python -m hpc_remetrics merge part1.h5 part2.h5 part3.h5 -o all.h5
"""


def _run(options: MergeOptions) -> int:
    from ..gather.merge import merge_command

    return merge_command(options)


COMMAND = Command("make one dataset of several, each layer once", MergeOptions, _run, _EXAMPLES)
