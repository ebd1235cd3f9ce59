"""An append-only file of checksummed lines: what a run has learned, in the order in which it learned it.

A line is a CRC-32 in hex, a space, and a JSON value. It is written with one call, so a kill can tear only
the last one; what stands behind the first line that is not whole is cut off by the next start.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import OutputError

_SYNC_SECONDS = 1.0


class Journal:
    """Appends values to a file that other starts read.

    :param path: made if it is missing; only one process may have it open.
    :param head: what the first line must say, so that two kinds of run don't take each other's.
    :raises OutputError: it can't be written, or begins otherwise.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._file, _whole_bytes(path))
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror}", "choose another output with -o") from None
        self._synced = time.monotonic()
        found = next(_lines(path), None)
        # A run that learned nothing leaves no claim on the name.
        self._head = _line(head) if found is None else b""
        if found not in (None, head):
            os.close(self._file)
            raise OutputError(f"{path} is of another run: it says {found}, not {head}", "choose another output with -o")

    def __iter__(self) -> Iterator[Any]:
        """Yield the values that were appended, oldest first, without the head."""
        lines = _lines(self.path)
        next(lines, None)
        return lines

    def append(self, value: Any) -> None:
        """Append a JSON value; a kill can't take it from now on, a crash of the machine for a second more."""
        data = self._head + _line(value)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(28, "no space left on the device")
            self._head = b""
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                self.sync()
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {error.strerror}", "make room and start again") from None

    def sync(self) -> None:
        os.fsync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        self.sync()
        os.close(self._file)


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _lines(path: Path) -> Iterator[Any]:
    with open(path, "rb") as file:
        for line in file:
            if not _is_whole(line):
                return
            yield json.loads(line[9:])


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") and line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(line[9:-1])


def _whole_bytes(path: Path) -> int:
    """Return how many bytes of a file are whole lines."""
    with open(path, "rb") as file:
        return sum(map(len, itertools.takewhile(_is_whole, file)))
