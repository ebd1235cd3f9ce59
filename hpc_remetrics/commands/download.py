"""`download`: copy images from registries to disk."""

from __future__ import annotations

from ..download.options import DownloadOptions
from . import Command

_EXAMPLES = """
examples:
  hpc-remetrics download redis debian:12 quay.io/quay/busybox -o mirror
  hpc-remetrics download repos.csv -o mirror --platform linux/amd64
  hpc-remetrics download repos.csv -o mirror --estimate    what would it cost?
  mpirun -n 8 python -m hpc_remetrics download repos.csv -o /gpfs/mirror
  hpc-remetrics download names.lst -o mirror -l layers.lst -r repositories.lst   2017 tool's lists
  hpc-remetrics analyze oci:mirror -o hub.h5
  skopeo inspect oci:mirror:library/redis:latest

The directory is an OCI image layout at any time: a blob there is complete and verified. The same
command with the same output continues after any interruption, even in the middle of a blob, and
tries failed images again. Images have the same names as in a dataset: NAME:TAG for Docker Hub,
else HOST/NAME:TAG. MIRROR/.remetrics/failures.csv lists the images that are incomplete.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done, but some images are
incomplete, 4 stopped early (run it again), 5 output not writable, 6 another job holds this output
"""


def _run(options: DownloadOptions) -> int:
    from ..download.run import download
    from ..mpi.job import run_job

    return run_job(lambda comm: download(comm, options))


COMMAND = Command(
    "copy images from registries into an OCI image layout, or go on with that",
    DownloadOptions,
    _run,
    _EXAMPLES,
)
