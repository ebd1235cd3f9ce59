"""Standard streams that cause no traceback, whatever file, pipe or terminal they lead to.

Standard output carries results: a failed write to it is an error of one line. Standard error
carries remarks: a run of hours goes on when nobody can read them any more.
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
"""Seconds between two tries to write to a full pipe."""


class StdoutError(OSError):
    """Standard output can't be written; if its reader is gone, that is a `BrokenPipeError`."""


class _Raw(io.FileIO):
    """A descriptor to which writes wait: a launcher's pipe may be nonblocking and full."""

    def write(self, data: Any, /) -> int:
        while (written := super().write(data)) is None:
            select.select([], [self], [], _WAIT)
        return written


class _Results(_Raw):
    """Standard output: errors are told apart from those of other files."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutError(error.errno, error.strerror) from None


class _Remarks(_Raw):
    """Standard error: errors are ignored."""

    def write(self, data: Any, /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replace `sys.stdout` and `sys.stderr` in the body, unless the caller has replaced them."""
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
    """Discard standard output from now on, so that the interpreter's exit does not fail on it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    with contextlib.suppress(OSError):
        sys.stdout.flush()


def _open_missing() -> None:
    """Open standard descriptors that are closed; otherwise the next open file would be one of them.

    Standard output is opened for reading only, so that writing to it stays an error.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which may be another closed one.
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def _stream(raw: io.FileIO, like: TextIO | None, line_buffering: bool) -> TextIO:
    """Return a text stream with the encoding of another one.

    Characters that the encoding lacks are written as `\\uXXXX`.
    """
    # Write out what was written so far, so that the order stays.
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
