"""Turn errors of the disk into one line that says what could not be written, why, and what to
do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError


@contextlib.contextmanager
def disk_errors(path: Path, what: str) -> Iterator[None]:
    """Turn an error of the disk into one line."""
    try:
        yield
    except OSError as error:
        raise output_error(error, path, what) from error


def output_error(error: OSError, path: Path, what: str) -> OutputError:
    """Return the one-line error for something that can't be written."""
    hints = {
        errno.ENOSPC: "make room or choose another place (-o, --scratch)",
        errno.EDQUOT: "the quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "check the permissions",
        errno.EPERM: "check the permissions",
    }
    reason = error.strerror or str(error)
    return OutputError(f"{what} {path} can't be written: {reason}", hints.get(error.errno or 0, ""))
