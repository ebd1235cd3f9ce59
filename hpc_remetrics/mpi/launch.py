"""Start MPI under a launcher: how many processes it started, and the communicator between them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ..errors import MissingComponentError, UsageError
from ..limits import START_SECONDS
from .comm import Comm, SerialComm

# Set in every process of a parallel launch: by Hydra (MPICH, Intel MPI), Open MPI, MVAPICH2, srun.
_SIZE_VARIABLES = (
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
)
# The same, and PMIx (Open MPI, srun).
_RANK_VARIABLES = (
    "PMI_RANK",
    "OMPI_COMM_WORLD_RANK",
    "MV2_COMM_WORLD_RANK",
    "PMIX_RANK",
    "SLURM_PROCID",
)

_NO_TASK_STEPS = ("4294967291", "batch")
"""Values of SLURM_STEP_ID in a batch script, whose other variables describe the whole job."""


def launched_size(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many processes the launcher started, 1 without a launcher.

    >>> launched_size({"PMI_SIZE": "4"}), launched_size({})
    (4, 1)
    """
    if environ.get("SLURM_STEP_ID", "0") in _NO_TASK_STEPS:
        environ = {name: value for name, value in environ.items() if not name.startswith("SLURM")}
    sizes = [int(environ[name]) for name in _SIZE_VARIABLES if environ.get(name, "").isdigit()]
    return max(sizes, default=1)


def launched_rank(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the rank that the launcher gave this process, before MPI starts; None if unknown.

    >>> launched_rank({"PMI_RANK": "3"}), launched_rank({})
    (3, None)
    """
    for name in _RANK_VARIABLES:
        if environ.get(name, "").isdigit():
            return int(environ[name])
    return None


def connect(longest: float = START_SECONDS) -> Comm:
    """Start MPI if a launcher started several processes, and return the communicator.

    :param longest: seconds that MPI may take to start; then the job is ended.
    :raises MissingComponentError: there is a launcher, but no mpi4py or no MPI library.
    :raises UsageError: the launcher and the MPI library don't fit together.
    """
    launched = launched_size()
    if launched == 1:
        return SerialComm()

    # Only several processes need these, and what they import.
    from .mpi_comm import MPIComm
    from .stale_memory import remove_stale_segments
    from .start_watch import watched

    # Start MPI, which happens when `mpi4py.MPI` is imported.
    try:
        import mpi4py

        mpi4py.rc.thread_level = "funneled"
        remove_stale_segments()
        with watched(launched_rank(), launched, longest):
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise MissingComponentError(
            f"{launched} processes were launched, but MPI can't be loaded ({error})",
            "pip install 'hpc-remetrics[mpi]', or run without mpirun",
        ) from None

    # Refuse a library that knows nothing of the launcher: each process would do the whole job.
    if MPI.COMM_WORLD.size == 1:
        library = MPI.Get_library_version().split("\n")[0].strip()
        raise UsageError(
            f"the launcher started {launched} processes, but {library!r} sees one",
            "use the mpirun that belongs to this MPI library (`hpc-remetrics doctor` shows both)",
        )
    return MPIComm(MPI)


def started_comm() -> Comm | None:
    """Return the communicator if MPI has started, whether or not `connect` has returned.

    From then on the launcher takes the bare exit of a rank for a crash: it kills the other ranks,
    and the job ends with the code of that, unless the rank aborts the job.
    """
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not hasattr(mpi, "COMM_WORLD") or not mpi.Is_initialized():
        return None
    from .mpi_comm import MPIComm

    return MPIComm(mpi)
