"""The pass over /entries: hash the path of every regular file, cut it, and send it on.

Paths go to the path join, names to `common_names`. What later passes need of a block stays on
scratch, so that paths are read once. A file has five *names*: its directory cut to 1, 2, 3 and 4
parts, and its extension. They are known by 64-bit hashes until the most frequent ones, which alone
get numbers, are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from ..dataset.path_names import Paths
from ..files.writing import private_file
from ..hashing import hash_slices
from ..mpi.shuffle import Shuffle, collective_rounds
from ..records import KINDS
from .inputs import MetricsInputs

DEPTHS = 4
EXTENSION = DEPTHS
"""Kind of name of an extension; kinds 0 to 3 are directories of up to 1 to 4 parts."""

NAME_KINDS = DEPTHS + 1

PATH = np.dtype([("one", "<u8"), ("two", "<u8"), ("content", "<i8"), ("row", "<i8")])
"""A file on its way to the rank of its path's hash: the hash, and rows of the tables."""

NAME = np.dtype([("hash", "<u8"), ("files", "<i8"), ("row", "<i8"), ("kind", "u1")])
"""A name on its way to the rank of its hash: files of one block that have it, and the first one's
row."""

NO_PATHS = np.empty(0, PATH)
NO_NAMES = np.empty(0, NAME)

_NO_ROW = np.iinfo(np.int64).max

_BYTES_A_ROW = 192
"""Memory that a row of a bucket takes while it is worked on, with its copies."""

_MAX_BUCKETS = 1 << 16


