"""Names in a tar as places in a tree: cleaned, their depth, the directories that they imply."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..files.opening import private_file

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"

_LONG = 255
"""Bytes of the longest path that is kept as it is."""


def clean(path: bytes) -> bytes:
    """Return the path from the root without empty, `.` and `..` parts, as Go's `path.Clean("/" + name)`.

    >>> clean(b"./usr//bin/../lib/"), clean(b"/../etc"), clean(b"./")
    (b'usr/lib', b'etc', b'')
    """
    if path[:2] == b"./":
        path = path[2:]
    if path[-1:] == b"/":
        path = path[:-1]
    if b"//" not in path and b"/." not in path and path[:1] not in (b"/", b".") and path[-1:] != b"/":
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

    Up to `room` of them are kept, long ones as 128-bit hashes; beyond that the hashes of all go to a
    file, so that memory stays bounded for a layer of millions of them and for paths of any depth.

    :param overflow: where that file may be made.
    """

    def __init__(self, overflow: Path, room: int = 100_000) -> None:
        self._overflow, self._room = overflow, room
        self._known: set[bytes] = set()
        self._deep: set[bytes] = set()
        self._flushed = 0
        self._last = b""

    def add_parents(self, path: bytes) -> None:
        """Count the parents of a cleaned path."""
        parent = path.rpartition(b"/")[0]
        if parent != self._last:
            self._last = parent
            if len(parent) > _LONG:
                parent = self._add_deep(parent)
            known = self._known
            while parent and parent not in known:
                known.add(parent)
                parent = parent.rpartition(b"/")[0]
            if len(known) > self._room:
                self._flush()

    def add(self, path: bytes) -> None:
        """Count a directory that is an entry itself."""
        if len(path) > _LONG:
            self._deep.add(key_of(path))
        else:
            self._known.add(path)
        if len(self._known) + len(self._deep) > self._room:
            self._flush()

    def _add_deep(self, path: bytes) -> bytes:
        """Count a long path and its long parents in time linear in its length; return its longest short parent."""
        start = path.rfind(b"/", 0, _LONG + 1)
        short, at = path[: max(start, 0)], max(start, 0)
        state = _hash(short)
        while at < len(path):
            end = path.find(b"/", at + 1)
            end = len(path) if end < 0 else end
            state.update(path[at:end])
            self._deep.add(state.copy().digest())
            if len(self._deep) > self._room:
                self._flush()
            at = end
        return short

    def count(self) -> int:
        """Return how many there are, and forget them."""
        if not self._flushed:
            return len(self._known) + len(self._deep)
        self._flush()
        try:
            return _distinct(self._overflow, self._flushed)
        finally:
            self._overflow.unlink()

    def _flush(self) -> None:
        with private_file(self._overflow, "ab") as file:
            file.write(b"".join(_hash(path).digest() for path in self._known))
            file.write(b"".join(self._deep))
        self._flushed += len(self._known) + len(self._deep)
        self._known.clear()
        self._deep.clear()
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
