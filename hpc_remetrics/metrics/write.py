"""Metrics into the file whose they are."""

from __future__ import annotations

from pathlib import Path

from ..dataset.hdf5 import file_to_change
from ..dataset.reader import Dataset
from ..dataset.stored_file import library_errors
from ..dataset.table_writer import write_metrics
from ..files.disk_errors import disk_errors
from ..mpi.collective import Collective, on_rank_0
from ..mpi.comm import Comm
from .reduce import DEFAULT_MEMORY, reduce


def add_metrics(comm: Comm, path: Path, scratch: Path, memory: int = DEFAULT_MEMORY) -> None:
    """Compute the metrics of a dataset that nobody else knows yet, and write them into it; all
    ranks call it.

    :param scratch: a folder of this rank's own on node-local disk.
    :param memory: bytes that each rank may take for rows on their way.
    :raises OutputError: the file or scratch can't be written.
    """
    with Collective(comm), disk_errors(scratch, "scratch"), Dataset(path) as dataset:
        tables = reduce(comm, dataset, scratch, memory)

    def write() -> None:
        with disk_errors(path, "the dataset"), library_errors(path), file_to_change(path) as file:
            write_metrics(file, tables)

    on_rank_0(comm, write)
