"""An append-only file of checksummed lines, from which a later run continues.

A line is a CRC-32 in hex, a space, and a JSON value; the first line says what the journal is of:

    5fdf5c5a {"kind":"crawl","target":"docker.io"}
    0a37bd42 ["tags","library/alpine",…]
    9c1e07…                                               torn by a kill

A line is written with one call, so a kill can tear only the last one. The next run cuts off what
follows the last whole line.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import OutputError
from .untrusted import open_regular
from .writing import open_in_place, remove, reopened

_SYNC_SECONDS = 1.0
"""The most seconds of appended lines that a crash of the machine can take."""

_MOST_HEAD_BYTES = 1 << 20

_CHOOSE = "choose another output with -o"


class Journal:
    """A journal that is open for appending; iterating yields its values, oldest first.

    :param path: made if it is missing; only one process may have it open.
    :param head: what the first line must say, so that different kinds of run don't mix.
    :raises OutputError: it can't be written, or the first line says something else.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        try:
            self._file = open_in_place(path, os.O_APPEND)
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror}", _CHOOSE) from None
        try:
            self._continue(head)
        except OSError as error:
            os.close(self._file)
            raise OutputError(f"can't write {path}: {error.strerror}", _CHOOSE) from None
        except BaseException:
            os.close(self._file)
            raise
        self._synced = time.monotonic()

    def _continue(self, head: dict[str, Any]) -> None:
        """Check the first line, and cut off a torn last line; a foreign file stays as it is."""
        first_line = _line(head)
        existing = next(_values(self._file), None)
        if existing not in (None, head):
            message = f"{self.path} is of another run: it says {existing}, not {head}"
            raise OutputError(message, _CHOOSE)

        # Without a whole first line it must be empty, zeros of a crash, or the torn first line.
        begins = os.pread(self._file, len(first_line), 0).rstrip(b"\0")
        if existing is None and not first_line.startswith(begins):
            raise OutputError(
                f"{self.path} exists and is not a journal of this program",
                "move it, or choose another output with -o",
            )

        # The head is written with the first value: a run that learned nothing leaves no file.
        self._unwritten_head = first_line if existing is None else b""
        os.ftruncate(self._file, _whole_bytes(self._file))

    def __iter__(self) -> Iterator[Any]:
        """Yield the values that were appended, oldest first, without the head."""
        values = _values(self._file)
        next(values, None)
        return values

    def append(self, value: Any) -> None:
        """Append a JSON value; a kill can't take it afterwards, a crash of the machine for 1 s.

        :raises OutputError: the disk is full, or can't be written.
        """
        data = self._unwritten_head + _line(value)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(errno.ENOSPC, "no space left on the device")
            self._unwritten_head = b""
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                self.sync()
        except OSError as error:
            message = f"can't write {self.path}: {error.strerror}"
            raise OutputError(message, "make room and run the command again") from None

    def sync(self) -> None:
        """Write everything to disk."""
        os.fsync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Write everything to disk and close the file; remove it if nothing was ever appended."""
        self.sync()
        is_empty = bool(self._unwritten_head)
        os.close(self._file)
        if is_empty:
            remove(self.path)


def kept_values(path: Path, head: dict[str, Any]) -> Iterator[Any]:
    """Yield the values of a journal that nobody writes, without the head; none of another head.

    :raises OSError: it can't be read.
    """
    descriptor = open_regular(path, follow=False)
    try:
        values = _values(descriptor)
        if next(values, None) == head:
            yield from values
    finally:
        os.close(descriptor)


def is_journal(path: Path, head: dict[str, Any]) -> bool:
    """Return whether a file is a journal whose first line has the items of `head`."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_MOST_HEAD_BYTES)
        existing = json.loads(line[9:]) if _is_whole(line) else None
    except (OSError, ValueError):
        return False
    return isinstance(existing, dict) and head.items() <= existing.items()


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _values(descriptor: int) -> Iterator[Any]:
    """Yield the values of the lines before the first one that is not whole, the head's first."""
    with reopened(descriptor) as file:
        for line in itertools.takewhile(_is_whole, file):
            yield json.loads(line[9:])


def _is_whole(line: bytes) -> bool:
    checksum = b"%08x" % zlib.crc32(line[9:-1])
    return line.endswith(b"\n") and line[:9] == checksum + b" "


def _whole_bytes(descriptor: int) -> int:
    """Return how many bytes the lines have that stand before the first one that is not whole."""
    with reopened(descriptor) as file:
        return sum(map(len, itertools.takewhile(_is_whole, file)))
