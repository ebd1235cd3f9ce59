"""Open files for reading that other users may have made: only regular files, and never wait.

A name may lead to a FIFO, which would hang whoever opens it, to a device without end, or through a
link to somewhere else. Everything that this program reads and that somebody else may have put there
is opened here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .open_flags import BINARY, open_flags
from .path_walk import is_shared, may_follow, owner_name

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_FLAGS = os.O_RDONLY | BINARY | open_flags("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY")

_READ_BYTES = 1 << 20


def open_regular(path: str | Path, *, follow: bool = True, largest: int | None = None) -> int:
    """Open a regular file for reading, never anything else, and return its descriptor.

    :param follow: whether the name itself may be a symbolic link; give False where others can make
        names.
    :param largest: the most bytes that the file may have.
    :raises OSError: it can't be opened, is not a regular file, or is larger; `strerror` says so in
        words.
    """
    # Look before opening, since opening alone already does something to some devices.
    _require_regular(os.stat(path, follow_symlinks=follow), path)
    descriptor = os.open(path, _FLAGS | (0 if follow else open_flags("O_NOFOLLOW")))
    try:
        # Look at what was opened, since the name may have changed hands in between.
        status = os.fstat(descriptor)
        _require_regular(status, path)
        if largest is not None and status.st_size > largest:
            message = f"it has {status.st_size:,} bytes, at most {largest:,} are read"
            raise OSError(errno.EFBIG, message, str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_whole(path: str | Path, *, largest: int, follow: bool = True) -> bytes:
    """Return the bytes of a regular file of at most `largest` bytes.

    :raises OSError: as `open_regular`.
    """
    descriptor = open_regular(path, follow=follow, largest=largest)
    try:
        pieces = []
        size = 0
        # Read no further than one byte beyond the bound, if the file grows meanwhile.
        while piece := os.read(descriptor, min(_READ_BYTES, largest + 1 - size)):
            pieces.append(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    if size > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest:,} bytes", str(path))
    return b"".join(pieces)


def _require_regular(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


def check_trusted_directory(path: Path) -> os.stat_result:
    """Return the status of a directory that this user made, or another one whom the user trusts.

    In a sticky directory such as /tmp it must belong to the user or to the sticky directory's
    owner, since anybody else may have put it there first. A symbolic link must have been made by
    one of those, by root or, elsewhere, by the owner of the directory that it is in.

    :raises OSError: it is not a directory, or not theirs; `strerror` says so in words.
    """
    status = os.lstat(path)
    parent = os.stat(path.parent)
    if stat.S_ISLNK(status.st_mode):
        if not may_follow(status, parent):
            message = f"it is a symbolic link of {owner_name(status.st_uid)}"
            raise OSError(errno.EPERM, message, str(path))
        status = os.stat(path)
    elif is_shared(parent) and status.st_uid not in (os.geteuid(), parent.st_uid):
        raise OSError(errno.EPERM, f"it belongs to {owner_name(status.st_uid)}", str(path))
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, "it is not a directory", str(path))
    return status


def check_trusted_owner(owner: int, directory: os.stat_result) -> None:
    """Refuse a file of another user in a sticky directory, unless it is the directory's owner's.

    :param owner: user id of the file's owner.
    :raises OSError: `strerror` says whose it is.
    """
    if is_shared(directory) and owner not in (os.geteuid(), directory.st_uid):
        message = f"it belongs to {owner_name(owner)}, in a directory that all users share"
        raise OSError(errno.EPERM, message)
