"""Publish files: write under a temporary name, sync, and rename, so that a name means a whole file.

The temporary name is beside the file's own: `.NAME.RANDOM.tmp`. The rename is the only moment at
which something becomes part of a run's results.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
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
"""Bytes of a file's name that its temporary name repeats; a name may have 255."""

_recent_names: deque[Path] = deque(maxlen=64)
"""The temporary names that `temporary_name` returned last; few are in use at a time."""


def publish_copy(source: Path, target: Path) -> None:
    """Copy a finished file under a temporary name beside `target`, sync it, and rename it.

    Either `target` exists and is whole afterwards, or it doesn't exist; a kill in between leaves at
    most the temporary file.

    :raises FileExistsError: `target` exists; it is not touched.
    """
    with _written_beside(target) as (at, temporary, descriptor):
        _copy(source, descriptor)
        os.fsync(descriptor)
        # Names are unique and the output is locked; this guards against a fault.
        if at.status() is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        _rename(at, temporary)


def copy_new(source: Path, target: Path) -> None:
    """Copy a file under a name that nothing has yet, such as `temporary_name` returns."""
    descriptor = create(target)
    try:
        _copy(source, descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, pieces: Iterable[bytes | str], sync: bool = True) -> None:
    """Write a file that gets its name when it is whole, in place of a file that had the name.

    :param pieces: strings are written as UTF-8.
    :param sync: whether the file must survive a crash of the machine.
    """
    with replacing(path, sync) as file:
        for piece in pieces:
            if isinstance(piece, str):
                piece = piece.encode("utf-8", "backslashreplace")
            file.write(piece)


@contextmanager
def replacing(target: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """Yield a new file, which gets the target's name if the body succeeds.

    Processes that write the same target, as the ranks of a launcher would, write different files.

    :param sync: whether the file must survive a crash of the machine.
    :raises OutputError: the target is a directory, a device, a pipe, or a link that is not
        followed.
    """
    with _written_beside(real_name(target)) as (at, temporary, descriptor):
        with open(os.dup(descriptor), "wb") as file:
            yield file
        if sync:
            os.fsync(descriptor)
        _rename(at, temporary, sync)


def publish_whole(temporary: Path, target: Path) -> None:
    """Sync a finished file and give it the target's name, in place of the regular file that had it.

    :raises OutputError: something else had it.
    """
    with hold_path(temporary) as at:
        descriptor = os.open(at.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at.directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    target = real_name(target)
    rename(temporary, target)
    with hold_directory(target.parent) as at:
        _sync_directory(at)


def random_digits() -> str:
    """Return hexadecimal digits that no other name has."""
    return os.urandom(_RANDOM_BYTES).hex()


def temporary_name(target: Path) -> Path:
    """Return a name that a file can have until it is whole; another one each time.

    >>> temporary_name(Path("a/part-1.h5")).name.startswith(".part-1.h5.")
    True
    """
    name = target.with_name(f"{_stem(target.name)}{random_digits()}.tmp")
    _recent_names.append(name)
    return name


def remove_temporaries() -> None:
    """Remove this process's temporary files, before a signal ends it."""
    for name in _recent_names:
        with contextlib.suppress(OSError):
            remove(name)


def sweep(target: Path) -> int:
    """Remove the temporary files that killed runs left beside a file, and return how many.

    The caller holds the lock on what the file belongs to.
    """
    return sweep_directory(target.parent, re.escape(_stem(target.name)))


def sweep_directory(directory: Path, stem: str = r"\..+\.") -> int:
    """Remove the temporary files in a directory, and return how many; other files stay.

    :param stem: regular expression for what precedes the random part of the name.
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
    """Yield the target's place, and name (`HeldPath.beside`) and descriptor of a new file there.

    The new file is removed if the body raises.
    """
    with hold_path(target) as at:
        temporary = at.beside(temporary_name(at.path).name)
        descriptor = create_at(at, temporary)
        try:
            yield at, temporary, descriptor
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=at.directory)
            raise
        finally:
            os.close(descriptor)


def _rename(at: HeldPath, temporary: str, sync: bool = True) -> None:
    """Give a file in the directory of `at` the name of `at`."""
    os.replace(temporary, at.name, src_dir_fd=at.directory, dst_dir_fd=at.directory)
    if sync:
        _sync_directory(at)


def _sync_directory(at: HeldPath) -> None:
    """Make the names in a directory survive a crash of the machine, where the system can."""
    if at.directory is None:
        return
    descriptor = os.open(".", os.O_RDONLY, dir_fd=at.directory)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems don't support fsync of a directory.
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
