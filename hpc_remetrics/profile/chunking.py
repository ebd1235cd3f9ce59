"""Contents cut into chunks as they pass: of a fixed size, and by FastCDC where the bytes themselves
say so.

What stays of a chunk is its size and the first half of its SHA-256. Long contents are cut piece by
piece, where they would be cut whole: where a chunk ends depends on the bytes from its beginning on,
up to the longest chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from ..errors import MissingComponentError
from ..parts.spill_format import EXTRA_STRUCTS
from ..records import CHUNK_METHODS
from .compression_sample import bound_of

FIXED_BYTES = 4096
"""Size of a fixed chunk: a page, and what file systems and block devices deduplicate by."""

CDC_BYTES = 8192
"""Size that FastCDC aims at, as the literature on deduplication does; most files of images are of
that order."""

LEAST, MOST = CDC_BYTES // 4, CDC_BYTES * 4
"""Sizes of the shortest and the longest chunk of FastCDC; the last one of a content may be
shorter."""

RECORD = EXTRA_STRUCTS["chunks"]
"""Fingerprint, size and method of a chunk."""

_INSTALL = "pip install 'hpc-remetrics[chunks]'"
_FINGERPRINT = 16
_STEP = 1 << 20
"""Bytes of a passing content that are cut together."""

_HELD = 1 << 20
"""Bytes of records that a passing content holds."""

_SEEN = 1_000_000
"""Contents of a layer that are known to be cut already."""

_FIXED, _CDC = CHUNK_METHODS["fixed"], CHUNK_METHODS["cdc"]


def chunker() -> Any:
    """Return what cuts by content; `MissingComponentError` if its package is not installed, or only
    the slow part."""
    try:
        from pyfastcdc import FastCDC
    except ImportError as error:
        raise MissingComponentError(f"--chunks needs pyfastcdc ({error})", _INSTALL) from None
    if ".cy" not in FastCDC.__module__:
        raise MissingComponentError(
            "--chunks needs the compiled part of pyfastcdc, which is not there", _INSTALL
        )
    return FastCDC(CDC_BYTES, min_size=LEAST, max_size=MOST)


class Cutter:
    """Cuts each distinct content of a layer once.

    :param share: share of the chunks that are kept, by their fingerprints.
    :raises MissingComponentError: as `chunker` does.
    """

    def __init__(self, share: Fraction) -> None:
        self._bound, self._chunker = bound_of(share), chunker()
        self._seen: set[bytes] = set()
        self._last = {_FIXED: b"", _CDC: b""}

    def begin(self) -> None:
        """Take the next content for one of another layer."""
        self._seen.clear()
        self._last = {_FIXED: b"", _CDC: b""}

    def whole(self, digest: bytes, data: bytes) -> tuple[bytes, int] | None:
        """Return the records of a content's chunks and the number of those by content; None if it
        was cut before."""
        if digest in self._seen or not data:
            return None
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(digest)
        records = bytearray()
        if len(data) <= LEAST:  # one chunk either way, whose SHA-256 is known
            if digest < self._bound:
                records += RECORD.pack(digest[:_FINGERPRINT], len(data), _FIXED)
                records += RECORD.pack(digest[:_FINGERPRINT], len(data), _CDC)
            return bytes(records), 1
        view = memoryview(data)
        self.fixed(view, records)
        count, _ = self.by_content(view, True, records)
        return bytes(records), count

    def passing(self, drain: Callable[[bytes], None]) -> Cutting:
        """Return what a long content passes through; `drain` takes records when they are many."""
        return Cutting(self, drain)

    def fixed(self, view: memoryview, records: bytearray) -> None:
        """Add the records of the chunks of fixed size, the last one as short as it is."""
        for start in range(0, len(view), FIXED_BYTES):
            self._add(view[start : start + FIXED_BYTES], _FIXED, records)

    def by_content(self, view: memoryview, last: bool, records: bytearray) -> tuple[int, int]:
        """Add the records of the chunks by content, and return how many they are and where the last
        one ends.

        :param last: the content ends with these bytes; else a chunk that more bytes could change is
            left for later.
        """
        count = end = 0
        for chunk in self._chunker.cut_buf(view):
            if not last and len(view) - chunk.offset < MOST:
                break
            self._add(chunk.data, _CDC, records)
            count, end = count + 1, chunk.offset + chunk.length
        return count, end

    def _add(self, data: memoryview, method: int, records: bytearray) -> None:
        fingerprint = hashlib.sha256(data).digest()[:_FINGERPRINT]
        # Of a run of equal chunks, as zeros are, one is enough.
        if fingerprint < self._bound and fingerprint != self._last[method]:
            self._last[method] = fingerprint
            records += RECORD.pack(fingerprint, len(data), method)


class Cutting:
    """A long content on its way through a `Cutter`, in bounded memory."""

    def __init__(self, cutter: Cutter, drain: Callable[[bytes], None]) -> None:
        self._cutter, self._drain = cutter, drain
        self._pieces: list[bytes] = []
        self._size = 0
        self._rest = {_FIXED: b"", _CDC: b""}
        self._records = bytearray()
        self._count = 0

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces as they are, and cut them."""
        for piece in pieces:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size >= _STEP:
                self._cut(last=False)
                if len(self._records) >= _HELD:
                    self._drain(bytes(self._records))
                    self._records.clear()
            yield piece

    def end(self) -> tuple[bytes, int]:
        """Return the last records, when all of the content has passed, and the number of its chunks
        by content."""
        self._cut(last=True)
        return bytes(self._records), self._count

    def _cut(self, last: bool) -> None:
        data = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        fixed, by_content = (memoryview(self._rest[method] + data) for method in (_FIXED, _CDC))
        whole = len(fixed) if last else len(fixed) // FIXED_BYTES * FIXED_BYTES
        self._cutter.fixed(fixed[:whole], self._records)
        count, end = self._cutter.by_content(by_content, last, self._records)
        self._count += count
        self._rest = {_FIXED: bytes(fixed[whole:]), _CDC: bytes(by_content[end:])}
