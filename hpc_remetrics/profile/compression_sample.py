"""Compress a sample of the contents one by one, to estimate what all of them take compressed.

Whether a content is in the sample depends on its bytes alone, so any number of ranks, in any order,
draw the same sample. A content of at most `HEAD_BYTES` is drawn by its SHA-256. A longer one can't
be kept until its SHA-256 is known: it is drawn by a hash of its first bytes and its size, and
compressed while it passes.
"""

from __future__ import annotations

import hashlib
import zlib
from fractions import Fraction
from typing import Any

from ..filetype.held_content import HEAD_BYTES
from ..parts.spill_format import EXTRA_STRUCTS
from ..tar.decoders import zstd_module
from .probe import AddRecords, bound_of

GZIP_LEVEL = 6
ZSTD_LEVEL = 3

MOST_BYTES = (1 << 32) - 1
"""Bytes of the longest content in the sample, so that no layer runs out of time for it."""

_GZIP = 16 + zlib.MAX_WBITS
"""`wbits` of zlib for gzip's own header and trailer."""

_FIRST_BYTES = 1 << 16
"""First bytes of a long content by which it is drawn."""

_MOST_KNOWN = 50_000
"""Results that a process keeps, for contents that other layers have too."""

_RECORD = EXTRA_STRUCTS["samples"]

Sizes = tuple[int, int]
"""Bytes of a content as gzip and as zstd store it."""


def codecs() -> str:
    """Return the names, versions and levels of the two codecs, for the provenance of a run."""
    gzip = f"zlib {zlib.ZLIB_RUNTIME_VERSION} level {GZIP_LEVEL}"
    return f"{gzip}, zstd {zstd_module().zstd_version} level {ZSTD_LEVEL}"


class CompressionProbe:
    """Draws a sample of the contents and compresses it; adds records of `samples`.

    :param share: share of the contents that is drawn, from 0 to 1.
    """

    def __init__(self, share: Fraction | str) -> None:
        self.bound = bound_of(Fraction(share))
        self._known: dict[bytes, Sizes] = {}

    def begin_layer(self) -> None:
        """Keep all results: they hold in any layer."""

    def content(self, digest: bytes, data: bytes, add: AddRecords) -> None:
        """Compress a content that is in the sample, unless it was compressed before."""
        sizes = self._known.get(digest)
        if sizes is None:
            codecs = _Codecs(len(data))
            codecs.feed(data)
            sizes = codecs.sizes()
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[digest] = sizes
        add("samples", _RECORD.pack(digest, *sizes))

    def long_content(self, size: int) -> LongSample | None:
        """Return what draws and compresses a long content, None if it is too long."""
        if not self.bound or not HEAD_BYTES < size <= MOST_BYTES:
            return None
        return LongSample(self.bound, size)


class LongSample:
    """One long content: drawn by its first bytes, and then compressed as it passes.

    :param bound: it is drawn if its hash is less than these bytes.
    :param size: its bytes.
    """

    def __init__(self, bound: bytes, size: int) -> None:
        self._bound = bound
        self._size = size
        self._first = b""
        self._is_drawn: bool | None = None
        """None until there are enough first bytes."""

    def piece(self, data: bytes, add: AddRecords) -> None:
        """Compress the next bytes if the content is drawn."""
        if self._is_drawn:
            self._codecs.feed(data)
        elif self._is_drawn is None:
            self._draw(data)

    def _draw(self, data: bytes) -> None:
        """Collect first bytes; draw once there are enough of them."""
        self._first += data
        if len(self._first) < _FIRST_BYTES:
            return
        key = self._first[:_FIRST_BYTES] + self._size.to_bytes(8, "big")
        self._is_drawn = hashlib.sha256(key).digest() < self._bound
        if self._is_drawn:
            self._codecs = _Codecs(self._size)
            self._codecs.feed(self._first)
        self._first = b""

    def end(self, digest: bytes, add: AddRecords) -> None:
        """Add the sizes of a content that was drawn."""
        if self._is_drawn:
            add("samples", _RECORD.pack(digest, *self._codecs.sizes()))


class _Codecs:
    """Both codecs on one content, in bounded memory.

    :param size: bytes of the content.
    """

    def __init__(self, size: int) -> None:
        zstd = zstd_module()
        self._gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        self._zstd: Any = zstd.ZstdCompressor(level=ZSTD_LEVEL)
        self._zstd.set_pledged_input_size(size)
        self._flush_frame = self._zstd.FLUSH_FRAME
        self._size = size
        self._gzip_bytes = 0
        self._zstd_bytes = 0

    def feed(self, data: bytes) -> None:
        """Compress the next bytes."""
        self._gzip_bytes += len(self._gzip.compress(data))
        self._zstd_bytes += len(self._zstd.compress(data))

    def sizes(self) -> Sizes:
        """Finish, and return the bytes of each codec's output, at most those of the content."""
        gzip = self._gzip_bytes + len(self._gzip.flush())
        zstd = self._zstd_bytes + len(self._zstd.flush(self._flush_frame))
        return min(gzip, self._size), min(zstd, self._size)
