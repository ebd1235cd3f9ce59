"""The lists of the 2017 tool: finished layers (a digest a line) and finished repositories (a name a
line).

Both are read at the start, and appended to. What stands in them is not downloaded, wherever it may
be.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OutputError
from ..files.writing import open_in_place, reopened
from ..sources.repositories import list_lines


class Finished:
    """One such list; without a path an empty one that is not written.

    :raises OutputError: it can't be read or appended to.
    :raises SourceError: it is in UTF-16.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._known = path, set[str]()
        if path is None:
            return
        try:
            self._file = open_in_place(path, os.O_APPEND)
            line = "\n"
            with reopened(self._file) as file:
                for line in list_lines(file, path, errors="replace"):
                    self._known.add(line.strip().strip('"').strip())
            if not line.endswith(("\n", "\r")):
                # A kill tore the last line; the next one must not continue it.
                os.write(self._file, b"\n")
        except OSError as error:
            raise OutputError(
                f"can't append to {path}: {error.strerror}", "name another file with -l or -r"
            ) from None

    def __contains__(self, item: str) -> bool:
        return item in self._known

    def add(self, item: str) -> None:
        """Append an item unless it is there."""
        if self._path is None or item in self._known:
            return
        try:
            os.write(self._file, f"{item}\n".encode())
        except OSError as error:
            raise OutputError(
                f"can't append to {self._path}: {error.strerror}", "make room and start again"
            ) from None
        self._known.add(item)
