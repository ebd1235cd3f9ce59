"""Gather: the parts of a run become one dataset, by all ranks, in memory that does not grow with
the entries.

1. The root places the layers: sorted by digest, their entries one after the other (`placement.py`).
2. The distinct contents of each layer travel to the home of their digest, a range of its first
   bytes, which numbers the contents in order (`shuffle.py`, `number.py`).
3. The numbers travel back to the owners of the entries, the contents to the owners of their rows.
4. Owners write their blocks chunk by chunk (`chunks.py`); blobs are cut from the parts by bytes.
   What is small the root writes alone (`small.py`).

Every number is a function of the parts alone, so any number of ranks makes the same file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..claimed_sizes import false_sizes
from ..dataset.chunk_writer import ChunkWriter
from ..dataset.hdf5 import new_file
from ..dataset.ledger import Ledger
from ..dataset.schema import CHUNK_BYTES, CHUNK_ROWS, TABLES, row_dtype
from ..dataset.table_writer import describe_file
from ..files.disk_errors import disk_errors
from ..files.outputs import real_name
from ..files.publish import publish_whole, temporary_name
from ..files.writing import remove
from ..mpi.collective import Collective, on_rank_0
from ..mpi.comm import Comm
from ..mpi.shuffle import Shuffle, collective_rounds, write_rows
from ..parts.part_format import EXTRA_RECORDS
from ..parts.parts_directory import scan_parts
from ..parts.spill_format import CONTENT_RECORDS, NO_CONTENT, PROBED_COLUMNS
from ..records import KINDS, STATUSES, Catalog, Failure, Image, Layer
from ..row_ranges import rank_range
from .fingerprints import Fingerprints
from .numbering import CARRIED, CONTENT, attach, collapse, number
from .placement import PartReader, PlacedReader, Placement, in_order, place, sorted_images
from .root_tables import write_small

_BUCKET_ROWS = 1 << 19
"""Rows with content that a bucket of digests holds on average."""

Finish: TypeAlias = Callable[[Path], None]

_NUMBERED = np.dtype([("row", "<i8"), ("content", "<i8")])
_PLACED = np.dtype([("row", "<i8"), *CONTENT.descr])


def gather(
    comm: Comm,
    directory: Path,
    catalog: Catalog | None,
    output: Path,
    scratch: Path,
    run: Mapping[str, Any] | None,
    finish: Finish | None = None,
    without: Container[str] = (),
    check_sizes: bool = False,
) -> Ledger:
    """Make the dataset `output` of the parts in `directory`, replacing what is there; all ranks
    call it.

    :param catalog: on the root, the images whose layers belong to the dataset; all must stand in
        parts.
    :param scratch: a folder on node-local disk for the rows on their way.
    :param run: on the root, what goes to `/run`: values, and mappings from column to list.
    :param finish: what all ranks do with the file when all is in it, before it has its name.
    :param without: names of parts that are passed over.
    :param check_sizes: note in `/failures` which images state a wrong size for a layer.
    :raises OutputError: the output or scratch can't be written; what was there before is still
        there.
    :raises PartError: entries of a part can't be; on every rank.
    """
    found = scan_parts(directory, comm, without)
    images = sorted_images(catalog) if catalog is not None else []
    placed: Placement | None = None
    if comm.rank == comm.root:
        placed = place(found.parts, images)
        if check_sizes:
            _note_false_sizes(placed, images)
    placement: Placement = comm.bcast(placed)
    if placement.missing:
        raise RuntimeError(f"{placement.missing} layers stand in no part")
    return Gather(comm, placement, PartReader(placement), scratch).run(
        catalog, images, output, run, finish
    )


def _note_false_sizes(placement: Placement, images: list[Image]) -> None:
    """Note which images state a wrong size for a layer that could be read."""
    layers = placement.layers[placement.layers["status"] != STATUSES["failed"]]
    digests = [digest.tobytes() for digest in layers["digest"]]
    sizes = dict(zip(digests, layers["CLS"].tolist(), strict=True))
    claims = [
        Failure(layer.digest, "manifest", "size_mismatch", _about_size(image, layer, sizes))
        for image, layer in false_sizes(Catalog(images), sizes)
    ]
    placement.failures = in_order([*placement.failures, *claims])


def _about_size(image: Image, layer: Layer, sizes: Mapping[bytes, int]) -> str:
    size = sizes[layer.digest.raw]
    return f"{image.name[:250]} ({image.digest}) states {layer.size} bytes, it has {size}"


class Gather:
    """One gather on one rank: rows that `reader` gives come to where `placement` says."""

    def __init__(
        self, comm: Comm, placement: Placement, reader: PlacedReader, scratch: Path
    ) -> None:
        self.comm, self.placement, self.scratch = comm, placement, scratch
        self.blocks = rank_range(comm.rank, comm.size, placement.blocks)
        self.reader = reader

    def run(
        self,
        catalog: Catalog | None,
        images: list[Image],
        output: Path,
        run: Mapping[str, Any] | None,
        finish: Finish | None = None,
    ) -> Ledger:
        """Number, then write under a temporary name, which becomes the dataset's when it is
        whole."""
        comm = self.comm
        temporary: Path = on_rank_0(comm, lambda: temporary_name(real_name(output)))
        with Collective(comm), disk_errors(self.scratch, "scratch"):
            numbers = self._number()
            self.reader.check()
        try:
            with contextlib.ExitStack() as opened:
                file = None
                with Collective(comm), disk_errors(output, "the dataset"):
                    if catalog is not None and run is not None:
                        file, sink = opened.enter_context(new_file(temporary))
                        describe_file(file)
                        large = {"contents": numbers.total, "chunks": numbers.chunks.total}
                        write_small(
                            file, self.placement, catalog, images, numbers.types, run, large
                        )
                        sink.check()
                self._write(file, numbers)
                with Collective(comm), disk_errors(output, "the dataset"):
                    self.reader.check()
                    opened.close()
            if finish is not None:
                finish(temporary)
            with Collective(comm), disk_errors(output, "the dataset"):
                if comm.rank == comm.root:
                    publish_whole(temporary, output)
        finally:
            if comm.rank == comm.root:
                remove(temporary)
        return self._ledger()

    def _number(self) -> _Numbers:
        """Number the distinct contents and bring the numbers to the owners of the entries."""
        comm = self.comm
        outward = Shuffle(comm, self.scratch, "digests", CARRIED, self._buckets)
        for block in collective_rounds(self.comm, len(self.blocks)):
            rows = (
                self._carried(self.blocks.start + block)
                if block is not None
                else np.empty(0, CARRIED)
            )
            outward.exchange(rows, self._home(rows))
        known = [self._known(name) for name in CONTENT_RECORDS]
        counts, used = self._number_buckets(outward, known)
        with Collective(comm):
            self.reader.check()
        everyone = comm.allgather((sum(counts), used))
        first = sum(count for count, _ in everyone[: comm.rank])
        types = np.unique(np.concatenate([used for _, used in everyone]))
        return self._send_back(counts, first, sum(count for count, _ in everyone), types)

    def _known(self, name: str) -> Shuffle:
        """Bring what is known of some contents to the home of their digests."""
        known = Shuffle(self.comm, self.scratch, name, EXTRA_RECORDS[name], self._buckets)
        known.exchange_all(self.reader.extras(name, self.comm.rank, self.comm.size), self._home)
        return known

    def _home(self, rows: np.ndarray) -> np.ndarray:
        """Return the bucket of each row's digest."""
        return (
            np.frombuffer(rows["digest"].tobytes(), ">u2")[::16].astype(np.int64) * self._buckets
            >> 16
        )

    def _carried(self, block: int) -> np.ndarray:
        """Return the distinct contents of a block's layers; where each entry's stands among them
        stays on scratch."""
        start, stop = self._bounds(block)
        size = self.reader.column("size", start, stop)
        has = np.flatnonzero(size != NO_CONTENT)
        rows = np.empty(len(has), CARRIED)
        layer = self.reader.layers(start, stop)[has]
        rows["digest"] = self.reader.column("digest", start, stop)[has]
        rows["size"], rows["layer"] = size[has], layer
        rows["type"] = self._types(self.reader.column("type", start, stop)[has], layer)
        rows["files"] = self.reader.column("kind", start, stop)[has] == KINDS["file"]
        rows, place_of = collapse(rows, start, self._contradict)
        places = np.full(stop - start, -1, np.int32)
        places[has] = place_of
        write_rows(places, self._places(block))
        return rows

    def _contradict(self, layers: np.ndarray) -> None:
        """Keep in mind which parts have different sizes for one SHA-256: one of them, at least, is
        wrong."""
        self.reader.fault(
            self.placement.part[layers].tolist(), "two files of one SHA-256 have different sizes"
        )

    def _places(self, block: int) -> Path:
        return self.scratch / f"places-{block}"

    def _types(self, types: np.ndarray, layer: np.ndarray) -> np.ndarray:
        """Return places in `Placement.types` for the type numbers of the parts."""
        result = np.zeros(len(types), np.uint32)
        part = self.placement.part[layer]
        for one in np.unique(part):
            chosen, known = part == one, self.placement.type_of[one]
            if np.any(types[chosen] >= len(known)):
                self.reader.fault([int(one)], "a file has no type")
            elif len(known):
                result[chosen] = known[types[chosen]]
        return result

    def _bounds(self, block: int) -> tuple[int, int]:
        return block * CHUNK_ROWS, min((block + 1) * CHUNK_ROWS, self.placement.entries)

    def _number_buckets(
        self, outward: Shuffle, known: list[Shuffle]
    ) -> tuple[list[int], np.ndarray]:
        """Number the contents of each bucket by itself; return how many each has, and the types in
        use."""
        counts: list[int] = []
        used = np.empty(0, np.uint32)
        for bucket, rows in outward.buckets():
            contents, place_of = number(rows, self.placement, self._contradict)
            for records in known:
                attach(contents, records.take(bucket))
            write_rows(contents, self.scratch / f"contents-{bucket}")
            numbered = np.empty(len(rows), _NUMBERED)
            numbered["row"], numbered["content"] = rows["row"], place_of
            write_rows(numbered, self.scratch / f"numbers-{bucket}")
            counts.append(len(contents))
            used = np.union1d(used, contents["type"])
        return counts, used

    def _send_back(self, counts: list[int], first: int, total: int, types: np.ndarray) -> _Numbers:
        comm = self.comm
        homes = rank_range(comm.rank, comm.size, self._buckets)
        to_entries = Shuffle(comm, self.scratch, "entries", _NUMBERED, self.placement.blocks)
        to_contents = Shuffle(comm, self.scratch, "contents-of", _PLACED, -(-total // CHUNK_ROWS))
        for turn in collective_rounds(self.comm, len(counts)):
            numbered, placed = np.empty(0, _NUMBERED), np.empty(0, _PLACED)
            if turn is not None:
                numbered, placed = self._load(homes.start + turn, first)
                first += counts[turn]
            to_entries.exchange(numbered, numbered["row"] // CHUNK_ROWS)
            to_contents.exchange(placed, placed["row"] // CHUNK_ROWS)
        chunks = Fingerprints(comm, self.reader, self.scratch)
        return _Numbers(to_entries, to_contents, total, chunks, *self._final_types(types))

    def _final_types(self, used: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Return the descriptions in use, sorted, and the row there of each place in
        `Placement.types`."""
        descriptions = sorted(self.placement.types[number] for number in used.tolist())
        row = {text: n for n, text in enumerate(descriptions)}
        return descriptions, np.array(
            [row.get(text, -1) for text in self.placement.types], row_dtype(len(row))
        )

    @cached_property
    def _buckets(self) -> int:
        layers = self.placement.layers
        carried = int(layers["files"].sum() + layers["hardlinks"].sum())
        return min(max(self.comm.size, -(-carried // _BUCKET_ROWS)), 1 << 16)

    def _load(self, bucket: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a bucket's rows with their numbers in the whole dataset, and remove its files."""
        numbers, contents = self.scratch / f"numbers-{bucket}", self.scratch / f"contents-{bucket}"
        numbered, found = np.fromfile(numbers, _NUMBERED), np.fromfile(contents, CONTENT)
        numbers.unlink()
        contents.unlink()
        numbered["content"] += first
        placed = np.empty(len(found), _PLACED)
        placed["row"] = np.arange(first, first + len(found))
        for name in CONTENT.names or ():
            placed[name] = found[name]
        return numbered, placed

    def _write(self, file: Any, numbers: _Numbers) -> None:
        """Write this rank's share of the big tables; on the root, put in place what the others
        send."""
        writer = ChunkWriter(self.comm, file)
        with Collective(self.comm), disk_errors(self.scratch, "scratch"):
            try:
                for piece in self._pieces(writer, numbers):
                    piece()
                    writer.drain()
            except Exception:
                # The others wait until what they sent is taken, or for those who have not sent all.
                writer.finish()
                raise
            writer.finish()
        self.reader.close()

    def _pieces(self, writer: ChunkWriter, numbers: _Numbers) -> Iterator[Any]:
        dtype = np.dtype(row_dtype(numbers.total))
        lengths = _Offsets(self.placement, self.reader)
        for block, rows in numbers.to_entries.buckets():
            yield lambda block=block, rows=rows: self._write_block(
                writer, block, rows, dtype, lengths
            )
        for block, rows in numbers.to_contents.buckets():
            yield lambda block=block, rows=rows: _write_contents(writer, block, rows, numbers)
        for block, rows in numbers.chunks.blocks():
            yield lambda block=block, rows=rows: numbers.chunks.write(writer, block, rows)
        for name in ("path", "link"):
            for chunk in rank_range(
                self.comm.rank, self.comm.size, self.placement.blob_chunks(name)
            ):
                yield lambda name=name, chunk=chunk: self._write_blob(writer, name, chunk)

    def _write_block(
        self, writer: ChunkWriter, block: int, rows: np.ndarray, dtype: np.dtype, lengths: _Offsets
    ) -> None:
        """Write one block of /entries."""
        start, stop = self._bounds(block)
        places = np.fromfile(self._places(block), np.int32)
        self._places(block).unlink()
        # The last place, which no row has, is that of entries without content.
        numbers = np.full(len(rows) + 1, -1, dtype)
        numbers[rows["row"] - start] = rows["content"]
        content = numbers[places]
        columns, size = TABLES["entries"].columns, self.placement.entries
        writer.write("entries/content", columns["content"], start, content, size)
        for name in ("kind", "mode", "uid", "gid", "mtime", "mtime_ns"):
            writer.write(
                f"entries/{name}", columns[name], start, self.reader.column(name, start, stop), size
            )
        for name in ("path", "link"):
            offsets = lengths.block(name, start, stop)
            if stop == size:
                offsets = np.append(offsets, self.placement.first[name][-1])
            writer.write(
                f"entries/{name}_offset", columns[f"{name}_offset"], start, offsets, size + 1
            )

    def _write_blob(self, writer: ChunkWriter, name: str, chunk: int) -> None:
        start, size = chunk * CHUNK_BYTES, int(self.placement.first[name][-1])
        values = np.frombuffer(
            self.reader.blob(name, start, min(start + CHUNK_BYTES, size)), np.uint8
        )
        writer.write(f"entries/{name}", TABLES["entries"].columns[name], start, values, size)

    def _ledger(self) -> Ledger:
        counts = np.bincount(self.placement.layers["status"], minlength=len(STATUSES)).tolist()
        return Ledger(*(counts[STATUSES[word]] for word in ("ok", "partial", "failed")))


@dataclass
class _Numbers:
    """What numbering found.

    :ivar to_entries: rows with their contents' numbers, at the owners of the rows.
    :ivar to_contents: contents, at the owners of their rows in /contents.
    :ivar total: number of contents.
    :ivar chunks: the distinct chunks, at the owners of their rows.
    :ivar types: descriptions in use, sorted.
    :ivar type_row: place in `Placement.types` -> row in /types.
    """

    to_entries: Shuffle
    to_contents: Shuffle
    total: int
    chunks: Fingerprints
    types: list[str]
    type_row: np.ndarray


class _Offsets:
    """Where paths and links begin, block after block."""

    def __init__(self, placement: Placement, reader: PlacedReader) -> None:
        self._placement, self._reader = placement, reader
        self._next: dict[str, tuple[int, int]] = {}

    def block(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return the offsets of the entries `start` to `stop`."""
        at, offset = self._next.get(name, (-1, 0))
        if at != start:
            offset = self._begin(name, start)
        lengths = self._reader.column(f"{name}_length", start, stop).astype(np.int64)
        ends = offset + np.cumsum(lengths)
        self._check(name, start, stop, ends)
        self._next[name] = stop, int(ends[-1])
        return ends - lengths

    def _check(self, name: str, start: int, stop: int, ends: np.ndarray) -> None:
        """Compare where the last path of each layer that ends here ends with what the layer's row
        says."""
        last = self._placement.first["entries"][1:]
        for layer in np.flatnonzero(
            (last > start) & (last <= stop) & (np.diff(last, prepend=0) > 0)
        ).tolist():
            if ends[last[layer] - start - 1] != self._placement.first[name][layer + 1]:
                self._reader.fault(
                    [int(self._placement.part[layer])], f"the lengths of its {name}s don't add up"
                )
                return

    def _begin(self, name: str, row: int) -> int:
        """Return the offset of a row: that of its layer, and the lengths before it in the layer."""
        entries = self._placement.first["entries"]
        layer = int(np.searchsorted(entries, row, "right")) - 1
        offset = int(self._placement.first[name][layer])
        for start in range(int(entries[layer]), row, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, row)
            offset += int(self._reader.column(f"{name}_length", start, stop).sum(dtype=np.int64))
        return offset


def _write_contents(writer: ChunkWriter, block: int, rows: np.ndarray, numbers: _Numbers) -> None:
    """Write one block of /contents."""
    start = block * CHUNK_ROWS
    ordered = np.empty(len(rows), _PLACED)
    ordered[rows["row"] - start] = rows
    columns = TABLES["contents"].columns
    for name in ("digest", "size", "copies", "layers", "images", *PROBED_COLUMNS):
        writer.write(
            f"contents/{name}",
            columns[name],
            start,
            np.ascontiguousarray(ordered[name]),
            numbers.total,
        )
    writer.write(
        "contents/type", columns["type"], start, numbers.type_row[ordered["type"]], numbers.total
    )
