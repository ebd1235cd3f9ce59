"""Several datasets become one, each layer once, as if all their images had been analyzed in one
run.

It is a gather whose parts are datasets: their tables say what a part's index says, and the digests
of their contents, which entries point at by number, are laid out flat on scratch (`flat.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.flat_contents import FlatContents
from ..dataset.ledger import Ledger
from ..dataset.reader import Dataset
from ..dataset.schema import ABSENT, CHUNK_ROWS
from ..dataset.table import Table
from ..files.disk_errors import disk_errors
from ..mpi.collective import Collective
from ..mpi.comm import Comm
from ..parts.part_format import ENTRY_COLUMNS, EXTRA_RECORDS, LAYER, PartIndex
from ..parts.spill_format import EXTRAS, NO_CONTENT, NO_TYPE
from ..profile.probe import first_beyond
from ..records import NOTES, Catalog, Digest, Failure, Image, Layer, Popularity, Skipped
from ..row_ranges import block_ranges
from .gather import Finish, Gather
from .placement import PlacedReader, Placement, place, sorted_images


def merge(
    comm: Comm,
    datasets: Sequence[Dataset],
    output: Path,
    scratch: Path,
    run: dict[str, Any],
    finish: Finish | None = None,
) -> Ledger:
    """Make the dataset `output` of others, replacing what is there; all ranks call it.

    Of a layer that stands in several the best row counts: ok, partial, failed; then the first
    dataset's.

    :param scratch: this rank's folder on node-local disk, in one that the ranks of the node share.
    :param run: what goes to `/run`: values, and mappings from column to list.
    :param finish: what all ranks do with the file when all is in it, before it has its name.
    :raises OutputError: the output or scratch can't be written; what was there before is still
        there.
    """
    catalog = _catalog(datasets) if comm.rank == comm.root else None
    images = sorted_images(catalog) if catalog is not None else []
    placement: Placement = comm.bcast(_place(datasets, images) if comm.rank == comm.root else None)
    with Collective(comm), disk_errors(scratch, "scratch"):
        _lay_out(comm, datasets, scratch)
    reader = _DatasetReader(placement, datasets, scratch.parent)
    return Gather(comm, placement, reader, scratch).run(catalog, images, output, run, finish)


def _catalog(datasets: Sequence[Dataset]) -> Catalog:
    """Return the images of all datasets, what they counted apart, and what they know of
    repositories."""
    catalogs = (
        Catalog(list(_images(one)), list(_skipped(one)), _repositories(one)) for one in datasets
    )
    return sum(catalogs, Catalog())


def _repositories(dataset: Dataset) -> dict[str, Popularity]:
    table = dataset.repositories
    columns = (
        table.readable(name).tolist()
        for name in ("name", "stars", "pulls", "stratum", "weight", "drawn")
    )
    return {name: Popularity(*known) for name, *known in zip(*columns, strict=True)}


def _images(dataset: Dataset) -> Iterator[Image]:
    media_types, sizes = dataset.layers.readable("media_type"), dataset.layers["CLS"]
    layers = [
        Layer(digest, int(size), media_type)
        for digest, size, media_type in zip(
            _digests(dataset.layers), sizes, media_types, strict=True
        )
    ]
    rows, images = dataset.image_layers["layer"].tolist(), dataset.images
    texts = (images.readable(name) for name in ("name", "platform", "manifest_type"))
    places = (images[name].tolist() for name in ("first_layer", "layers"))
    for digest, name, platform, kind, first, count in zip(
        _digests(images), *texts, *places, strict=True
    ):
        yield Image(
            name, digest, platform, kind, tuple(layers[row] for row in rows[first : first + count])
        )


def _digests(table: Table) -> list[Digest]:
    data = table["digest"].tobytes()
    return [Digest(data[at : at + 32]) for at in range(0, len(data), 32)]


def _skipped(dataset: Dataset) -> Iterator[Skipped]:
    columns = (dataset.skipped.readable(name).tolist() for name in dataset.skipped.columns)
    for values in zip(*columns, strict=True):
        yield Skipped(**dict(zip(dataset.skipped.columns, values, strict=True)))


def _place(datasets: Sequence[Dataset], images: list[Image]) -> Placement:
    indexes = [_index(dataset) for dataset in datasets]
    placement = place(indexes, images)
    _mend_notes(placement.layers, indexes)
    return placement


def _index(dataset: Dataset) -> PartIndex:
    """Return what the index of a part with this dataset's layers would say."""
    layers = np.zeros(len(dataset.layers), LAYER)
    for name in set(dataset.layers.columns) & set(LAYER.names or ()):
        layers[name] = dataset.layers[name]
    first, count = layers["first_entry"], layers["entries"]
    for blob in ("path", "link"):
        layers[f"first_{blob}_byte"] = _values_at(dataset.entries, f"{blob}_offset", first)
        layers[f"{blob}_bytes"] = _values_at(dataset.entries, f"{blob}_offset", first + count)
        layers[f"{blob}_bytes"] -= layers[f"first_{blob}_byte"]
    types = dataset.types.readable("description").tolist()
    return PartIndex(dataset.path, layers, types, list(_failures(dataset)), {}, {}, {})


