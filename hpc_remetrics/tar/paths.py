"""Names in a tar as places in a tree: cleaned, their depth, the directories that they imply."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.writing import private_file
from .fault import LayerFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"

_LONG = 255
"""Bytes of the longest path that is kept as it is."""

_DEEP = 128
"""Names in the longest path whose parents are looked at one by one; it has `_LONG` bytes at
least."""

_AT_ONCE = 1 << 20
"""Hashes that are sorted at once."""

_BLOCK = 1 << 16
"""Bytes of a deep path that are hashed at once."""


def clean(path: bytes) -> bytes:
    """Return the path from the root without empty, `.` and `..` parts, as Go's `path.Clean("/" +
    name)`.

    >>> clean(b"./usr//bin/../lib/"), clean(b"/../etc"), clean(b"./")
    (b'usr/lib', b'etc', b'')
    """
    if path[:2] == b"./":
        path = path[2:]
    if path[-1:] == b"/":
        path = path[:-1]
    if (
        b"//" not in path
        and b"/." not in path
        and path[:1] not in (b"/", b".")
        and path[-1:] != b"/"
    ):
        return path
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def key_of(path: bytes) -> bytes:
    """Return what stands for a path in tables held in memory: itself, or a hash if it is long."""
    return path if len(path) <= _LONG else _hash(path).digest()


def _hash(data: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(data, digest_size=16)


class Directories:
    """The distinct directories of a layer: those that are entries, and the parents of entries.

    Up to `room` of them are kept, long ones as 128-bit hashes; beyond that the hashes of all go to
    a file, so that memory stays bounded for a layer of millions of them. Those of more than 128
    names, which no honest layer has, are in `DeepDirectories`.

    :param overflow: where that file may be made.
    :param limit: deep directories that there may be.
    """

    def __init__(self, overflow: Path, room: int = 100_000, limit: int = 20_000_000) -> None:
        self._overflow, self._room = overflow, room
        self._known: set[bytes] = set()
        self._long: set[bytes] = set()
        self._flushed = 0
        self._last = b""
        self._deep = DeepDirectories(overflow.with_suffix(".deep"), room, limit)

    def add_parents(self, path: bytes) -> None:
        """Count the parents of a cleaned path."""
        parent = path.rpartition(b"/")[0]
        if parent != self._last:
            self._last = parent
            if len(parent) > _LONG:
                parent = self._add_long(parent)
            known = self._known
            while parent and parent not in known:
                known.add(parent)
                parent = parent.rpartition(b"/")[0]
            if len(known) > self._room:
                self._flush()

    def add(self, path: bytes) -> None:
        """Count a directory that is an entry itself."""
        if len(path) <= _LONG:
            self._known.add(path)
        elif path.count(b"/") < _DEEP:
            self._long.add(key_of(path))
        else:
            self._deep.add(path)
        if len(self._known) + len(self._long) > self._room:
            self._flush()

    def _add_long(self, path: bytes) -> bytes:
        """Count a long path and its long parents in time linear in its length; return its longest
        short parent."""
        if path.count(b"/") >= _DEEP:
            path = self._deep.add(path)
        start = path.rfind(b"/", 0, _LONG + 1)
        short, at = path[: max(start, 0)], max(start, 0)
        state = _hash(short)
        while at < len(path):
            end = path.find(b"/", at + 1)
            end = len(path) if end < 0 else end
            state.update(path[at:end])
            self._long.add(state.copy().digest())
            if len(self._long) > self._room:
                self._flush()
            at = end
        return short

    def count(self) -> int:
        """Return how many there are, and forget them."""
        deep = self._deep.count()
        if not self._flushed:
            return len(self._known) + len(self._long) + deep
        self._flush()
        try:
            return _distinct(self._overflow, self._flushed) + deep
        finally:
            self._overflow.unlink()

    def _flush(self) -> None:
        with private_file(self._overflow, "ab") as file:
            file.write(b"".join(_hash(path).digest() for path in self._known))
            file.write(b"".join(self._long))
        self._flushed += len(self._known) + len(self._long)
        self._known.clear()
        self._long.clear()
        self._last = b""


def _distinct(file: Path, rows: int, at_once: int = 1 << 21) -> int:
    """Count the distinct 16-byte rows of a file, some range of their values at a time."""
    import numpy as np

    step = (1 << 16) // -(-rows // at_once) + 1
    total = 0
    for start in range(0, 1 << 16, step):
        kept = []
        with open(file, "rb") as stream:
            while data := stream.read(16 << 20):
                hashes = np.frombuffer(data, np.dtype([("range", ">u2"), ("rest", "V14")]))
                kept.append(hashes[(hashes["range"] >= start) & (hashes["range"] < start + step)])
        total += len(np.unique(np.concatenate(kept).view("V16")))
    return total


class DeepDirectories:
    """The distinct directories of more than `_DEEP` names, by 64-bit hashes of all of them at once.

    The hash of a path is the sum over its bytes of a random number for the byte times one for its
    place, so that a running sum has those of all its parents.

    :param overflow: where hashes go that are more than `room`.
    :param limit: directories that there may be.
    """

    def __init__(self, overflow: Path, room: int, limit: int) -> None:
        self._overflow, self._room, self._limit = overflow, room, limit
        self._kept: list[NDArray[np.uint64]] = []
        self._rows = 0
        self._written = 0
        self._look_at = limit
        self._last = b""
        self._factors: Any = None

    def add(self, path: bytes) -> bytes:
        """Count a path and those of its parents that have more than `_DEEP` names; return the next
        one.

        :raises LayerFault: there are more than the limit.
        """
        import numpy as np

        data = np.frombuffer(path, np.uint8)
        ends = np.append(np.flatnonzero(data == ord("/")), len(data))
        above = path[: int(ends[_DEEP - 1])]
        ends = ends[_DEEP:]
        # Skip what the last path had too.
        last = np.frombuffer(self._last, np.uint8)
        both = min(len(last), len(data))
        differing = np.flatnonzero(last[:both] != data[:both])
        shared = int(differing[0]) if len(differing) else both
        is_last_within = shared == len(last)
        ends = ends[ends > shared - (not is_last_within)]
        if len(ends) and shared == len(data) and last[both : both + 1].tobytes() == b"/":
            ends = ends[:-1]
        self._last = path
        if len(ends):
            self._keep(self._sums(data, ends))
        return above

    def count(self) -> int:
        """Return how many there are, and forget them."""
        if not self._rows:
            return 0
        self._flush()
        try:
            return sum(map(len, self._distinct()))
        finally:
            self._overflow.unlink()
            self._rows = self._written = 0

    def _sums(self, data: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Return the hash of the data up to each of its ends."""
        import numpy as np

        if self._factors is None:
            random = np.random.default_rng()
            self._factors = (
                random,
                random.integers(0, 1 << 64, 256, np.uint64),
                np.empty(0, np.uint64),
            )
        random, of_byte, of_place = self._factors
        if len(of_place) < len(data):
            more = random.integers(0, 1 << 64, len(data) - len(of_place), np.uint64)
            of_place = np.concatenate([of_place, more])
            self._factors = random, of_byte, of_place
        hashes = []
        total = np.uint64(0)
        for start in range(0, len(data), _BLOCK):
            piece = slice(start, start + _BLOCK)
            terms = of_byte[data[piece]] * of_place[piece][: len(data) - start]
            terms[:1] += total
            sums = np.cumsum(terms, dtype=np.uint64)
            total = sums[-1]
            first, last = np.searchsorted(ends, (start + 1, start + len(sums) + 1))
            hashes.append(sums[ends[first:last] - 1 - start])
        return np.concatenate(hashes)

    def _keep(self, hashes: NDArray[np.uint64]) -> None:
        self._kept.append(hashes)
        self._rows += len(hashes)
        if self._rows - self._written > self._room:
            self._flush()
        if self._rows > self._look_at:
            self._compact()

    def _flush(self) -> None:
        with private_file(self._overflow, "ab") as file:
            for hashes in self._kept:
                file.write(hashes.tobytes())
        self._kept.clear()
        self._written = self._rows

    def _compact(self) -> None:
        """Keep each hash once, and fail if there are too many."""
        self._flush()
        smaller = self._overflow.with_suffix(".compact")
        rows = 0
        with private_file(smaller, "wb") as file:
            for hashes in self._distinct():
                file.write(hashes.tobytes())
                rows += len(hashes)
        smaller.replace(self._overflow)
        self._rows = self._written = rows
        if rows > self._limit:
            raise LayerFault("tar", "limit_entries", f"more than {self._limit} directories")
        self._look_at = rows + self._limit

    def _distinct(self) -> Iterator[NDArray[np.uint64]]:
        """Yield each hash of the file once, some range of their values at a time."""
        import numpy as np

        parts = -(-self._written // _AT_ONCE)
        for part in range(parts):
            first, last = (part << 64) // parts, ((part + 1) << 64) // parts - 1
            kept = []
            with open(self._overflow, "rb") as stream:
                while data := stream.read(1 << 20):
                    hashes = np.frombuffer(data, np.uint64)
                    kept.append(hashes[(hashes >= np.uint64(first)) & (hashes <= np.uint64(last))])
            # Sorted, since numpy.unique hashes, which takes a hundred times as long.
            words = np.concatenate(kept)
            words.sort()
            is_new = np.ones(len(words), bool)
            np.not_equal(words[1:], words[:-1], out=is_new[1:])
            yield words[is_new]
