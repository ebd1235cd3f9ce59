"""The pass over /entries: every regular file's path is hashed once, and its directory and extension
are counted.

What later passes need of a block stays on scratch, so that paths are read once. A file's *names*
are five: its directory cut to 1, 2, 3 and 4 parts, and its extension; they are known by 64-bit
hashes until the most frequent ones, which alone get numbers, are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from ..files.writing import private_file
from ..mpi.shuffle import Shuffle, collective_rounds
from ..records import KINDS
from .hashing import hash_slices
from .inputs import Inputs
from .path_names import Paths

DEPTHS = 4
EXTENSION = DEPTHS
"""Kind of name of an extension; kinds 0 to 3 are directories of up to 1 to 4 parts."""

NAME_KINDS = DEPTHS + 1

PATH = np.dtype([("one", "<u8"), ("two", "<u8"), ("content", "<i8"), ("row", "<i8")])
"""A file on its way to the home of its path's hash."""

NAME = np.dtype([("hash", "<u8"), ("files", "<i8"), ("row", "<i8"), ("kind", "u1")])
"""A name on its way to the home of its hash: the files of one block that have it, and the first
one's row."""

_BYTES_A_ROW = 192
"""What a row of a bucket takes while it is worked on, with its copies."""


def buckets_for(inputs: Inputs, rows: int, bytes_a_row: int = _BYTES_A_ROW) -> int:
    """Return how many buckets the rows must be dealt to so that each fits into memory."""
    return min(max(inputs.comm.size, -(-rows * bytes_a_row // inputs.memory)), 1 << 16)


@dataclass
class Block:
    """The regular files of one block of /entries, as they stay on scratch.

    :ivar content, layer, row: of each file, its rows in the tables.
    :ivar run: of each file, its place in the next two: neighbours mostly stand in one directory.
    :ivar directories: hashes of directories of up to 1, 2, 3, 4 parts, an array each.
    :ivar texts: directories of up to 4 parts.
    :ivar extension: of each file, its place in the next two.
    """

    content: np.ndarray
    layer: np.ndarray
    row: np.ndarray
    run: np.ndarray
    directories: list[np.ndarray]
    texts: list[bytes]
    extension: np.ndarray
    extensions: np.ndarray
    extension_texts: list[bytes]

    def write(self, file: IO[bytes]) -> None:
        """Write it as plain arrays, one after the other: what lies on scratch is data, never
        code."""
        arrays = [
            self.content,
            self.layer,
            self.row,
            self.run,
            *self.directories,
            self.extension,
            self.extensions,
        ]
        plain = _Plain(file)
        for array in (*arrays, *_joined(self.texts), *_joined(self.extension_texts)):
            np.save(plain, array, allow_pickle=False)

    @classmethod
    def read(cls, file: IO[bytes]) -> Block:
        """Read what `write` wrote.

        :raises ValueError: it is something else.
        """

        def array() -> np.ndarray:
            return np.load(file, allow_pickle=False)

        content, layer, row, run = array(), array(), array(), array()
        directories = [array() for _ in range(DEPTHS)]
        extension, extensions = array(), array()
        texts, extension_texts = _split(array(), array()), _split(array(), array())
        return cls(
            content, layer, row, run, directories, texts, extension, extensions, extension_texts
        )

    def places(self, kind: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the hashes of one kind of names, and each file's place among them."""
        return (
            (self.extensions, self.extension)
            if kind == EXTENSION
            else (self.directories[kind], self.run)
        )

    def text(self, kind: int, file: int) -> bytes:
        """Return a name of a file."""
        if kind == EXTENSION:
            return self.extension_texts[self.extension[file]]
        return b"/".join(self.texts[self.run[file]].split(b"/")[: kind + 1])


class _Plain:
    """A file to which numpy writes as to any other object, so that a full disk is an error that
    says so."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def _joined(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of texts, and all of them one after the other."""
    return np.array([len(text) for text in texts], np.int64), np.frombuffer(
        b"".join(texts), np.uint8
    )


def _split(lengths: np.ndarray, data: np.ndarray) -> list[bytes]:
    ends = np.cumsum(lengths)
    return _slices(data, ends - lengths, lengths)


class FilePass:
    """Reads this rank's blocks of /entries and sends paths and names on their way.

    :param wanted: contents, rising, whose first file is looked for.
    :ivar first: the row of /entries of the first file with each wanted content on this rank.
    :ivar kinds: entries of each kind on this rank.
    """

    def __init__(self, inputs: Inputs, wanted: np.ndarray) -> None:
        files = int(inputs.layer("files").sum())
        buckets = buckets_for(inputs, files)
        self.inputs, self.wanted = inputs, wanted
        self.paths = Shuffle(inputs.comm, inputs.scratch, "paths", PATH, buckets)
        self.names = Shuffle(inputs.comm, inputs.scratch, "names", NAME, buckets)
        self.first = np.full(len(wanted), np.iinfo(np.int64).max)
        self.kinds = np.zeros(len(KINDS), np.int64)
        self._buckets = buckets
        self._blocks = inputs.my_blocks(inputs.entries)
        self._likely = np.zeros(1 << 16, bool)
        self._likely[wanted & 0xFFFF] = True

    def run(self) -> None:
        """Take all blocks; all ranks call it."""
        for turn in collective_rounds(self.inputs.comm, len(self._blocks)):
            paths, names = np.empty(0, PATH), np.empty(0, NAME)
            if turn is not None:
                paths, names = self._block(turn)
            self.paths.exchange(paths, _bucket(paths["one"], self._buckets))
            self.names.exchange(names, _bucket(names["hash"], self._buckets))

    def blocks(self) -> Iterator[Block]:
        """Yield this rank's blocks again, and remove them from scratch."""
        for turn in range(len(self._blocks)):
            path = self.inputs.scratch / f"files-{turn}"
            with open(path, "rb") as file:
                yield Block.read(file)
            path.unlink()

    @property
    def turns(self) -> int:
        return len(self._blocks)

    def _block(self, turn: int) -> tuple[np.ndarray, np.ndarray]:
        start, stop = self._blocks[turn]
        entries = self.inputs.entry
        kind, content = entries.column("kind", start, stop), entries.column("content", start, stop)
        self.kinds += np.bincount(kind, minlength=len(self.kinds))
        chosen = np.flatnonzero((kind == KINDS["file"]) & (content >= 0))
        paths = read_paths(self.inputs, start, stop, chosen)
        content, rows = content[chosen].astype(np.int64), start + chosen
        self._look_for_wanted(content, rows)
        block = _described(paths, content, self.inputs.layer_of(rows), rows)
        with private_file(self.inputs.scratch / f"files-{turn}", "wb") as file:
            block.write(file)
        sent = np.empty(len(rows), PATH)
        sent["one"], sent["two"] = paths.hashes()
        sent["content"], sent["row"] = content, rows
        return sent, _names(block)

    def _look_for_wanted(self, content: np.ndarray, rows: np.ndarray) -> None:
        likely = np.flatnonzero(self._likely[content & 0xFFFF])
        place = np.minimum(
            np.searchsorted(self.wanted, content[likely]), max(len(self.wanted) - 1, 0)
        )
        found = self.wanted[place] == content[likely]
        np.minimum.at(self.first, place[found], rows[likely[found]])


def read_paths(inputs: Inputs, start: int, stop: int, chosen: np.ndarray) -> Paths:
    """Return the paths of some of the rows `start` to `stop` of /entries, given by their places
    there."""
    entries = inputs.entry
    bounds = entries.column("path_offset", start, stop + 1)
    data = entries.column("path", int(bounds[0]), int(bounds[-1]))
    bounds = bounds - bounds[0]
    return Paths(data, bounds[:-1][chosen], bounds[1:][chosen])


def _bucket(hashes: np.ndarray, buckets: int) -> np.ndarray:
    return ((hashes >> np.uint64(48)) * np.uint64(buckets) >> np.uint64(16)).astype(np.int64)


def _described(paths: Paths, content: np.ndarray, layer: np.ndarray, row: np.ndarray) -> Block:
    """Hash and cut the directories and extensions of a block's files."""
    data, start = paths.data, paths.start
    deepest = paths.directory(DEPTHS)
    hashes = hash_slices(data, start, deepest, 1)[0]
    first = (
        np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
        if len(row)
        else np.empty(0, np.int64)
    )
    run = np.zeros(len(row), np.int32)
    run[first[1:]] = 1
    shorter = [
        hash_slices(data, start[first], paths.directory(parts)[first], 1)[0]
        for parts in range(1, DEPTHS)
    ]
    begin, length = paths.extensions()
    extensions, at, extension = np.unique(
        hash_slices(data, begin, length, 1)[0], return_index=True, return_inverse=True
    )
    return Block(
        content,
        layer.astype(np.int32),
        row,
        np.cumsum(run, dtype=np.int32),
        [*shorter, hashes[first]],
        _slices(data, start[first], deepest[first]),
        extension.reshape(-1).astype(np.int32),
        extensions,
        _slices(data, begin[at], length[at]),
    )


def _slices(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> list[bytes]:
    whole = data.tobytes()
    return [
        whole[low:high] for low, high in zip(start.tolist(), (start + length).tolist(), strict=True)
    ]


def _names(block: Block) -> np.ndarray:
    """Return the names of a block's files, each once."""
    pieces: list[Any] = []
    for kind in range(NAME_KINDS):
        hashes, place = block.places(kind)
        counts = np.bincount(place, minlength=len(hashes))
        first = np.full(len(hashes), np.iinfo(np.int64).max)
        np.minimum.at(first, place, block.row)
        unique, inverse = np.unique(hashes, return_inverse=True)
        rows = np.zeros(len(unique), NAME)
        rows["hash"], rows["kind"], rows["row"] = unique, kind, np.iinfo(np.int64).max
        np.add.at(rows["files"], inverse.reshape(-1), counts)
        np.minimum.at(rows["row"], inverse.reshape(-1), first)
        pieces.append(rows)
    return np.concatenate(pieces)
