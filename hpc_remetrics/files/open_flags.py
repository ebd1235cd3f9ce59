"""Flags for `os.open`, for systems that lack some of them: a dataset may be read anywhere."""

from __future__ import annotations

import os


def open_flags(*names: str) -> int:
    """Return the flags of these names together, without those that this system lacks.

    >>> open_flags("O_CREAT", "O_EXCL", "O_OF_ANOTHER_SYSTEM") == os.O_CREAT | os.O_EXCL
    True
    """
    flags = 0
    for name in names:
        flags |= getattr(os, name, 0)
    return flags


BINARY = open_flags("O_BINARY")
"""What Windows needs in order to read and write the bytes as they are."""
