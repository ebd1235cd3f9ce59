"""The watch: what a child shows its parent of the content that libmagic works on.

bytes 0 … 7    a sequence number, 0 while libmagic isn't running
bytes 8 … 39   the digest of the content
"""

from __future__ import annotations

from struct import Struct

SEQUENCE = Struct("=Q")

DIGEST_AT = SEQUENCE.size

WATCH_BYTES = DIGEST_AT + 32
"""Bytes of the buffer, which both processes map."""


def read_watch(buffer: bytes | bytearray | memoryview) -> tuple[int, bytes] | None:
    """Return the sequence number and the digest of what libmagic works on; for the parent.

    A digest that is just being written can be seen in parts, but not twice under the same number:
    act on a pair only when it stayed the same from one look to the next.

    :returns: None if libmagic isn't running.
    """
    (before,) = SEQUENCE.unpack_from(buffer, 0)
    digest = bytes(buffer[DIGEST_AT:WATCH_BYTES])
    (after,) = SEQUENCE.unpack_from(buffer, 0)
    return (before, digest) if before == after and before else None
