"""A sample of the contents, compressed one by one as they pass, to tell what all of them would take
compressed.

Whether a content is in the sample is a function of its bytes alone, so that any number of ranks, in
any order and after any end, draw the same. Up to `HEAD_BYTES` it is drawn by its digest. A longer
one is not kept until its digest is known: it is drawn by the hash of its first bytes and its size,
and compressed while it passes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from ..filetype.typer import HEAD_BYTES
from ..tar.decoders import zstd_module

GZIP_LEVEL = 6
ZSTD_LEVEL = 3

MOST_BYTES = (1 << 32) - 1
"""Bytes of the longest content in the sample, so that no layer runs out of time for it."""

_GZIP = 16 + zlib.MAX_WBITS
_FIRST = 1 << 16
"""First bytes of a long content by which it is drawn."""

_KNOWN = 50_000
"""Results that a process keeps, for the contents that come again in other layers."""

_NEVER, _ALWAYS = b"", b"\xff" * 33

Sizes = tuple[int, int]
"""Bytes of a content as gzip and as zstd store it."""


def codecs() -> str:
    """Return what compresses here, for the account of a run."""
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION} level {GZIP_LEVEL}, zstd {zstd_module().zstd_version} level {ZSTD_LEVEL}"


def first_beyond(share: Fraction) -> int:
    """Return the number that the first 64 bits of this share of all hashes are less than."""
    return int(share * (1 << 64))


def bound_of(share: Fraction) -> bytes:
    """Return the bytes that this share of all hashes is less than.

    >>> hashlib.sha256(b"").digest() < bound_of(Fraction(9, 10)), bound_of(Fraction(1, 2)).hex(" ")
    (True, '80 00 00 00 00 00 00 00')
    """
    number = first_beyond(share)
    return _ALWAYS if number >> 64 else number.to_bytes(8, "big") if number else _NEVER


class Sampler:
    """Draws contents and compresses them.

    :param fraction: share of the contents that is drawn, from 0 to 1.
    :ivar bound: a content of at most `HEAD_BYTES` is in the sample if its digest is less than these
    bytes.
    """

    def __init__(self, fraction: Fraction) -> None:
        self.bound = bound_of(fraction)
        self._known: dict[bytes, Sizes] = {}

    def sizes(self, digest: bytes, data: bytes) -> Sizes:
        """Return what a content takes compressed."""
        known = self._known.get(digest)
        if known is None:
            codecs = _Codecs(len(data))
            codecs.feed(data)
            known = codecs.sizes()
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[digest] = known
        return known

    def passing(self, size: int) -> Passing | None:
        """Return what a content of that size passes through, or None if it is not drawn in this
        way."""
        return Passing(self.bound, size) if HEAD_BYTES < size <= MOST_BYTES and self.bound else None


class Passing:
    """A long content on its way."""

    def __init__(self, bound: bytes, size: int) -> None:
        self._bound, self._size = bound, size
        self._first = b""
        self._drawn: bool | None = None

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces as they are, and look at them."""
        for piece in pieces:
            if self._drawn:
                self._codecs.feed(piece)
            elif self._drawn is None:
                self._begin(piece)
            yield piece

    def _begin(self, piece: bytes) -> None:
        """Draw, once there are enough first bytes."""
        self._first += piece
        if len(self._first) < _FIRST:
            return
        key = self._first[:_FIRST] + self._size.to_bytes(8, "big")
        self._drawn = hashlib.sha256(key).digest() < self._bound
        if self._drawn:
            self._codecs = _Codecs(self._size)
            self._codecs.feed(self._first)
        self._first = b""

    def sizes(self) -> Sizes | None:
        """Return what the content takes compressed, when all of it has passed; None if it was not
        drawn."""
        return self._codecs.sizes() if self._drawn else None


class _Codecs:
    """Both codecs on one content, in bounded memory."""

    def __init__(self, size: int) -> None:
        zstd = zstd_module()
        self._gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        self._zstd: Any = zstd.ZstdCompressor(level=ZSTD_LEVEL)
        self._zstd.set_pledged_input_size(size)
        self._end = self._zstd.FLUSH_FRAME
        self._size = size
        self._done = [0, 0]

    def feed(self, data: bytes) -> None:
        self._done[0] += len(self._gzip.compress(data))
        self._done[1] += len(self._zstd.compress(data))

    def sizes(self) -> Sizes:
        """Return the bytes that each codec made, or those of the content where it made more."""
        gzip = self._done[0] + len(self._gzip.flush())
        zstd = self._done[1] + len(self._zstd.flush(self._end))
        return min(gzip, self._size), min(zstd, self._size)
