"""Giving a file its name: the one place where something becomes part of a run's results."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .outputs import real_name

_COPY_BYTES = 4 << 20


def publish_copy(source: Path, target: Path) -> None:
    """Copy a finished file under a temporary name beside `target`, sync it, and rename it.

    Either `target` is there and whole afterwards, or it isn't there; a kill in between leaves at most the
    temporary file. An existing target or temporary file is never touched: `FileExistsError`.
    """
    temporary = temporary_name(target)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        try:
            _copy(source, descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        rename_new(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(target.parent)


def write_whole(path: Path, pieces: Iterable[bytes | str]) -> None:
    """Write a file that has its name only when it is whole and on disk; one of that name is replaced."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for piece in pieces:
            file.write(piece.encode() if isinstance(piece, str) else piece)
        file.flush()


def publish_whole(temporary: Path, target: Path) -> None:
    """Sync a finished file and give it the target's name, in place of the regular file that had it.

    :raises OutputError: something else had it.
    """
    descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    target = real_name(target)
    os.replace(temporary, target)
    sync_directory(target.parent)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary name beside `target` to write; when that went well, the file gets the target's name.

    Two processes that write the same file, as the ranks of a launcher would, don't meet.

    :raises OutputError: the target is a folder, a device or a pipe.
    """
    target = real_name(target)
    temporary = temporary_name(target.with_name(f"{target.name}.{os.getpid()}"))
    try:
        yield temporary
        publish_whole(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def rename_new(temporary: Path, target: Path) -> None:
    """Rename unless the target exists. (Names are unique and the output is locked; this guards against a fault.)"""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(temporary, target)


def temporary_name(target: Path) -> Path:
    """Return the name that a file has until it is whole.

    >>> str(temporary_name(Path("a/part-1.h5")))
    'a/.part-1.h5.tmp'
    """
    return target.with_name(f".{target.name}.tmp")


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a crash of the machine."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems don't know fsync of a directory.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _copy(source: Path, descriptor: int) -> None:
    with open(source, "rb", buffering=0) as file:
        while data := file.read(_COPY_BYTES):
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
