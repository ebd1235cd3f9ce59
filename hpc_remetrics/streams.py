"""Standard output and standard error that end no run by a traceback, whatever they lead to.

Standard output carries results: what can't be written there is an error of one line. Standard error
carries remarks: a run of hours goes on when nobody reads them any more.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_WAIT = 1.0
"""Seconds between two looks at a pipe that takes nothing."""


class StdoutError(OSError):
    """Standard output can't be written; a reader that has gone is a `BrokenPipeError` as ever."""


class _Raw(io.FileIO):
    """A descriptor that waits where it is full, as pipes of launchers may be that don't block."""

    def write(self, data: Any, /) -> int:
        while (written := super().write(data)) is None:
            select.select([], [self], [], _WAIT)
        return written


class _Results(_Raw):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutError(error.errno, error.strerror) from None


class _Remarks(_Raw):
    def write(self, data: Any, /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Let `sys.stdout` and `sys.stderr` be streams of this module; those that a caller has replaced
    stay his."""
    _open_missing()
    before = sys.stdout, sys.stderr
    try:
        if sys.stdout is sys.__stdout__:
            sys.stdout = _stream(_Results(1, "w", closefd=False), sys.stdout, line_buffering=False)
        if sys.stderr is sys.__stderr__:
            sys.stderr = _stream(_Remarks(2, "w", closefd=False), sys.stderr, line_buffering=True)
        yield
    finally:
        sys.stdout, sys.stderr = before


def give_up_stdout() -> None:
    """Lead standard output to nowhere, so that the interpreter's end has nothing to complain
    about."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    with contextlib.suppress(OSError):
        sys.stdout.flush()


def _open_missing() -> None:
    """Open the standard descriptors that are closed: else the next file that is opened would be one
    of them."""
    # To write to standard output then stays an error; remarks are for nobody.
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def _stream(raw: io.FileIO, like: TextIO | None, line_buffering: bool) -> TextIO:
    """Return a text stream as the one it replaces; what its encoding lacks is written as
    `\\uXXXX`."""
    if like is not None:
        with contextlib.suppress(OSError):
            like.flush()
    encoding = like.encoding if like is not None else "utf-8"
    is_terminal = raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=line_buffering or is_terminal,
    )
