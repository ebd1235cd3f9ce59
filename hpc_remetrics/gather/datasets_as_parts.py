"""Merge datasets into one, each layer once, as if all images had been analyzed in one run.

It is a gather whose parts are datasets: their tables hold what the index of a part holds. Entries
of a dataset point at their contents by row, so digest, size and type of the contents are laid out
flat on scratch first (`dataset/flat_contents.py`), once a node.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import distinct
from ..dataset.flat_contents import FlatContents
from ..dataset.ledger import Ledger
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS, TABLES
from ..dataset.table import Table
from ..files.disk_errors import disk_errors
from ..mpi.collective import Collective
from ..mpi.comm import Comm
from ..parts.part_format import BLOBS, ENTRY_COLUMNS, EXTRA_RECORDS, LAYER, PartIndex
from ..parts.spill_format import EXTRAS, NO_CONTENT, NO_TYPE
from ..profile.probe import first_beyond
from ..records import NOTES, Catalog, Digest, Failure, Image, Layer, Popularity, Skipped
from ..row_ranges import block_ranges
from .gather import DatasetBuild, Finish
from .placed_reader import PlacedReader
from .placement import Placement, place, sorted_images


def merge(
    comm: Comm,
    datasets: Sequence[Dataset],
    output: Path,
    scratch: Path,
    run: Mapping[str, Any],
    finish: Finish | None = None,
) -> Ledger:
    """Make the dataset `output` of others, replacing what is there; collective.

    Of a layer in several datasets the best row counts: ok, partial, failed; then the first one's.

    :param scratch: this rank's directory on node-local disk, in one that the ranks of a node share.
    :param run: the contents of `/run`: values, and mappings from column to list.
    :raises OutputError: the output or scratch can't be written; the output is as it was before.
    """
    catalog = _catalog(datasets) if comm.rank == comm.root else None
    images = sorted_images(catalog) if catalog is not None else []
    placement: Placement = comm.bcast(_place(datasets, images) if comm.rank == comm.root else None)
    with Collective(comm), disk_errors(scratch, "scratch"):
        _write_flat(comm, datasets, scratch)
    reader = DatasetReader(placement, datasets, scratch.parent)
    return DatasetBuild(comm, reader, scratch).run(catalog, images, output, run, finish)


def _catalog(datasets: Sequence[Dataset]) -> Catalog:
    """Return the images, skipped objects and repositories of all datasets."""
    catalogs = (
        Catalog(list(_images(one)), list(_skipped(one)), _repositories(one)) for one in datasets
    )
    return sum(catalogs, Catalog())


def _columns(table: Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of readable columns."""
    return zip(*(table.readable(name).tolist() for name in names), strict=True)


def _digests(table: Table) -> list[Digest]:
    return [Digest(raw) for raw in table["digest"].tolist()]


def _repositories(dataset: Dataset) -> dict[str, Popularity]:
    rows = _columns(dataset.repositories, "name", "stars", "pulls", "stratum", "weight", "drawn")
    found = {}
    for name, stars, pulls, stratum, weight, drawn in rows:
        known_weight = 0.0 if math.isnan(weight) else weight
        found[name] = Popularity(stars, pulls, stratum, known_weight, drawn)
    return found


def _images(dataset: Dataset) -> Iterator[Image]:
    # Make each layer once
    layers = []
    rows = _columns(dataset.layers, "CLS", "media_type")
    for digest, (size, media_type) in zip(_digests(dataset.layers), rows, strict=True):
        layers.append(Layer(digest, size, media_type))

    # Give each image its layers
    image_layers = dataset.image_layers["layer"].tolist()
    columns = ("name", "platform", "manifest_type", "first_layer", "layers")
    rows = _columns(dataset.images, *columns)
    for digest, (name, platform, kind, first, count) in zip(
        _digests(dataset.images), rows, strict=True
    ):
        mine = tuple(layers[row] for row in image_layers[first : first + count])
        yield Image(name, digest, platform, kind, mine)


def _skipped(dataset: Dataset) -> Iterator[Skipped]:
    names = dataset.skipped.columns
    for values in _columns(dataset.skipped, *names):
        yield Skipped(**dict(zip(names, values, strict=True)))


def _place(datasets: Sequence[Dataset], images: list[Image]) -> Placement:
    indexes = [_index(dataset) for dataset in datasets]
    placement = place(indexes, images)
    _unite_notes(placement.layers, indexes)
    return placement


def _index(dataset: Dataset) -> PartIndex:
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
    rows = _columns(dataset.failures, "stage", "cause", "message", "offset")
    for digest, (stage, cause, message, offset) in zip(
        _digests(dataset.failures), rows, strict=True
    ):
        yield Failure(digest, stage, cause, message, offset, *hosts.get(digest.raw, ()))


def _unite_notes(layers: np.ndarray, indexes: Sequence[PartIndex]) -> None:
    """Set the notes that depend on the images of all datasets.

    A diff_id may be wrong in an image of one dataset only. Notes on media types are cleared: the
    gather sets them anew.

    :param layers: (n,) `LAYER`; changed.
    """
    layers["notes"] &= ~np.uint32(NOTES["media_type_mismatch"])
    known = layers["digest"].view("S32")
    for index in indexes:
        wrong = index.layers["digest"][index.layers["notes"] & NOTES["diff_id_mismatch"] > 0]
        layers["notes"][np.isin(known, wrong.view("S32"))] |= NOTES["diff_id_mismatch"]


def _write_flat(comm: Comm, datasets: Sequence[Dataset], scratch: Path) -> None:
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


class DatasetReader(PlacedReader):
    """Reads from datasets what a gather reads from parts."""

    def __init__(self, placement: Placement, datasets: Sequence[Dataset], directory: Path) -> None:
        super().__init__(placement)
        self._datasets = datasets
        self._entries = [dataset.entries for dataset in datasets]
        self._contents = [FlatContents(_flat_file(directory, n)) for n in range(len(datasets))]

    def extras_count(self, kind: str) -> int:
        """Return the rows of the tables that hold the records."""
        tables = [one.chunks if kind == "chunks" else one.contents for one in self._datasets]
        return sum(map(len, tables))

    def extras(self, kind: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        """Yield the records of a rank's range of each dataset, a block at a time."""
        if kind == "samples" and common_compress_sample(self._datasets) is None:
            return
        fraction = min_chunk_sample(self._datasets)
        for dataset in self._datasets:
            if kind == "chunks":
                yield from _chunk_records(dataset, fraction, rank, ranks)
            else:
                yield from _content_records(dataset, kind, rank, ranks)

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        entries = self._entries[part]
        if name in ("size", "type", "digest"):
            return self._read_contents(part, name, begin, count)
        if name.endswith("_length"):
            bounds = entries.column(name.replace("length", "offset"), begin, begin + count + 1)
            return np.diff(bounds).astype(ENTRY_COLUMNS[name]).tobytes()
        return entries.column(name, begin, begin + count).tobytes()

    def _read_contents(self, part: int, name: str, begin: int, count: int) -> bytes:
        """Return a column that an entry has from its content, as a part has it."""
        contents = self._entries[part].column("content", begin, begin + count)
        has_content = contents >= 0
        values = np.zeros(count, ENTRY_COLUMNS[name])
        if name == "size":
            values[~has_content] = NO_CONTENT
        elif name == "type":
            values[~has_content] = NO_TYPE
        values[has_content] = self._contents[part][contents[has_content]][name]
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
