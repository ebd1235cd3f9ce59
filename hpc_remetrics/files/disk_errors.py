"""Turn errors of the disk into one line: what could not be written, why, and what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ..errors import DatasetError, OutputError

_HINTS = {
    errno.ENOSPC: "make room or choose another place (-o, --scratch)",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
}


@contextlib.contextmanager
def disk_errors(path: Path, what: str) -> Iterator[None]:
    """Raise an `OutputError` in place of an `OSError` of the body, other than a `DatasetError`.

    :param path: what the body writes.
    :param what: what that is, for the message: `scratch`, `the dataset` …
    """
    try:
        yield
    except DatasetError:
        # It says that something can't be read, and nothing of what is written.
        raise
    except OSError as error:
        raise output_error(error, path, what) from error


def output_error(error: OSError, path: Path, what: str) -> OutputError:
    """Return the one-line error for something that can't be written; parameters: `disk_errors`."""
    reason = error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "")
    return OutputError(f"{what} {path} can't be written: {reason}", hint)
