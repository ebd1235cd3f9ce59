"""The run of the command `reduce`: compute the metrics of an existing dataset anew.

They are written into a copy, which then takes the dataset's place.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from ..config import ReduceOptions
from ..dataset.file_history import with_this_command
from ..dataset.reader import Dataset
from ..files.disk_errors import disk_errors
from ..files.lock import OutputLock
from ..files.outputs import check_writable, real_name
from ..files.publish import copy_new, publish_whole, sweep, temporary_name
from ..files.writing import remove
from ..mpi.collective import collectively, on_rank_0
from ..mpi.comm import Comm
from ..mpi.job import run_job
from ..node.scratch import shared_scratch
from .compute import add_metrics


def reduce_command(options: ReduceOptions) -> int:
    """Compute the metrics of a dataset and store them in it; return the exit code.

    However it ends, the dataset is whole: as it was, or with its new metrics.
    """

    def work(comm: Comm) -> int:
        _reduce(comm, options)
        return 0

    return run_job(work)


def _reduce(comm: Comm, options: ReduceOptions) -> None:
    path = options.dataset
    temporary: Path = on_rank_0(comm, lambda: temporary_name(real_name(path)))
    # Check the dataset and its directory before anything is written.
    history, lacking = collectively(comm, lambda: check_dataset(path, comm))
    # A read-only file would be replaced all the same.
    hint = "allow it with `chmod u+w`, or reduce a copy"
    on_rank_0(comm, lambda: check_writable(real_name(path), hint))
    with ExitStack() as stack:

        def lock() -> None:
            lock_dataset(path, stack)

        # Lock the dataset, and copy it.
        on_rank_0(comm, lock)
        if comm.rank == comm.root:
            stack.callback(remove, temporary)
        on_rank_0(comm, lambda: copy_dataset(path, temporary))
        # Write the metrics into the copy, and replace the dataset.
        with shared_scratch(comm, options.scratch, options.scratch_rooms) as scratch:
            add_metrics(comm, temporary, scratch.path, int(options.memory * 1e6), history)
        on_rank_0(comm, lambda: publish_dataset(temporary, path))
        if comm.rank == comm.root and not options.quiet:
            print(f"{path}: its metrics are computed", file=sys.stderr, flush=True)
            if lacking:
                print(_what_is_lacking(path, lacking), file=sys.stderr, flush=True)


def lock_dataset(path: Path, stack: ExitStack) -> OutputLock:
    """Lock a dataset until the stack is left, and remove what killed commands left beside it."""
    lock = stack.enter_context(OutputLock(path))
    sweep(real_name(path))
    return lock


def copy_dataset(path: Path, temporary: Path) -> None:
    """Copy a dataset under a temporary name.

    :raises OutputError: the copy can't be written.
    """
    with disk_errors(temporary, "a copy of the dataset"):
        copy_new(path, temporary)


def check_dataset(path: Path, comm: Comm) -> tuple[str, list[str]]:
    """Check this rank's share; return the history with this command, and what the file lacks.

    Ranks can't stop in the middle of a reduction.
    """
    with Dataset(path) as dataset:
        dataset.check_all(comm.rank, comm.size)
        return with_this_command(dataset.file_history), dataset.lacking


def _what_is_lacking(path: Path, lacking: list[str]) -> str:
    """Return the sentence about a dataset that lacks tables or columns."""
    return (
        f"{path} has no {', '.join(lacking)}: an earlier version made it, and what is computed of "
        "these is missing; `analyze` of the same sources adds them"
    )


def publish_dataset(temporary: Path, path: Path) -> None:
    """Replace a dataset by its changed copy.

    :raises OutputError: it can't be replaced.
    """
    with disk_errors(path, "the dataset"):
        publish_whole(temporary, path)
