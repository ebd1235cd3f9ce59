"""Number the distinct contents by all ranks, and bring the numbers to the owners of the entries.

Each step runs on all ranks; the arrows are shuffles through files on scratch (`mpi/shuffle.py`). A
bucket is a range of digests and belongs to one rank. A block is `CHUNK_ROWS` rows of a table, and
belongs to the rank that writes them:

    rank that has a block of entries    collapse its contents, one row a content and layer
         │ by bucket of the digest
    rank that owns the bucket           number its contents; add what probes measured
         │ by block of entries          │ by block of contents
    rank that writes the entries        rank that writes those rows of /contents

Memory is bounded by a bucket and a block, whatever the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..arrays import distinct
from ..dataset.chunk_writer import ChunkWriter
from ..dataset.schema import CHUNK_ROWS, TABLES, row_dtype
from ..mpi.collective import Collective
from ..mpi.comm import Comm
from ..mpi.shuffle import Shuffle, collective_rounds, write_rows
from ..parts.part_format import EXTRA_RECORDS
from ..parts.spill_format import CONTENT_RECORDS, NO_CONTENT, PROBED_COLUMNS
from ..records import KINDS
from ..row_ranges import rank_range
from .numbering import CARRIED, CONTENT, attach, collapse, number
from .placed_reader import PlacedReader

_BUCKET_ROWS = 1 << 19
"""Rows with content that a bucket of digests holds on average."""

_MAX_BUCKETS = 1 << 16
"""The bucket of a digest is computed from its first 16 bits."""

_NUMBERED = np.dtype([("row", "<i8"), ("content", "<i8")])
"""A row of `CARRIED` on its way back: its content is row `content` of `/contents`."""

_PLACED = np.dtype([("row", "<i8"), *CONTENT.descr])
"""A content on its way to the owner of its row in `/contents`."""

_COLUMNS = ("digest", "size", "copies", "layers", "images", *PROBED_COLUMNS)
"""Columns of `/contents` that are written as they are numbered; the types are renumbered."""


class ContentNumbers:
    """The numbers of all distinct contents; making it is collective.

    :ivar total: number of contents, on every rank.
    :ivar types: descriptions in use, sorted, on every rank.
    """

    def __init__(self, comm: Comm, reader: PlacedReader, scratch: Path) -> None:
        self._comm = comm
        self._reader = reader
        self._placement = placement = reader.placement
        self._scratch = scratch
        carried = int(placement.layers["files"].sum() + placement.layers["hardlinks"].sum())
        self._buckets = min(max(comm.size, -(-carried // _BUCKET_ROWS)), _MAX_BUCKETS)

        # Send the contents of my blocks to the ranks that own their digests, and number mine there
        outward = self._send_contents()
        records = [self._send_extras(kind) for kind in CONTENT_RECORDS]
        counts, used = self._number_buckets(outward, records)
        with Collective(comm):
            reader.check()

        # My contents come after those of lower ranks, since buckets are in order of digest
        everyone = comm.allgather((sum(counts), used))
        first = sum(count for count, _ in everyone[: comm.rank])
        self.total = sum(count for count, _ in everyone)
        self._renumber_types(distinct(np.concatenate([used for _, used in everyone])))
        self._send_back(counts, first)

    def _send_contents(self) -> Shuffle:
        """Send the contents of this rank's blocks to the ranks that own their digests."""
        outward = Shuffle(self._comm, self._scratch, "digests", CARRIED, self._buckets)
        blocks = rank_range(self._comm.rank, self._comm.size, self._placement.blocks)
        for turn in collective_rounds(self._comm, len(blocks)):
            rows = np.empty(0, CARRIED) if turn is None else self._collapse(blocks.start + turn)
            outward.exchange(rows, self._bucket_of(rows))
        return outward

    def _send_extras(self, kind: str) -> Shuffle:
        """Send the records of what probes measured to the ranks that own their digests."""
        records = Shuffle(self._comm, self._scratch, kind, EXTRA_RECORDS[kind], self._buckets)
        mine = self._reader.extras(kind, self._comm.rank, self._comm.size)
        records.exchange_all(mine, self._bucket_of)
        return records

    def _bucket_of(self, rows: np.ndarray) -> np.ndarray:
        """Return (n,) int64, the bucket of each row's digest; buckets are in order of digest."""
        head = np.frombuffer(rows["digest"].tobytes(), ">u2")[::16].astype(np.int64)
        return head * self._buckets >> 16

    def _collapse(self, block: int) -> np.ndarray:
        """Return (m,) `CARRIED`, the contents of a block; places of entries stay on scratch."""
        start = block * CHUNK_ROWS
        stop = min(start + CHUNK_ROWS, self._placement.entries)
        size = self._reader.column("size", start, stop)
        has_content = np.flatnonzero(size != NO_CONTENT)
        layer = self._reader.layers(start, stop)[has_content]

        # One row for each entry with content
        rows = np.empty(len(has_content), CARRIED)
        rows["digest"] = self._reader.column("digest", start, stop)[has_content]
        rows["size"] = size[has_content]
        rows["layer"] = layer
        types = self._reader.column("type", start, stop)[has_content]
        rows["type"] = self._shared_types(types, layer)
        kinds = self._reader.column("kind", start, stop)[has_content]
        rows["files"] = kinds == KINDS["file"]

        # One row for each content of a layer
        rows, place_of = collapse(rows, start, self._contradict)
        places = np.full(stop - start, -1, np.int32)
        places[has_content] = place_of
        write_rows(places, self._places_file(block))
        return rows

    def _contradict(self, layers: np.ndarray) -> None:
        """Report parts that have different sizes for one SHA-256: one of them must be wrong."""
        parts = self._placement.part[layers].tolist()
        self._reader.fault(parts, "two files of one SHA-256 have different sizes")

    def _shared_types(self, types: np.ndarray, layer: np.ndarray) -> np.ndarray:
        """Return (n,) uint32, places in `Placement.types` for the type numbers of the parts.

        :param types: (n,) uint32, and `layer`: (n,) uint32, of each entry.
        """
        result = np.zeros(len(types), np.uint32)
        part = self._placement.part[layer]
        for one in distinct(part):
            chosen = part == one
            shared = self._placement.type_of[one]
            if np.any(types[chosen] >= len(shared)):
                self._reader.fault([int(one)], "a file has no type")
            elif len(shared):
                result[chosen] = shared[types[chosen]]
        return result

    def _number_buckets(
        self, outward: Shuffle, records: list[Shuffle]
    ) -> tuple[list[int], np.ndarray]:
        """Number the contents of each bucket of this rank from 0, and keep them on scratch.

        :returns: how many each bucket has, and (t,) uint32, the types in use.
        """
        counts: list[int] = []
        used = np.empty(0, np.uint32)
        for bucket, rows in outward.buckets():
            contents, place_of = number(rows, self._placement, self._contradict)
            for shuffle in records:
                attach(contents, shuffle.take(bucket))
            numbered = np.empty(len(rows), _NUMBERED)
            numbered["row"] = rows["row"]
            numbered["content"] = place_of
            write_rows(contents, self._contents_file(bucket))
            write_rows(numbered, self._numbers_file(bucket))
            counts.append(len(contents))
            used = distinct(np.concatenate([used, contents["type"]]))
        return counts, used

    def _renumber_types(self, used: np.ndarray) -> None:
        """Number the types in use by description.

        :param used: (t,) uint32, places in `Placement.types`.
        """
        self.types = sorted(self._placement.types[place] for place in used.tolist())
        row = {text: number for number, text in enumerate(self.types)}
        rows = [row.get(text, -1) for text in self._placement.types]
        self._type_row = np.array(rows, row_dtype(len(row)))

    def _send_back(self, counts: list[int], first: int) -> None:
        """Send numbers to the owners of the entries, and contents to the owners of their rows.

        :param counts: contents of each bucket of this rank.
        :param first: row in `/contents` of this rank's first content.
        """
        comm = self._comm

        # Blocks of rows are shared out over the ranks, as the buckets were.
        my_buckets = rank_range(comm.rank, comm.size, self._buckets)
        content_blocks = -(-self.total // CHUNK_ROWS)
        self._to_entries = Shuffle(
            comm, self._scratch, "entries", _NUMBERED, self._placement.blocks
        )
        self._to_contents = Shuffle(comm, self._scratch, "contents-of", _PLACED, content_blocks)

        # Send bucket by bucket; a rank that has fewer takes part with nothing.
        for turn in collective_rounds(comm, len(counts)):
            numbered = np.empty(0, _NUMBERED)
            placed = np.empty(0, _PLACED)
            if turn is not None:
                numbered, placed = self._load(my_buckets.start + turn, first)
                first += counts[turn]
            self._to_entries.exchange(numbered, numbered["row"] // CHUNK_ROWS)
            self._to_contents.exchange(placed, placed["row"] // CHUNK_ROWS)

    def _load(self, bucket: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a bucket with its numbers in the whole dataset, and remove its files.

        :returns: (n,) `_NUMBERED`, and (m,) `_PLACED`.
        """
        numbered = _read_and_remove(self._numbers_file(bucket), _NUMBERED)
        contents = _read_and_remove(self._contents_file(bucket), CONTENT)
        numbered["content"] += first
        placed = np.empty(len(contents), _PLACED)
        placed["row"] = np.arange(first, first + len(contents))
        for name in CONTENT.names or ():
            placed[name] = contents[name]
        return numbered, placed

    def entry_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (block, contents) of the blocks of `/entries` that this rank writes, in order.

        `contents` is (rows of the block,), the row of each entry in `/contents`, -1 for none.
        """
        dtype = np.dtype(row_dtype(self.total))
        for block, rows in self._to_entries.buckets():
            places = _read_and_remove(self._places_file(block), np.dtype(np.int32))
            # The last number has no row: place -1, of entries without content, points at it
            numbers = np.full(len(rows) + 1, -1, dtype)
            numbers[rows["row"] - block * CHUNK_ROWS] = rows["content"]
            yield block, numbers[places]

    def content_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (block, (n,) contents) of the blocks of `/contents` that this rank writes."""
        return self._to_contents.buckets()

    def write(self, writer: ChunkWriter, block: int, rows: np.ndarray) -> None:
        """Write one block of `/contents`, as `content_blocks` yields it."""
        start = block * CHUNK_ROWS
        writer.write_rows("contents", start, start + len(rows), self.total)
        ordered = np.empty(len(rows), _PLACED)
        ordered[rows["row"] - start] = rows
        values = {name: np.ascontiguousarray(ordered[name]) for name in _COLUMNS}
        values["type"] = self._type_row[ordered["type"]]
        for name, column in values.items():
            form = TABLES["contents"].columns[name]
            writer.write(f"contents/{name}", form, start, column, self.total)

    def _places_file(self, block: int) -> Path:
        return self._scratch / f"places-{block}"

    def _contents_file(self, bucket: int) -> Path:
        return self._scratch / f"contents-{bucket}"

    def _numbers_file(self, bucket: int) -> Path:
        return self._scratch / f"numbers-{bucket}"


def _read_and_remove(path: Path, dtype: np.dtype) -> np.ndarray:
    rows = np.fromfile(path, dtype)
    path.unlink()
    return rows
