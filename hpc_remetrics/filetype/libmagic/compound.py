"""Compound documents (OLE, CDF): their directory may be anywhere in the file, and libmagic reads it
there."""

from __future__ import annotations

_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def begins(head: bytes) -> bool:
    """Tell whether a file begins as a compound document (CDF_MAGIC)."""
    return head.startswith(_MARK)
