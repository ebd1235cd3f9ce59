"""Give a file its name: the one place where something becomes part of a run's results.

A file is written under a temporary name beside its own, `.NAME.RANDOM.tmp`, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .outputs import real_name
from .path_walk import HeldPath, hold_directory, hold_path
from .writing import create, create_at, remove, rename

_COPY_BYTES = 4 << 20
_RANDOM_BYTES = 8
_MOST_NAME_BYTES = 200
"""Of a file's name in that of its temporary file; names may have 255."""


_given: deque[Path] = deque(maxlen=64)
"""The temporary names that `temporary_name` gave last; few are in use at a time."""


def publish_copy(source: Path, target: Path) -> None:
    """Copy a finished file under a temporary name beside `target`, sync it, and rename it.

    Either `target` is there and whole afterwards, or it isn't there; a kill in between leaves at
    most the temporary file. An existing target is never touched: `FileExistsError`.
    """
    with _written_beside(target) as (at, temporary, descriptor):
        _copy(source, descriptor)
        os.fsync(descriptor)
        # Names are unique and the output is locked; this guards against a fault.
        if at.status() is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        _give_name(at, temporary)


def copy_new(source: Path, target: Path) -> None:
    """Copy a file under a name that nothing may have, such as `temporary_name` gives."""
    descriptor = create(target)
    try:
        _copy(source, descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, pieces: Iterable[bytes | str], sync: bool = True) -> None:
    """Write a file that has its name only when it is whole; one of that name is replaced.

    :param sync: whether it must survive a crash of the machine.
    """
    with replacing(path, sync) as file:
        for piece in pieces:
            file.write(
                piece.encode("utf-8", "backslashreplace") if isinstance(piece, str) else piece
            )


@contextmanager
def replacing(target: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """Give a new file to write; when that went well, it gets the target's name, in place of what
    had it.

    Two processes that write the same target, as the ranks of a launcher would, don't meet.

    :param sync: as for `write_whole`.
    :raises OutputError: the target is a directory, a device or a pipe, or a link that is not
        followed.
    """
    with _written_beside(real_name(target)) as (at, temporary, descriptor):
        with open(os.dup(descriptor), "wb") as file:
            yield file
        if sync:
            os.fsync(descriptor)
        _give_name(at, temporary, sync)


def publish_whole(temporary: Path, target: Path) -> None:
    """Sync a finished file and give it the target's name, in place of the regular file that had it.

    :raises OutputError: something else had it.
    """
    with hold_path(temporary) as at:
        descriptor = os.open(
            at.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at.directory
        )
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    target = real_name(target)
    rename(temporary, target)
    with hold_directory(target.parent) as at:
        _sync(at)


def temporary_name(target: Path) -> Path:
    """Return a name that a file can have until it is whole; another one each time.

    >>> temporary_name(Path("a/part-1.h5")).name.startswith(".part-1.h5.")
    True
    """
    name = target.with_name(f"{_stem(target.name)}{secrets.token_hex(_RANDOM_BYTES)}.tmp")
    _given.append(name)
    return name


def remove_temporaries() -> None:
    """Remove what still has one of the temporary names that this process gave last, before a signal
    ends it."""
    for name in _given:
        with contextlib.suppress(OSError):
            remove(name)


def sweep(target: Path) -> int:
    """Remove the temporary files that killed runs left beside a file, and return how many there
    were.

    The caller holds the lock on what the file belongs to.
    """
    return sweep_directory(target.parent, re.escape(_stem(target.name)))


def sweep_directory(directory: Path, stem: str = r"\..+\.") -> int:
    """Remove the temporary files of a directory, and return how many there were; nothing else is
    touched.

    :param stem: regular expression for what stands before the random part of the name.
    """
    pattern = re.compile(f"(?:{stem})[0-9a-f]{{{2 * _RANDOM_BYTES}}}\\.tmp")
    removed = 0
    with contextlib.suppress(FileNotFoundError), hold_directory(directory) as at:
        for name in os.listdir(f"/proc/self/fd/{at.directory}"):
            if pattern.fullmatch(name) and _is_regular(name, at):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=at.directory)
                    removed += 1
    return removed


def _is_regular(name: str, at: HeldPath) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=at.directory, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _stem(name: str) -> str:
    """Return how the names of a file's temporary files begin."""
    short = os.fsdecode(os.fsencode(name)[:_MOST_NAME_BYTES])
    return f".{short}."


@contextmanager
def _written_beside(target: Path) -> Iterator[tuple[HeldPath, str, int]]:
    """Give the target's place, and name and descriptor of a new file beside it; remove what was not
    renamed."""
    with hold_path(target) as at:
        temporary = temporary_name(at.path).name
        descriptor = create_at(at, temporary)
        try:
            yield at, temporary, descriptor
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=at.directory)
            raise
        finally:
            os.close(descriptor)


def _give_name(at: HeldPath, temporary: str, sync: bool = True) -> None:
    os.replace(temporary, at.name, src_dir_fd=at.directory, dst_dir_fd=at.directory)
    if sync:
        _sync(at)


def _sync(at: HeldPath) -> None:
    """Make the names in a directory survive a crash of the machine."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at.directory)
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