def buckets_for(inputs: MetricsInputs, rows: int) -> int:
    """Return the number of buckets in which rows fit into memory one bucket at a time."""
    buckets = -(-rows * _BYTES_A_ROW // inputs.memory)
    return min(max(inputs.comm.size, buckets), _MAX_BUCKETS)


@dataclass(frozen=True)
class FileBlock:
    """The regular files of one block of /entries, as they are kept on scratch.

    Neighbouring files mostly are in one directory, so directories are kept once for each *run* of
    files:

        row         7        8        9        12
        path        bin/ls   bin/cp   etc/fstab  etc/motd
        run         0        0        1        1
        directories[0]       h(bin)   h(etc)                  one a run
        texts                bin      etc

    :ivar content: (files,) int64, rows of /contents; `row` rows of /entries, ascending; `layer`
        (files,) int32, rows of /layers.
    :ivar run: (files,) int32, place of each file's directory in `directories` and `texts`.
    :ivar directories: hashes of the directories cut to 1, 2, 3, 4 parts, (runs,) uint64 each.
    :ivar texts: the directories cut to 4 parts.
    :ivar extension: (files,) int32, place of each file's extension in `extensions` (their hashes,
        uint64) and `extension_texts`.
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
        """Write the block as plain arrays, one after another: files on scratch are never code."""
        arrays = [self.content, self.layer, self.row, self.run, *self.directories]
        arrays += [self.extension, self.extensions]
        arrays += [*_joined(self.texts), *_joined(self.extension_texts)]
        writer = _Writer(file)
        for array in arrays:
            np.save(writer, array, allow_pickle=False)

    @classmethod
    def read(cls, file: IO[bytes]) -> FileBlock:
        """Read a block that `write` wrote.

        :raises ValueError: the file is something else.
        """

        def array() -> np.ndarray:
            return np.load(file, allow_pickle=False)

        content = array()
        layer = array()
        row = array()
        run = array()
        directories = [array() for _ in range(DEPTHS)]
        extension = array()
        extensions = array()
        texts = _split(array(), array())
        extension_texts = _split(array(), array())
        return cls(
            content, layer, row, run, directories, texts, extension, extensions, extension_texts
        )

    def hashes(self, kind: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the hashes of one kind of names, and (files,) each file's place among them."""
        if kind == EXTENSION:
            return self.extensions, self.extension
        return self.directories[kind], self.run

    def name(self, kind: int, file: int) -> bytes:
        """Return a name of a file, given by its place in the block."""
        if kind == EXTENSION:
            return self.extension_texts[self.extension[file]]
        return b"/".join(self.texts[self.run[file]].split(b"/")[: kind + 1])


class _Writer:
    """Nothing of a file but `write`: numpy reports a full disk for objects, not for real files."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def _joined(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of byte strings, and all of them one after another as uint8."""
    lengths = np.array([len(text) for text in texts], np.int64)
    return lengths, np.frombuffer(b"".join(texts), np.uint8)


def _split(lengths: np.ndarray, data: np.ndarray) -> list[bytes]:
    """Undo `_joined`."""
    return _slices(data, np.cumsum(lengths) - lengths, lengths)


class FilePass:
    """Reads this rank's blocks of /entries, and sends paths and names to other ranks.

    :param wanted: rows of /contents, ascending, whose first file is looked for.
    :ivar paths: the files, in buckets of their paths' hashes; `names` their names.
    :ivar first: (wanted,) int64, the row of /entries of the first file with each wanted content.
    :ivar kinds: (kinds,) int64, entries of each kind.
    """

    def __init__(self, inputs: MetricsInputs, wanted: np.ndarray) -> None:
        self._buckets = buckets_for(inputs, int(inputs.layer("files").sum()))
        self.inputs = inputs
        self.wanted = wanted
        self.paths = Shuffle(inputs.comm, inputs.scratch, "paths", PATH, self._buckets)
        self.names = Shuffle(inputs.comm, inputs.scratch, "names", NAME, self._buckets)
        self.first = np.full(len(wanted), _NO_ROW)
        self.kinds = np.zeros(len(KINDS), np.int64)
        self._blocks = inputs.my_blocks(inputs.entries)
        # Whether a wanted content has these lower 16 bits: most files need no search.
        self._is_likely = np.zeros(1 << 16, bool)
        self._is_likely[wanted & 0xFFFF] = True

    @property
    def rounds(self) -> int:
        """Number of blocks of this rank."""
        return len(self._blocks)

    def run(self) -> None:
        """Read all blocks. Collective."""
        for turn in collective_rounds(self.inputs.comm, self.rounds):
            paths = NO_PATHS
            names = NO_NAMES
            if turn is not None:
                paths, names = self._read_block(turn)
            self.paths.exchange(paths, _bucket(paths["one"], self._buckets))
            self.names.exchange(names, _bucket(names["hash"], self._buckets))

    def blocks(self) -> Iterator[FileBlock]:
        """Yield this rank's blocks again, and remove them from scratch."""
        for turn in range(self.rounds):
            path = self.inputs.scratch / f"files-{turn}"
            with open(path, "rb") as file:
                block = FileBlock.read(file)
            path.unlink()
            yield block

    def _read_block(self, turn: int) -> tuple[np.ndarray, np.ndarray]:
        """Keep a block on scratch; return its files as `PATH`, its names as `NAME`."""
        start, stop = self._blocks[turn]
        # Choose the regular files.
        kind = self.inputs.entry.column("kind", start, stop)
        content = self.inputs.entry.column("content", start, stop)
        self.kinds += np.bincount(kind, minlength=len(self.kinds))
        chosen = np.flatnonzero((kind == KINDS["file"]) & (content >= 0))
        content = content[chosen].astype(np.int64)
        rows = start + chosen
        self._look_for_wanted(content, rows)
        # Hash and cut their paths.
        paths = read_paths(self.inputs, start, stop, chosen)
        block = _cut(paths, content, self.inputs.layer_of(rows), rows)
        with private_file(self.inputs.scratch / f"files-{turn}", "wb") as file:
            block.write(file)
        sent = np.empty(len(rows), PATH)
        sent["one"], sent["two"] = paths.hashes()
        sent["content"] = content
        sent["row"] = rows
        return sent, _names(block)

    def _look_for_wanted(self, content: np.ndarray, rows: np.ndarray) -> None:
        """Note the first file of each wanted content."""
        likely = np.flatnonzero(self._is_likely[content & 0xFFFF])
        last = max(len(self.wanted) - 1, 0)
        place = np.minimum(np.searchsorted(self.wanted, content[likely]), last)
        is_wanted = self.wanted[place] == content[likely]
        np.minimum.at(self.first, place[is_wanted], rows[likely[is_wanted]])


def read_paths(inputs: MetricsInputs, start: int, stop: int, chosen: np.ndarray) -> Paths:
    """Return the paths of some of the rows `start` to `stop` of /entries.

    :param chosen: (n,) int64, places counted from `start`, ascending.
    """
    bounds = inputs.entry.column("path_offset", start, stop + 1)
    data = inputs.entry.column("path", int(bounds[0]), int(bounds[-1]))
    bounds = bounds - bounds[0]
    return Paths(data, bounds[:-1][chosen], bounds[1:][chosen])


def _bucket(hashes: np.ndarray, buckets: int) -> np.ndarray:
    """Return the bucket of each hash, by its upper 16 bits, as (n,) int64."""
    return ((hashes >> np.uint64(48)) * np.uint64(buckets) >> np.uint64(16)).astype(np.int64)


def _cut(paths: Paths, content: np.ndarray, layer: np.ndarray, row: np.ndarray) -> FileBlock:
    """Hash and cut the directories and extensions of a block's files."""
    data = paths.data
    start = paths.start
    # A run begins where the directory is another than the file's before.
    deepest = paths.directory(DEPTHS)
    hashes = hash_slices(data, start, deepest, 1)[0]
    first = np.empty(0, np.int64)
    if len(row):
        first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
    is_next = np.zeros(len(row), np.int32)
    is_next[first[1:]] = 1
    # Directories are hashed once a run.
    shorter = [
        hash_slices(data, start[first], paths.directory(parts)[first], 1)[0]
        for parts in range(1, DEPTHS)
    ]
    # Extensions are few.
    begin, length = paths.extensions()
    extension_hashes = hash_slices(data, begin, length, 1)[0]
    extensions, at, place = np.unique(extension_hashes, return_index=True, return_inverse=True)
    return FileBlock(
        content=content,
        layer=layer.astype(np.int32),
        row=row,
        run=np.cumsum(is_next, dtype=np.int32),
        directories=[*shorter, hashes[first]],
        texts=_slices(data, start[first], deepest[first]),
        extension=place.ravel().astype(np.int32),
        extensions=extensions,
        extension_texts=_slices(data, begin[at], length[at]),
    )


def _slices(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> list[bytes]:
    whole = data.tobytes()
    ends = (start + length).tolist()
    return [whole[low:high] for low, high in zip(start.tolist(), ends, strict=True)]


def _names(block: FileBlock) -> np.ndarray:
    """Return the distinct names of a block's files, as (n,) `NAME`."""
    pieces = []
    for kind in range(NAME_KINDS):
        hashes, place = block.hashes(kind)
        # Count the files of each run or extension, and find the first.
        files = np.bincount(place, minlength=len(hashes))
        first = np.full(len(hashes), _NO_ROW)
        np.minimum.at(first, place, block.row)
        # Several runs may be of one directory.
        unique, inverse = np.unique(hashes, return_inverse=True)
        rows = np.zeros(len(unique), NAME)
        rows["hash"] = unique
        rows["kind"] = kind
        rows["row"] = _NO_ROW
        np.add.at(rows["files"], inverse.ravel(), files)
        np.minimum.at(rows["row"], inverse.ravel(), first)
        pieces.append(rows)
    return np.concatenate(pieces)
