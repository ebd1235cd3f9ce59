"""`updates`: measure what a client with an older image pulls for a newer one."""

from __future__ import annotations

from ..config import UpdatesOptions
from . import SOURCES_HELP, Command

_EXAMPLES = """
examples:
  hpc-remetrics updates hub.h5                              neighbours in each repository's history
  hpc-remetrics updates hub.h5 oci:/data/mirror --sample 1  all changed files, read from a mirror
  hpc-remetrics updates hub.h5 --pairs pairs.csv            the images that a file names
  mpirun -n 64 python -m hpc_remetrics updates hub.h5

It reads the layers of the images again, for what the dataset does not say: which chunks a file has,
and how it differs from the file that was at its path. The results replace the tables about updates
in the dataset's metrics. Run it again after an interruption: it continues from the parts in
DATASET.h5.updates.parts, which it removes at its end. docs/metrics.md defines every number.

exit codes: 0 done, 1 a fault of the program, 2 wrong use, 3 not available, 4 stopped (run it again
to continue), 5 output not writable
"""


def _run(options: UpdatesOptions) -> int:
    from ..analyze.update_run import updates_command

    return updates_command(options)


COMMAND = Command(
    "measure what updates of images pull, by layer, file, chunk and delta",
    UpdatesOptions,
    _run,
    SOURCES_HELP + _EXAMPLES,
)