def _values_at(table: Table, name: str, rows: np.ndarray) -> np.ndarray:
    """Return the values of an i8 column at ascending rows, reading a chunk at a time."""
    found = np.zeros(len(rows), np.int64)
    for chunk in np.unique(rows // CHUNK_ROWS).tolist():
        low, high = np.searchsorted(rows, [chunk * CHUNK_ROWS, (chunk + 1) * CHUNK_ROWS])
        values = table.column(name, chunk * CHUNK_ROWS, (chunk + 1) * CHUNK_ROWS)
        found[low:high] = values[rows[low:high] - chunk * CHUNK_ROWS]
    return found


def _failures(dataset: Dataset) -> Iterator[Failure]:
    columns = (
        dataset.failures.readable(name).tolist() for name in ("stage", "cause", "message", "offset")
    )
    hosts = dataset.failed_on
    for digest, stage, cause, message, offset in zip(
        _digests(dataset.failures), *columns, strict=True
    ):
        rank, host = hosts.get(digest.raw, (-1, ""))
        yield Failure(digest, stage, cause, message, offset, rank, host)


def _mend_notes(layers: np.ndarray, indexes: Sequence[PartIndex]) -> None:
    """Set what depends on all images: a diff_id may be wrong in one of them; gather looks at media
    types itself."""
    layers["notes"] &= ~np.uint32(NOTES["media_type_mismatch"])
    known = layers["digest"].view("S32")
    for index in indexes:
        wrong = index.layers["digest"][index.layers["notes"] & NOTES["diff_id_mismatch"] > 0]
        layers["notes"][np.isin(known, wrong.view("S32"))] |= NOTES["diff_id_mismatch"]


def _lay_out(comm: Comm, datasets: Sequence[Dataset], scratch: Path) -> None:
    """Write the contents of each dataset flat, one file a node; each rank of the node writes
    some."""
    hosts = comm.allgather(comm.host)
    mine = [rank for rank, host in enumerate(hosts) if host == comm.host]
    for number in range(mine.index(comm.rank), len(datasets), len(mine)):
        FlatContents.write(datasets[number].contents, _flat(scratch.parent, number))


def _flat(folder: Path, number: int) -> Path:
    return folder / f"flat-{number}"


def common_sample(datasets: Sequence[Dataset]) -> Fraction | None:
    """Return the share of the contents that all datasets have compressed, None where they differ.

    Samples of different shares make none together: a content of one dataset had another chance to
    be drawn than one of the other, and of long ones nothing tells any more which a smaller share
    would have drawn.
    """
    shares = {dataset.compress_sample for dataset in datasets}
    return shares.pop() if len(shares) == 1 else None


def least_chunks(datasets: Sequence[Dataset]) -> Fraction:
    """Return the least share of the chunks that those datasets have which have some; 0 if none
    has."""
    return min(
        (dataset.chunk_sample for dataset in datasets if dataset.chunk_sample), default=Fraction()
    )


def _of_contents(dataset: Dataset, name: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
    """Yield this rank's share of the contents of which something is known, as extra records."""
    for columns in _blocks(dataset, "contents", EXTRA_RECORDS[name], rank, ranks):
        first = EXTRAS[name][1][0]
        yield columns[columns[first] != ABSENT[first]]


def _chunks(dataset: Dataset, least: Fraction, rank: int, ranks: int) -> Iterator[np.ndarray]:
    """Yield this rank's share of the chunks that are in a sample of that share, as extra
    records."""
    if not (bound := first_beyond(least)):
        return
    for chunks in _blocks(dataset, "chunks", EXTRA_RECORDS["chunks"], rank, ranks):
        head = np.frombuffer(chunks["fingerprint"].tobytes(), ">u8")[::2]
        yield chunks[head <= np.uint64(bound - 1)]


def _blocks(
    dataset: Dataset, table: str, dtype: np.dtype, rank: int, ranks: int
) -> Iterator[np.ndarray]:
    """Yield this rank's share of columns of a table, as records."""
    rows = len(dataset.table(table))
    if not rows:
        return
    reader = dataset.chunks_of(table)
    for start, stop in block_ranges(rows, CHUNK_ROWS, rank, ranks):
        records = np.empty(stop - start, dtype)
        for name in dtype.names or ():
            records[name] = reader.column(name, start, stop)
        yield records


class _DatasetReader(PlacedReader):
    """Reads what parts hold from datasets."""

    def __init__(self, placement: Placement, datasets: Sequence[Dataset], folder: Path) -> None:
        super().__init__(placement)
        self._datasets = datasets
        self._entries = [dataset.entries for dataset in datasets]
        self._contents = [FlatContents(_flat(folder, number)) for number in range(len(datasets))]

    def extras_count(self, name: str) -> int:
        return sum(
            len(dataset.chunks if name == "chunks" else dataset.contents)
            for dataset in self._datasets
        )

    def extras(self, name: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        if name == "samples" and common_sample(self._datasets) is None:
            return
        least = least_chunks(self._datasets)
        for dataset in self._datasets:
            yield from (
                _chunks(dataset, least, rank, ranks)
                if name == "chunks"
                else _of_contents(dataset, name, rank, ranks)
            )

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        entries = self._entries[part]
        if name in ("size", "type", "digest"):
            return self._of_content(part, name, begin, count)
        if name.endswith("_length"):
            bounds = entries.column(name.replace("length", "offset"), begin, begin + count + 1)
            return np.diff(bounds).astype(ENTRY_COLUMNS[name]).tobytes()
        return entries.column(name, begin, begin + count).tobytes()

    def _of_content(self, part: int, name: str, begin: int, count: int) -> bytes:
        numbers = self._entries[part].column("content", begin, begin + count)
        has = numbers >= 0
        values = np.zeros(count, ENTRY_COLUMNS[name])
        if name != "digest":
            values[~has] = NO_CONTENT if name == "size" else NO_TYPE
        values[has] = self._contents[part][numbers[has]][name]
        return values.tobytes()
