"""Open files for writing, make directories, rename and remove: the only module that does.

Every path is walked by the rules of `path_walk.hold_path`. A new file is created exclusively, so
nothing that was planted under its name is ever written to. A file that is changed in place (a lock,
a journal, a blob that is being downloaded) must be a regular file that has no other name and, in a
sticky directory, no untrusted owner. The permissions of new files are those that the umask leaves.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError
from .open_flags import BINARY, open_flags
from .path_walk import HeldPath, hold_directory, hold_path, is_shared, owner_name

_SAFE = BINARY | open_flags("O_NOFOLLOW", "O_CLOEXEC")
_PRIVATE_FLAGS = {"xb": os.O_EXCL, "wb": os.O_TRUNC, "ab": os.O_APPEND, "w+b": os.O_TRUNC}


def create(path: Path, mode: int = 0o666) -> int:
    """Create a file that must not exist, and return a descriptor to read and write it.

    :param mode: permissions before the umask.
    :raises FileExistsError: something has the name.
    """
    with hold_path(path) as at:
        return create_at(at, at.name, mode)


def create_at(at: HeldPath, name: str, mode: int = 0o666) -> int:
    """Create a file as `create`, in a directory that is held open."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, mode, dir_fd=at.directory)


def open_in_place(path: Path, flags: int = 0, mode: int = 0o666, missing_ok: bool = True) -> int:
    """Open a file to read it and to change it where it is, and return its descriptor.

    :param flags: more flags, such as `os.O_APPEND`.
    :param mode: permissions of a new file before the umask.
    :param missing_ok: whether a file that is missing is created.
    :raises OutputError: it is not a regular file, has another name too, or is another user's.
    """
    # Nonblocking, since a FIFO that nobody reads must not hold the run.
    flags |= os.O_RDWR | os.O_NONBLOCK | _SAFE
    with hold_path(path) as at:
        try:
            descriptor = os.open(at.name, flags, dir_fd=at.directory)
        except FileNotFoundError:
            if not missing_ok:
                raise
            try:
                return os.open(at.name, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=at.directory)
            except FileExistsError:
                # Another process of the job was first.
                descriptor = os.open(at.name, flags, dir_fd=at.directory)
        try:
            _check_in_place(descriptor, at)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _check_in_place(descriptor: int, at: HeldPath) -> None:
    """Refuse a file whose bytes are not this user's alone to change."""
    status = os.fstat(descriptor)
    directory = at.directory_status()
    if not stat.S_ISREG(status.st_mode):
        message = f"{at.path} is not a regular file"
        raise OutputError(message, "move it, or choose another output with -o")

    # Writing to it would change files of other names, or another user's.
    if status.st_nlink > 1:
        raise OutputError(
            f"{at.path} is one of {status.st_nlink} hard links to a file, and writing to it would "
            "change all of them",
            f"remove this one (`rm {at.path}`), or choose another output with -o",
        )
    if is_shared(directory) and status.st_uid not in (os.geteuid(), directory.st_uid):
        raise OutputError(
            f"{at.path} belongs to {owner_name(status.st_uid)}, in a directory where everybody can "
            "make files",
            "choose an output in a directory of your own with -o",
        )


def private_file(path: Path, mode: str) -> BinaryIO:
    """Open a file, for its owner alone, in a directory that this program made for itself.

    :param mode: `xb`, `wb`, `ab` or `w+b`, as for `open`; no link is followed.
    """
    return open(private_descriptor(path, _PRIVATE_FLAGS[mode]), mode)  # type: ignore[return-value]


def private_descriptor(path: Path, flags: int = 0) -> int:
    """Open or create a file as `private_file`, and return a descriptor to read and write it.

    :param flags: more flags, such as `os.O_APPEND`.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | flags | _SAFE, 0o600)


def shared_file(path: Path) -> BinaryIO:
    """Open a file of another process of the rank, made by `private_file`, to change it."""
    return open(os.open(path, os.O_RDWR | _SAFE), "r+b")


def reopened(descriptor: int) -> BinaryIO:
    """Open the file of a descriptor for reading from its beginning, whatever has its name now."""
    return open(f"/proc/self/fd/{descriptor}", "rb")


def make_directories(path: Path) -> list[Path]:
    """Make a directory and those above it that are missing.

    :returns: those that were made, the outermost first.
    :raises OSError: one can't be made, or something else has the name.
    """
    made: list[Path] = []
    try:
        with hold_path(path) as at:
            status = at.status()
            if status is None:
                os.mkdir(at.name, dir_fd=at.directory)
                made.append(at.path)
            elif not stat.S_ISDIR(status.st_mode):
                raise FileExistsError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    except FileNotFoundError:
        # The one above is missing.
        if path.parent == path:
            raise
        made += make_directories(path.parent)
        made += make_directories(path)
    except FileExistsError:
        # Another process of the job may have been first.
        if not path.is_dir():
            raise
    return made


def remove_if_empty(directory: Path) -> None:
    """Remove a directory if nothing is in it."""
    with contextlib.suppress(OSError), hold_directory(directory.parent) as at:
        os.rmdir(directory.name, dir_fd=at.directory)


def rename(source: Path, target: Path, replace: bool = True) -> None:
    """Give a file another name, in place of the file that had it.

    :param replace: whether a file may have had it.
    :raises FileExistsError: one had it, without `replace`.
    """
    with hold_path(source) as old, hold_path(target) as new:
        if not replace and new.status() is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        os.replace(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)


def remove(path: Path) -> None:
    """Remove a name if it exists; of a symbolic link the link itself."""
    with contextlib.suppress(FileNotFoundError), hold_directory(path.parent) as at:
        os.unlink(path.name, dir_fd=at.directory)
