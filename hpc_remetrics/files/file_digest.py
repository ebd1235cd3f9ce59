"""The SHA-256 of a whole file, read piece by piece."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK = 1 << 20
"""Bytes that are read at once."""


def file_sha256(path: Path) -> tuple[int, bytes]:
    """Return the size of a file and its SHA-256, 32 bytes."""
    hashed = hashlib.sha256()
    size = 0
    with open(path, "rb") as file:
        while data := file.read(_BLOCK):
            hashed.update(data)
            size += len(data)
    return size, hashed.digest()
