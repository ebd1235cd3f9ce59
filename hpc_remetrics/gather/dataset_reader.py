"""Read from datasets what a gather reads from parts.

The tables of a dataset hold what the index of a part holds. Its entries point at their contents by
row, so digest, size and type of the contents are laid out flat on scratch first
(`dataset/flat_contents.py`), once a node.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import distinct
from ..dataset.flat_contents import FlatContents
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS, TABLES
from ..dataset.table import Table
from ..errors import DatasetError
from ..mpi.collective import collectively
from ..mpi.comm import Comm
from ..parts.part_format import BLOBS, ENTRY_COLUMNS, EXTRA_RECORDS, LAYER, PartIndex
from ..parts.spill_format import EXTRAS, NO_CONTENT, NO_TYPE
from ..profile.probe import first_beyond
from ..records import Digest, Failure
from ..row_ranges import block_ranges
from .placed_reader import PartReader
from .placement import Placement


@dataclass
class Reused:
    """Datasets of earlier runs whose layers a gather takes beside those of the parts.

    :ivar datasets: open, the same on every rank.
    :ivar indexes: on rank 0, what a part with the layers that are taken of each would hold.
    """

    datasets: list[Dataset] = field(default_factory=list)
    indexes: list[PartIndex] = field(default_factory=list)

    def leave_out(self, paths: Container[Path]) -> None:
        """Take nothing of the datasets with these paths any more."""
        self.datasets = [one for one in self.datasets if one.path not in paths]
        self.indexes = [index for index in self.indexes if index.path not in paths]


def open_on_all_ranks(comm: Comm, paths: Sequence[Path], stack: ExitStack) -> list[Dataset]:
    """Open datasets on every rank; they are closed with the stack. Collective.

    :raises DatasetError: one is missing, damaged or of another version, or it was replaced while
        the ranks opened it; on every rank.
    """
    datasets = collectively(comm, lambda: [stack.enter_context(Dataset(path)) for path in paths])
    expected = comm.bcast([dataset.file_version for dataset in datasets])

    def compare() -> None:
        for dataset, version in zip(datasets, expected, strict=True):
            if dataset.file_version != version:
                message = f"{dataset.path} was replaced while the ranks opened it"
                raise DatasetError(message, "run the command again")

    collectively(comm, compare)
    return datasets


def columns_of(table: Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of readable columns."""
    return zip(*(table.readable(name).tolist() for name in names), strict=True)


def digests_of(table: Table) -> list[Digest]:
    """Return the digests of a table's rows."""
    return [Digest(raw) for raw in table["digest"].tolist()]


def index_of(dataset: Dataset) -> PartIndex:
    """Return the index that a part with the layers of a dataset would have."""
    layers = np.zeros(len(dataset.layers), LAYER)
    for name in set(dataset.layers.columns) & set(LAYER.names or ()):
        layers[name] = dataset.layers[name]
    first = layers["first_entry"]
    end = first + layers["entries"]
    for blob in BLOBS:
        first_byte = _values_at(dataset.entries, f"{blob}_offset", first)
        layers[f"first_{blob}_byte"] = first_byte
        layers[f"{blob}_bytes"] = _values_at(dataset.entries, f"{blob}_offset", end) - first_byte
    types = dataset.types.readable("description").tolist()
    return PartIndex(dataset.path, layers, types, list(_failures(dataset)), {}, {}, {})


