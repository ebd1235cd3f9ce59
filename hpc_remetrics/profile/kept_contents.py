"""Keep the bytes of chosen contents as records, for what needs two contents at a time.

The contents are listed in a file of sorted SHA-256 digests. A content of 9,000 bytes becomes three
records of `pieces`, which follow one another:

    content   place   length   data
    7f3a…     0       4058     4058 bytes
    7f3a…     1       4058     4058 bytes
    7f3a…     2        884      884 bytes, and zeros
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from ..filetype.held_content import HEAD_BYTES
from ..parts.spill_format import EXTRA_STRUCTS, PIECE_BYTES
from .probe import ALL, AddRecords

MOST_BYTES = 64 << 20
"""Bytes of the longest content that is kept; it is held in memory."""

_MOST_SEEN = 1_000_000
"""Contents that are remembered as kept."""

_DIGEST_BYTES = 32
_RECORD = EXTRA_STRUCTS["pieces"]


class DigestList(Sequence[bytes]):
    """The sorted digests of a file, which stays on disk.

    :raises ValueError: the file can't be read, or is no list of digests.
    """

    def __init__(self, path: Path) -> None:
        try:
            with open(path, "rb") as file:
                size = file.seek(0, 2)
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror}") from None
        if len(self._data) % _DIGEST_BYTES:
            raise ValueError(f"{path} is no list of digests")

    def __len__(self) -> int:
        return len(self._data) // _DIGEST_BYTES

    @overload
    def __getitem__(self, number: int) -> bytes: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[bytes]: ...

    def __getitem__(self, number: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return self._data[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]

    def __contains__(self, digest: object) -> bool:
        assert isinstance(digest, bytes)
        place = bisect_left(self, digest)
        return place < len(self) and self[place] == digest


class KeepingProbe:
    """Adds records of `pieces` of each listed content, once a process.

    :param path: of the list; the setting of the probe.
    :raises ValueError: as `DigestList` does.
    """

    bound = ALL

    def __init__(self, path: Path | str) -> None:
        self.wanted = DigestList(Path(path))
        self._seen: set[bytes] = set()

    def begin_layer(self) -> None:
        """Remember what was kept: a content that other layers have too need not be kept again."""

    def content(self, digest: bytes, data: bytes, add: AddRecords) -> None:
        """Keep a content if it is listed."""
        if digest in self._seen or digest not in self.wanted:
            return
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen.add(digest)
        for place, start in enumerate(range(0, len(data), PIECE_BYTES)):
            piece = data[start : start + PIECE_BYTES]
            add("pieces", _RECORD.pack(digest, place, len(piece), piece))

    def long_content(self, size: int) -> HeldContent | None:
        """Return what holds a long content until its digest is known, None if it is too long."""
        return HeldContent(self) if HEAD_BYTES < size <= MOST_BYTES else None


class HeldContent:
    """One long content, held in memory until it is whole."""

    def __init__(self, probe: KeepingProbe) -> None:
        self._probe = probe
        self._pieces: list[bytes] = []

    def piece(self, data: bytes, add: AddRecords) -> None:
        """Hold the next bytes."""
        self._pieces.append(bytes(data))

    def end(self, digest: bytes, add: AddRecords) -> None:
        """Keep the content if it is listed."""
        self._probe.content(digest, b"".join(self._pieces), add)
        self._pieces.clear()
