"""An append-only file of checksummed lines: what a run has learned, in the order in which it
learned it.

A line is a CRC-32 in hex, a space, and a JSON value. It is written with one call, so a kill can
tear only the last one; what stands behind the first line that is not whole is cut off by the next
start.
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
from .writing import open_in_place, remove, reopened

_SYNC_SECONDS = 1.0

_MOST_HEAD_BYTES = 1 << 20


class Journal:
    """Appends values to a file that other starts read.

    :param path: made if it is missing; only one process may have it open.
    :param head: what the first line must say, so that two kinds of run don't take each other's.
    :raises OutputError: it can't be written, or begins otherwise.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        try:
            self._file = open_in_place(path, os.O_APPEND)
        except OSError as error:
            raise OutputError(
                f"can't write {path}: {error.strerror}", "choose another output with -o"
            ) from None
        try:
            self._take_up(head)
        except OSError as error:
            os.close(self._file)
            raise OutputError(
                f"can't write {path}: {error.strerror}", "choose another output with -o"
            ) from None
        except BaseException:
            os.close(self._file)
            raise
        self._synced = time.monotonic()

    def _take_up(self, head: dict[str, Any]) -> None:
        """Go on with what the file holds, less what a kill tore; a file of something else stays as
        it is."""
        first = _line(head)
        found = next(_lines(self._file), None)
        if found not in (None, head):
            raise OutputError(
                f"{self.path} is of another run: it says {found}, not {head}",
                "choose another output with -o",
            )
        begins = os.pread(self._file, len(first), 0).rstrip(b"\0")
        if found is None and not first.startswith(begins):
            raise OutputError(
                f"{self.path} exists and is no journal of this program",
                "move it, or choose another output with -o",
            )
        # A run that learned nothing leaves no claim on the name.
        self._head = first if found is None else b""
        os.ftruncate(self._file, _whole_bytes(self._file))

    def __iter__(self) -> Iterator[Any]:
        """Yield the values that were appended, oldest first, without the head."""
        lines = _lines(self._file)
        next(lines, None)
        return lines

    def append(self, value: Any) -> None:
        """Append a JSON value; a kill can't take it from now on, a crash of the machine for a
        second more."""
        data = self._head + _line(value)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(28, "no space left on the device")
            self._head = b""
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                self.sync()
        except OSError as error:
            raise OutputError(
                f"can't write {self.path}: {error.strerror}", "make room and start again"
            ) from None

    def sync(self) -> None:
        os.fsync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Bring everything to disk and let go of the file; one that nothing was appended to is
        removed."""
        self.sync()
        is_empty = bool(self._head)
        os.close(self._file)
        if is_empty:
            remove(self.path)


def is_journal(path: Path, head: dict[str, Any]) -> bool:
    """Say whether a file is a journal whose first line has the values of `head`."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_MOST_HEAD_BYTES)
        found = json.loads(line[9:]) if _is_whole(line) else None
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and head.items() <= found.items()


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _lines(descriptor: int) -> Iterator[Any]:
    with reopened(descriptor) as file:
        for line in file:
            if not _is_whole(line):
                return
            yield json.loads(line[9:])


def _is_whole(line: bytes) -> bool:
    return (
        line.endswith(b"\n") and line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(line[9:-1])
    )


def _whole_bytes(descriptor: int) -> int:
    """Return how many bytes of a file are whole lines."""
    with reopened(descriptor) as file:
        return sum(map(len, itertools.takewhile(_is_whole, file)))