def _values_at(table: Table, name: str, rows: np.ndarray) -> np.ndarray:
    """Return (n,) int64, values of a column at some rows, reading a chunk at a time.

    :param rows: (n,) int64, ascending.
    """
    values = np.zeros(len(rows), np.int64)
    for chunk in distinct(rows // CHUNK_ROWS).tolist():
        start = chunk * CHUNK_ROWS
        stop = start + CHUNK_ROWS
        low, high = np.searchsorted(rows, [start, stop])
        values[low:high] = table.column(name, start, stop)[rows[low:high] - start]
    return values


def _failures(dataset: Dataset) -> Iterator[Failure]:
    hosts = dataset.failed_on
    rows = columns_of(dataset.failures, "stage", "cause", "message", "offset")
    for digest, (stage, cause, message, offset) in zip(
        digests_of(dataset.failures), rows, strict=True
    ):
        yield Failure(digest, stage, cause, message, offset, *hosts.get(digest.raw, ()))


def write_flat(comm: Comm, datasets: Sequence[Dataset], scratch: Path) -> None:
    """Write the contents of each dataset flat, one file a node; the ranks of a node share them."""
    hosts = comm.allgather(comm.host)
    ranks = [rank for rank, host in enumerate(hosts) if host == comm.host]
    for number in range(ranks.index(comm.rank), len(datasets), len(ranks)):
        FlatContents.write(datasets[number].contents, _flat_file(scratch.parent, number))


def _flat_file(directory: Path, number: int) -> Path:
    return directory / f"flat-{number}"


def common_compress_sample(datasets: Sequence[Dataset]) -> Fraction | None:
    """Return the fraction of the contents that all datasets compressed, None where these differ.

    Samples of different fractions can't be united: the contents of one dataset had another chance
    to be drawn than those of the other, and of long contents nothing tells any more whether a
    smaller sample would have had them.
    """
    fractions = {dataset.compress_sample for dataset in datasets}
    return fractions.pop() if len(fractions) == 1 else None


def min_chunk_sample(datasets: Sequence[Dataset]) -> Fraction:
    """Return the smallest fraction of the chunks that a dataset with chunks has; 0 if none has."""
    fractions = [dataset.chunk_sample for dataset in datasets if dataset.chunk_sample]
    return min(fractions, default=Fraction())


class DatasetReader(PartReader):
    """Reads from the parts of a run, and from datasets that come after them in the placement."""

    def __init__(self, placement: Placement, datasets: Sequence[Dataset], directory: Path) -> None:
        """Open what `write_flat` wrote to a directory, one that the ranks of a node share."""
        super().__init__(placement)
        self._datasets = datasets
        self._parts = len(placement.paths) - len(datasets)
        self._entries = [dataset.chunks_of("entries") for dataset in datasets]
        self._versions = [dataset.file_version for dataset in datasets]
        self._contents = [FlatContents(_flat_file(directory, n)) for n in range(len(datasets))]

    def check(self) -> None:
        """Raise the first fault so far, or an error if a dataset was changed while it was read."""
        for dataset, version in zip(self._datasets, self._versions, strict=True):
            if dataset.file_version != version:
                message = f"{dataset.path} was changed while it was read"
                raise DatasetError(message, "run the command again")
        super().check()

    def extras_count(self, kind: str) -> int:
        """Return how many extra records the layers in parts have, and the rows of the tables."""
        tables = [one.chunks if kind == "chunks" else one.contents for one in self._datasets]
        return super().extras_count(kind) + sum(map(len, tables))

    def extras(self, kind: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        """Yield the records of a rank's layers in parts, and of its range of each dataset."""
        yield from super().extras(kind, rank, ranks)
        if kind == "samples" and common_compress_sample(self._datasets) is None:
            return
        fraction = min_chunk_sample(self._datasets)
        for dataset in self._datasets:
            if kind == "chunks":
                yield from _chunk_records(dataset, fraction, rank, ranks)
            else:
                yield from _content_records(dataset, kind, rank, ranks)

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        if part < self._parts:
            return super()._read(part, name, begin, count)
        number = part - self._parts
        entries = self._entries[number]
        if name in ("size", "type", "digest"):
            return self._read_contents(number, name, begin, count)
        if name.endswith("_length"):
            bounds = entries.column(name.replace("length", "offset"), begin, begin + count + 1)
            return np.diff(bounds).astype(ENTRY_COLUMNS[name]).tobytes()
        return entries.column(name, begin, begin + count).tobytes()

    def _read_contents(self, number: int, name: str, begin: int, count: int) -> bytes:
        """Return a column that an entry of a dataset has from its content, as a part has it."""
        contents = self._entries[number].column("content", begin, begin + count)
        has_content = contents >= 0
        values = np.zeros(count, ENTRY_COLUMNS[name])
        if name == "size":
            values[~has_content] = NO_CONTENT
        elif name == "type":
            values[~has_content] = NO_TYPE
        values[has_content] = self._contents[number][contents[has_content]][name]
        return values.tobytes()


def _content_records(dataset: Dataset, kind: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
    """Yield the records of a rank's range of the contents that a probe measured."""
    value = EXTRAS[kind][1][0]  # the field after the digest
    missing = TABLES["contents"].columns[value].missing_value
    for records in _table_records(dataset, "contents", kind, rank, ranks):
        yield records[records[value] != missing]


def _chunk_records(
    dataset: Dataset, fraction: Fraction, rank: int, ranks: int
) -> Iterator[np.ndarray]:
    """Yield the records of a rank's range of the chunks that a sample of `fraction` has."""
    if not (bound := first_beyond(fraction)):
        return
    for records in _table_records(dataset, "chunks", "chunks", rank, ranks):
        head = np.frombuffer(records["fingerprint"].tobytes(), ">u8")[::2]
        yield records[head <= np.uint64(bound - 1)]


def _table_records(
    dataset: Dataset, table: str, kind: str, rank: int, ranks: int
) -> Iterator[np.ndarray]:
    """Yield a rank's range of a table as (n,) `EXTRA_RECORDS[kind]`, a block at a time."""
    dtype = EXTRA_RECORDS[kind]
    reader = dataset.chunks_of(table)
    for start, stop in block_ranges(len(dataset[table]), CHUNK_ROWS, rank, ranks):
        records = np.empty(stop - start, dtype)
        for name in dtype.names or ():
            records[name] = reader.column(name, start, stop)
        yield records
