"""Paths of a tar: clean them, and count the distinct directories that they imply.

A directory need not be an entry: `usr/lib/a` alone implies `usr` and `usr/lib`.
"""

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

_LONG_BYTES = 255
"""Bytes of the longest path that is kept as it is."""

_DEEP_NAMES = 128
"""Names in the longest path whose parents are counted one by one; it has 255 bytes at least."""

_SORTED_HASHES = 1 << 20
"""64-bit hashes that are sorted together."""

_SORTED_ROWS = 1 << 21
"""128-bit hashes that are sorted together."""

_HASHED_BYTES = 1 << 16
"""Bytes of a deep path that are hashed together."""


def whiteout_target(path: bytes) -> bytes | None:
    """Return the path that a whiteout removes, None if it names nothing.

    :param path: of the whiteout, cleaned.

    >>> whiteout_target(b"var/.wh.log"), whiteout_target(b".wh..")
    (b'var/log', None)
    """
    directory, slash, name = path.rpartition(b"/")
    gone = name[len(WHITEOUT) :]
    return None if gone in (b"", b".", b"..") else directory + slash + gone


def clean(path: bytes) -> bytes:
    """Return a path without empty, `.` and `..` parts and without slashes at its ends.

    It is what Go's `path.Clean("/" + name)` returns behind its first slash.

    >>> clean(b"./usr//bin/../lib/"), clean(b"/../etc"), clean(b"./")
    (b'usr/lib', b'etc', b'')
    """
    # Most paths need no more than this
    if path[:2] == b"./":
        path = path[2:]
    if path[-1:] == b"/":
        path = path[:-1]
    # (`in` of bytes raises an exception inside before it looks for them)
    if (
        path.find(b"//") < 0
        and path.find(b"/.") < 0
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
    """Return a short key of a path for tables in memory: itself, or a hash if it is long."""
    return path if len(path) <= _LONG_BYTES else _hash(path).digest()


def _hash(data: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(data, digest_size=16)


class Directories:
    """Counts the distinct directories of a layer: its entries, and the parents of its entries.

        path of a directory        kept as
        up to 255 bytes            the path itself             `room` of both in memory; then the
        longer, up to 128 names    a 128-bit hash              hashes of all go to a file
        more than 128 names        see `DeepDirectories`       (no honest layer has them)

    So memory stays bounded for a layer with millions of directories.

    :param overflow: path of the file, which is made only if needed.
    :param room: directories in memory.
    :param limit: deep directories that there may be.
    """

    def __init__(self, overflow: Path, room: int = 100_000, limit: int = 20_000_000) -> None:
        self._overflow = overflow
        self._room = room
        self._known: set[bytes] = set()
        self._long: set[bytes] = set()
        self._flushed = 0
        """Rows of the file."""
        self._last = b""
        """The parent that was counted last, as many entries have the same one."""
        self._deep = DeepDirectories(overflow.with_suffix(".deep"), room, limit)

    def add_parents(self, path: bytes) -> None:
        """Count the parents of a cleaned path."""
        parent = path.rpartition(b"/")[0]
        if parent != self._last:
            self._last = parent
            if len(parent) > _LONG_BYTES:
                parent = self._add_long(parent)
            # The parents of a known directory are known
            known = self._known
            while parent and parent not in known:
                known.add(parent)
                parent = parent.rpartition(b"/")[0]
            if len(known) > self._room:
                self._flush()

    def add(self, path: bytes) -> None:
        """Count a directory that is an entry itself, without its parents."""
        if len(path) <= _LONG_BYTES:
            self._known.add(path)
        elif path.count(b"/") < _DEEP_NAMES:
            self._long.add(key_of(path))
        else:
            self._deep.add(path)
        if len(self._known) + len(self._long) > self._room:
            self._flush()

    def _add_long(self, path: bytes) -> bytes:
        """Count a long path and its long parents; return its longest short parent.

        The time is linear in the length of the path: each hash continues that of the parent.
        """
        # Leave a path of very many names to the table of deep ones, down to a short parent.
        if path.count(b"/") >= _DEEP_NAMES:
            path = self._deep.add(path)
            if len(path) <= _LONG_BYTES:
                return path

        # Count the path and each parent that is longer than a short one by its hash.
        at = max(path.rfind(b"/", 0, _LONG_BYTES + 1), 0)
        short = path[:at]
        state = _hash(short)
        while at < len(path):
            end = path.find(b"/", at + 1)
            if end == -1:
                end = len(path)
            state.update(path[at:end])
            self._long.add(state.copy().digest())
            if len(self._long) > self._room:
                self._flush()
            at = end
        return short

    def count(self) -> int:
        """Return how many distinct directories there are, and forget them."""
        deep = self._deep.count()
        if not self._flushed:
            return len(self._known) + len(self._long) + deep
        self._flush()
        try:
            return _distinct(self._overflow, self._flushed) + deep
        finally:
            self._overflow.unlink()

    def _flush(self) -> None:
        """Append the hashes of all directories in memory to the file."""
        with private_file(self._overflow, "ab") as file:
            file.write(b"".join(_hash(path).digest() for path in self._known))
            file.write(b"".join(self._long))
        self._flushed += len(self._known) + len(self._long)
        self._known.clear()
        self._long.clear()
        self._last = b""


def _distinct(file: Path, rows: int) -> int:
    """Count the distinct rows of 16 bytes in a file, one range of their values after the other."""
    import numpy as np

    # The ranges are of the first two bytes, and have about `_SORTED_ROWS` rows each
    step = (1 << 16) // -(-rows // _SORTED_ROWS) + 1
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
    """Counts the distinct directories of more than `_DEEP_NAMES` names, by 64-bit hashes.

    The hash of a path is a sum over its bytes: a random factor of the byte times a random factor of
    its place. So one running sum has the hashes of all parents of a path:

        path      a    /    b    b    /    c
        sums      s1   s2   s3   s4   s5   s6
        hashes    "a"            "a/bb"    "a/bb/c"

    :param overflow: path of the file for more than `room` hashes.
    :param limit: directories that there may be.
    """

    def __init__(self, overflow: Path, room: int, limit: int) -> None:
        self._overflow = overflow
        self._room = room
        self._limit = limit
        self._kept: list[NDArray[np.uint64]] = []
        self._rows = 0
        """Hashes in memory and in the file, of which `_written` are in the file."""
        self._written = 0
        self._compact_beyond = limit
        """Rows beyond which repeated hashes are removed from the file."""
        self._last = b""
        self._factors: Any = None
        """A random generator, the factors of bytes (256,) and of places (n,), uint64."""

    def add(self, path: bytes) -> bytes:
        """Count a path and its deep parents; return its longest parent that is not deep.

        :raises LayerFault: there are more than the limit.
        """
        import numpy as np

        # Find where each name ends, and drop those that are not deep
        data = np.frombuffer(path, np.uint8)
        ends = np.append(np.flatnonzero(data == ord("/")), len(data))
        above = path[: int(ends[_DEEP_NAMES - 1])]
        ends = ends[_DEEP_NAMES:]

        # Drop the directories that the last path has too
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
        """Return how many distinct directories there are, and forget them."""
        if not self._rows:
            return 0
        self._flush()
        try:
            return sum(map(len, self._distinct()))
        finally:
            self._overflow.unlink()
            self._rows = 0
            self._written = 0

    def _sums(self, data: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Return the hash of the data up to each of its ends.

        :param data: (bytes,) of a path.
        :param ends: (n,) ascending.
        :returns: (n,).
        """
        import numpy as np

        # Draw factors of bytes once, and of places as far as paths have come
        if self._factors is None:
            random = np.random.default_rng()
            of_byte = random.integers(0, 1 << 64, 256, np.uint64)
            self._factors = random, of_byte, np.empty(0, np.uint64)
        random, of_byte, of_place = self._factors
        if len(of_place) < len(data):
            more = random.integers(0, 1 << 64, len(data) - len(of_place), np.uint64)
            of_place = np.concatenate([of_place, more])
            self._factors = random, of_byte, of_place

        # Sum up block by block, and take the sums at the ends
        hashes = []
        total = np.uint64(0)
        for start in range(0, len(data), _HASHED_BYTES):
            piece = slice(start, start + _HASHED_BYTES)
            terms = of_byte[data[piece]] * of_place[piece][: len(data) - start]
            terms[:1] += total
            sums = np.cumsum(terms, dtype=np.uint64)
            total = sums[-1]
            first, last = np.searchsorted(ends, (start + 1, start + len(sums) + 1))
            hashes.append(sums[ends[first:last] - 1 - start])
        return np.concatenate(hashes)

    def _keep(self, hashes: NDArray[np.uint64]) -> None:
        """Keep hashes (n,) in memory, or write them if there are too many."""
        self._kept.append(hashes)
        self._rows += len(hashes)
        if self._rows - self._written > self._room:
            self._flush()
        if self._rows > self._compact_beyond:
            self._compact()

    def _flush(self) -> None:
        """Append the hashes in memory to the file."""
        with private_file(self._overflow, "ab") as file:
            for hashes in self._kept:
                file.write(hashes.tobytes())
        self._kept.clear()
        self._written = self._rows

    def _compact(self) -> None:
        """Keep each hash of the file once.

        :raises LayerFault: there are more than the limit.
        """
        self._flush()
        smaller = self._overflow.with_suffix(".compact")
        rows = 0
        with private_file(smaller, "wb") as file:
            for hashes in self._distinct():
                file.write(hashes.tobytes())
                rows += len(hashes)
        smaller.replace(self._overflow)
        self._rows = rows
        self._written = rows
        if rows > self._limit:
            raise LayerFault("tar", "limit_entries", f"more than {self._limit} directories")
        self._compact_beyond = rows + self._limit

    def _distinct(self) -> Iterator[NDArray[np.uint64]]:
        """Yield each hash of the file once, (n,) ascending, one range of values after the other."""
        import numpy as np

        ranges = -(-self._written // _SORTED_HASHES)
        for number in range(ranges):
            # Collect the hashes of the range
            first = (number << 64) // ranges
            last = ((number + 1) << 64) // ranges - 1
            kept = []
            with open(self._overflow, "rb") as stream:
                while data := stream.read(1 << 20):
                    hashes = np.frombuffer(data, np.uint64)
                    kept.append(hashes[(hashes >= np.uint64(first)) & (hashes <= np.uint64(last))])

            # Sort them: numpy.unique builds a hash table, which takes a hundred times as long
            words = np.concatenate(kept)
            words.sort()
            is_new = np.ones(len(words), bool)
            np.not_equal(words[1:], words[:-1], out=is_new[1:])
            yield words[is_new]
