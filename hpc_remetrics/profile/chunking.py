"""Cut contents into chunks as they pass: of a fixed size, and by FastCDC where their bytes say so.

Of a chunk its size and the first half of its SHA-256 are kept. A content of 9,000 bytes, with two
chunks by content (FastCDC cuts between `LEAST` and `MOST`, where a rolling hash of the bytes says):

    fixed   |0 ........ 4096|4096 ........ 8192|8192 .. 9000|   3 records of `chunks`, method 0
    cdc     |0 .................. 6311|6311 ......... 9000|     2 records of `chunks`, method 1
                                                                1 record of `cuts`: digest, 2

A long content is cut piece by piece, where it would be cut whole. Where a chunk ends depends on at
most `MOST` bytes from its beginning, so a chunk with fewer bytes behind its beginning waits:

    joined   |--- chunk ---|----- chunk -----|-- may end later --|
    kept                                      `_rest`, joined with the next pieces
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

from ..errors import MissingComponentError
from ..parts.spill_format import EXTRA_STRUCTS
from ..records import CHUNK_METHODS
from .probe import ALL, AddRecords, bound_of

FIXED_BYTES = 4096
"""Size of a fixed chunk: a page, and what file systems and block devices deduplicate by."""

CDC_BYTES = 8192
"""Size that FastCDC aims at, as in the literature; most files of images are of that order."""

LEAST = CDC_BYTES // 4
"""Bytes of the shortest chunk of FastCDC, apart from the last one of a content."""

MOST = CDC_BYTES * 4
"""Bytes of the longest chunk of FastCDC."""

RECORD = EXTRA_STRUCTS["chunks"]
"""Fingerprint, size and method of a chunk."""

_CUT_RECORD = EXTRA_STRUCTS["cuts"]
"""Digest of a content, and how many chunks by content it has."""

_INSTALL = "pip install 'hpc-remetrics[chunks]'"

_FINGERPRINT_BYTES = 16
_STEP = 1 << 20
"""Bytes of a long content that are cut together."""

_HELD = 1 << 20
"""Bytes of records that a long content holds before they go to the spill."""

_MOST_SEEN = 1_000_000
"""Contents of a layer that are remembered as cut."""

_FIXED = CHUNK_METHODS["fixed"]
_CDC = CHUNK_METHODS["cdc"]


def chunker() -> Any:
    """Return what cuts by content.

    :raises MissingComponentError: pyfastcdc is not installed, or its compiled part is missing.
    """
    try:
        from pyfastcdc import FastCDC
    except ImportError as error:
        raise MissingComponentError(f"--chunks needs pyfastcdc ({error})", _INSTALL) from None
    if ".cy" not in FastCDC.__module__:
        message = "--chunks needs the compiled part of pyfastcdc, which is not there"
        raise MissingComponentError(message, _INSTALL)
    return FastCDC(CDC_BYTES, min_size=LEAST, max_size=MOST)


class ChunkProbe:
    """Cuts each distinct content of a layer once; adds records of `chunks` and of `cuts`.

    :param share: share of the chunks that are kept, by their fingerprints.
    :raises MissingComponentError: as `chunker` does.
    """

    bound = ALL

    def __init__(self, share: Fraction | str) -> None:
        self._kept_below = bound_of(Fraction(share))
        self._chunker = chunker()
        self._seen: set[bytes] = set()
        self._last = {_FIXED: b"", _CDC: b""}
        """Method -> the fingerprint that was added last."""

    def begin_layer(self) -> None:
        """Forget the contents of the previous layer: each layer has all of its own records."""
        self._seen.clear()
        self._last = {_FIXED: b"", _CDC: b""}

    def content(self, digest: bytes, data: bytes, add: AddRecords) -> None:
        """Cut a content, unless it is empty or was cut before in this layer."""
        if digest in self._seen or not data:
            return
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen.add(digest)
        records = bytearray()
        if len(data) <= LEAST:
            # It is one chunk for both methods, and its SHA-256 is known.
            count = 1
            if digest < self._kept_below:
                fingerprint = digest[:_FINGERPRINT_BYTES]
                records += RECORD.pack(fingerprint, len(data), _FIXED)
                records += RECORD.pack(fingerprint, len(data), _CDC)
        else:
            view = memoryview(data)
            self.cut_fixed(view, records)
            count, _ = self.cut_by_content(view, records, is_last=True)
        add("chunks", bytes(records))
        add("cuts", _CUT_RECORD.pack(digest, count))

    def long_content(self, size: int) -> LongCut:
        """Return what cuts a long content piece by piece."""
        return LongCut(self)

    def cut_fixed(self, view: memoryview, records: bytearray) -> None:
        """Append the records of the chunks of fixed size; the last one may be shorter."""
        for start in range(0, len(view), FIXED_BYTES):
            self._add(view[start : start + FIXED_BYTES], _FIXED, records)

    def cut_by_content(
        self, view: memoryview, records: bytearray, *, is_last: bool
    ) -> tuple[int, int]:
        """Append the records of the chunks by content; return their number and where they end.

        :param is_last: the content ends with these bytes; otherwise chunks that more bytes could
            change are left for later.
        """
        count = end = 0
        for chunk in self._chunker.cut_buf(view):
            if not is_last and len(view) - chunk.offset < MOST:
                break
            self._add(chunk.data, _CDC, records)
            count += 1
            end = chunk.offset + chunk.length
        return count, end

    def _add(self, data: memoryview, method: int, records: bytearray) -> None:
        fingerprint = hashlib.sha256(data).digest()[:_FINGERPRINT_BYTES]
        # Of a run of equal chunks, such as zeros, one record is enough.
        if fingerprint < self._kept_below and fingerprint != self._last[method]:
            self._last[method] = fingerprint
            records += RECORD.pack(fingerprint, len(data), method)


class LongCut:
    """One long content, cut piece by piece in bounded memory."""

    def __init__(self, probe: ChunkProbe) -> None:
        self._probe = probe
        self._pieces: list[bytes] = []
        self._size = 0
        self._rest = {_FIXED: b"", _CDC: b""}
        """Method -> the bytes behind the last chunk."""
        self._records = bytearray()
        self._count = 0

    def piece(self, data: bytes, add: AddRecords) -> None:
        """Cut the next bytes, once there are enough of them; add records once there are many."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _STEP:
            self._cut(is_last=False)
            if len(self._records) >= _HELD:
                add("chunks", bytes(self._records))
                self._records.clear()

    def end(self, digest: bytes, add: AddRecords) -> None:
        """Cut what is left, and add the last records and the number of chunks by content."""
        self._cut(is_last=True)
        add("chunks", bytes(self._records))
        add("cuts", _CUT_RECORD.pack(digest, self._count))

    def _cut(self, *, is_last: bool) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0

        # Cut whole pages, and all that is left at the end.
        fixed = memoryview(self._rest[_FIXED] + data)
        whole = len(fixed) if is_last else len(fixed) // FIXED_BYTES * FIXED_BYTES
        self._probe.cut_fixed(fixed[:whole], self._records)
        self._rest[_FIXED] = bytes(fixed[whole:])

        # Cut by content, as far as more bytes can't change it.
        by_content = memoryview(self._rest[_CDC] + data)
        count, end = self._probe.cut_by_content(by_content, self._records, is_last=is_last)
        self._count += count
        self._rest[_CDC] = bytes(by_content[end:])
