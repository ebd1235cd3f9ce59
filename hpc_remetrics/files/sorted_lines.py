"""Sort more lines than memory holds: in runs in a file without a name, which are merged.

add      -> lines in memory, sorted when they are many -> run | run | run
iterate  <- all runs at once and the lines in memory, merged
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from .writing import reopened

RUN_BYTES = 100_000_000
"""Bytes of lines that are sorted in memory at once."""

_LINE_BYTES = 48
"""Bytes that a line takes in memory besides its own."""


class SortedLines:
    """Lines that come in any order and are given back sorted, as often as one iterates.

    :param directory: where the file is made when memory is full; it vanishes with this object.
    :param lines: the first ones, without line ends; none may equal another one plus a tab or other
        control characters.
    :param run_bytes: bytes of lines that are sorted in memory at once.
    :raises OSError: the file can't be made or written; so do `add` and iterating.
    """

    def __init__(
        self, directory: Path, lines: Iterable[str] = (), run_bytes: int = RUN_BYTES
    ) -> None:
        self._directory = directory
        self._run_bytes = run_bytes
        self._lines: list[bytes] = []
        self._bytes = 0
        self._file: BinaryIO | None = None
        self._runs: list[tuple[int, int]] = []
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """Take another line, without its end."""
        data = f"{line}\n".encode()
        self._lines.append(data)
        self._bytes += len(data) + _LINE_BYTES
        if self._bytes >= self._run_bytes:
            self._write_run()

    def _write_run(self) -> None:
        """Move the lines in memory to the file, sorted."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        self._lines.sort()
        self._runs.append((self._file.tell(), len(self._lines)))
        self._file.writelines(self._lines)
        self._file.flush()
        self._lines = []
        self._bytes = 0

    def __iter__(self) -> Iterator[str]:
        self._lines.sort()
        with contextlib.ExitStack() as stack:
            # Open the file once for each run, at its beginning.
            runs: list[Iterable[bytes]] = [self._lines]
            for offset, count in self._runs:
                assert self._file is not None
                file = stack.enter_context(reopened(self._file.fileno()))
                file.seek(offset)
                runs.append(itertools.islice(file, count))
            for line in heapq.merge(*runs):
                yield line[:-1].decode()
