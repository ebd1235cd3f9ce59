"""Keep texts in a file without a name, and read each again by its place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO


class StoredTexts:
    """Texts on scratch, in the order in which they were added.

    :param directory: where the file is made for the first text; it vanishes with this object.
    :raises OSError: the file can't be made or written; so does `read`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: BinaryIO | None = None
        self._end = 0

    def add(self, text: str) -> tuple[int, int]:
        """Store a text, and return its place: first byte, and number of bytes."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        data = text.encode()
        self._file.write(data)
        first = self._end
        self._end += len(data)
        return first, len(data)

    def read(self, first: int, size: int) -> str:
        """Return the text at a place that `add` returned."""
        assert self._file is not None
        # Write what is still in memory; most of the time nothing is.
        self._file.flush()
        return os.pread(self._file.fileno(), size, first).decode()
