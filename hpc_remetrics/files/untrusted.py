"""Opening files that other users may have made, for reading: what is not a regular file is never
waited for.

A name may lead to a FIFO, which would hang whoever opens it, to a device without end, or through a
link to somewhere else. Everything that this program reads and that somebody else may have put there
is opened here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .path_walk import is_shared, may_follow, owner_name

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_READ_BYTES = 1 << 20


def open_regular(path: str | Path, *, follow: bool = True, largest: int | None = None) -> int:
    """Open a regular file for reading, never anything else, and return its descriptor.

    :param follow: whether the name itself may be a symbolic link; give False where others can make
        names.
    :param largest: the most bytes that the file may have.
    :raises OSError: it can't be opened, is no regular file, or is larger; `strerror` says so in
        words.
    """
    # Look before opening, since opening alone already does something to some devices.
    _require_regular(os.stat(path, follow_symlinks=follow), path)
    descriptor = os.open(path, _FLAGS | (0 if follow else os.O_NOFOLLOW))
    try:
        # Look at what was opened, since the name may have changed hands in between.
        about = os.fstat(descriptor)
        _require_regular(about, path)
        if largest is not None and about.st_size > largest:
            raise OSError(
                errno.EFBIG,
                f"it has {about.st_size:,} bytes, at most {largest:,} are read",
                str(path),
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_whole(path: str | Path, *, largest: int, follow: bool = True) -> bytes:
    """Return the bytes of a regular file of at most `largest` bytes; errors as those of
    `open_regular`."""
    descriptor = open_regular(path, follow=follow, largest=largest)
    try:
        pieces, size = [], 0
        # A file that grows meanwhile is not read beyond the bound either.
        while size <= largest and (
            piece := os.read(descriptor, min(_READ_BYTES, largest + 1 - size))
        ):
            pieces.append(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    if size > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest:,} bytes", str(path))
    return b"".join(pieces)


def _require_regular(about: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = _KINDS.get(stat.S_IFMT(about.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


def check_trusted_directory(path: Path) -> os.stat_result:
    """Return what `lstat` says of a directory that this program made earlier, or another user's run
    of it.

    In a sticky directory such as /tmp it must belong to the user or to the sticky directory's
    owner, since anybody else may have put it there first. A symbolic link must have been made by
    one of those, by root or, elsewhere, by the owner of the directory that it is in.

    :raises OSError: it is none, or not theirs; `strerror` says so in words.
    """
    about, parent = os.lstat(path), os.stat(path.parent)
    trusted = {os.geteuid(), parent.st_uid}
    if stat.S_ISLNK(about.st_mode):
        if not may_follow(about, parent):
            raise OSError(
                errno.EPERM, f"it is a symbolic link of {owner_name(about.st_uid)}", str(path)
            )
        about = os.stat(path)
    elif is_shared(parent) and about.st_uid not in trusted:
        raise OSError(errno.EPERM, f"it belongs to {owner_name(about.st_uid)}", str(path))
    if not stat.S_ISDIR(about.st_mode):
        raise OSError(errno.ENOTDIR, "it is not a directory", str(path))
    return about


def check_trusted_owner(owner: int, directory: os.stat_result) -> None:
    """Refuse a file of another user in a sticky directory, unless it is the directory's owner's.

    :raises OSError: `strerror` says whose it is.
    """
    if is_shared(directory) and owner not in (os.geteuid(), directory.st_uid):
        raise OSError(
            errno.EPERM, f"it belongs to {owner_name(owner)}, in a directory that all users share"
        )
