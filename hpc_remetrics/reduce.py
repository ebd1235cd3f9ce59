"""Metrics of a dataset that is there: computed by all ranks, put into a copy, which then takes the dataset's place."""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path

from .cluster.comm import AbortOnError, Comm, connect
from .cluster.scratch import Scratch
from .cluster.together import on_root, together
from .config import ReduceOptions
from .errors import RemetricsError
from .files.lock import OutputLock
from .files.outputs import real_name
from .files.publish import publish_whole, temporary_name
from .log import set_rank
from .metrics.store import add_metrics
from .store.dataset import Dataset
from .store.gather import disk_errors


def reduce_command(options: ReduceOptions) -> int:
    """Compute the metrics of a dataset anew and store them in it; return the exit code.

    Whatever ends it, the dataset is whole: as it was, or with its new metrics.
    """
    comm: Comm | None = None
    try:
        comm = connect()
        set_rank(comm.rank, comm.host)
        with AbortOnError(comm):
            _reduce(comm, options)
        return 0
    except RemetricsError as error:
        if comm is not None and comm.rank != comm.root and error.shared:
            return error.exit_code
        raise


def _reduce(comm: Comm, options: ReduceOptions) -> None:
    path, temporary = options.dataset, temporary_name(real_name(options.dataset))
    on_root(comm, lambda: Dataset(path).close())
    locks: list[OutputLock] = []
    on_root(comm, lambda: locks.append(OutputLock(path)))
    try:
        on_root(comm, lambda: _copy(path, temporary))
        job = comm.bcast(uuid.uuid4().hex[:12])
        scratch = together(comm, lambda: Scratch(job, comm.rank, options.scratch))
        try:
            add_metrics(comm, temporary, scratch.path, int(options.memory * 1e6))
        finally:
            scratch.close()
        on_root(comm, lambda: _publish(temporary, path))
        if comm.rank == comm.root and not options.quiet:
            print(f"{path}: its metrics are computed", file=sys.stderr, flush=True)
    finally:
        for lock in locks:
            temporary.unlink(missing_ok=True)
            lock.release()


def _copy(path: Path, temporary: Path) -> None:
    with disk_errors(temporary, "a copy of the dataset"):
        shutil.copyfile(path, temporary)


def _publish(temporary: Path, path: Path) -> None:
    with disk_errors(path, "the dataset"):
        publish_whole(temporary, path)
