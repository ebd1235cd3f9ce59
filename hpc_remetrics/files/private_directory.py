"""Make private directories where other users can write, too: owned by this user, closed to others.

In a directory like /tmp anybody can make any name first. So a name counts only if what it names,
looked at once and through an open descriptor, is a directory of this user that nobody else may
enter, and no link. Where the name is taken, another one is made: `NAME~RANDOM`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def private_directory(above: Path, name: str) -> Path:
    """Return a private directory in `above`, made if it is missing.

    It has the name `name`, or another one if that is taken, which later calls find.

    :raises OSError: `above` can't be written, or everybody can rename what is in it.
    """
    above.mkdir(parents=True, exist_ok=True)
    _check_above(above)
    path = above / name
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if is_private(path):
        return path
    if others := private_directories(above, name):
        return others[0]
    path = above / f"{name}~{os.urandom(4).hex()}"
    path.mkdir(mode=0o700)
    return path


def private_directories(above: Path, name: str) -> list[Path]:
    """Return the directories that `private_directory` made in `above`, in order of their names."""
    try:
        names = os.listdir(above)
    except OSError:
        return []
    paths = [above / one for one in sorted(names) if one == name or one.startswith(f"{name}~")]
    return [path for path in paths if is_private(path)]


def is_private(path: Path) -> bool:
    """Return whether a path names a directory of this user that nobody else may enter."""
    try:
        os.close(open_private(path))
    except OSError:
        return False
    return True


def open_private(path: Path) -> int:
    """Return a descriptor of a private directory.

    :raises OSError: there is none of that name; `EACCES`: something else has the name.
    """
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _not_private(path) from None
        raise
    status = os.fstat(descriptor)
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(descriptor)
        raise _not_private(path)
    return descriptor


def _not_private(path: Path) -> OSError:
    return PermissionError(errno.EACCES, "it is not private to this user", str(path))


def _check_above(above: Path) -> None:
    """Refuse a directory in which everybody can replace this user's directories by others."""
    mode = above.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        reason = "everybody can rename what is in it (it lacks the sticky bit: chmod +t)"
        raise PermissionError(errno.EACCES, reason, str(above))
