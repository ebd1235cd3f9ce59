"""Walk a path and follow only symbolic links that no stranger can have planted.

In a sticky directory, such as /tmp, a link is followed if it belongs to the user or to the owner of
the directory. That is the kernel's rule (`fs.protected_symlinks`), which some machines have
switched off, and which does not hold in directories that a group shares. Elsewhere links of the
user, of root and of the directory's owner are followed. The walk holds each directory open, so that
nobody can swap one between the check and its use:

    /data/run/out.h5  →  hold /   →  hold /data  →  /data/run is a link of the user to ../big/7
                      →  hold /big  →  hold /big/7  →  (descriptor of /big/7, "out.h5")

Only Linux can hold directories like this. Elsewhere, where people read and export datasets, the
system follows links by its own rules.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError
from .open_flags import open_flags

_MOST_LINKS = 40
"""Links on the way to one file, as many as Linux follows."""

_CAN_HOLD = hasattr(os, "O_PATH")
_HOLD = open_flags("O_PATH", "O_NOFOLLOW", "O_CLOEXEC")


@dataclass(frozen=True)
class HeldPath:
    """A name in a directory that is held open; there may or may not be a file of that name.

    :ivar directory: descriptor of the directory (`O_PATH`), valid in the body of `hold_path`; None
        on a system that can't hold one.
    :ivar name: last component, never a link that was to be followed; without a descriptor the path.
    :ivar path: absolute path without links, for messages and for other ranks.
    """

    directory: int | None
    name: str
    path: Path

    def beside(self, name: str) -> str:
        """Return what names another file in the directory, for calls with `dir_fd=directory`."""
        return name if self.directory is not None else str(self.path.with_name(name))

    def directory_status(self) -> os.stat_result:
        """Return the status of the directory."""
        return os.stat(self.path.parent) if self.directory is None else os.fstat(self.directory)

    def status(self) -> os.stat_result | None:
        """Return the status of the name itself (`lstat`), None if there is no such file."""
        return _status(self.directory, self.name)


@contextmanager
def hold_path(path: Path) -> Iterator[HeldPath]:
    """Walk to the directory of a path and hold it open; the last component is followed as well.

    :raises OutputError: a link on the way may be a stranger's.
    :raises OSError: a directory on the way is missing, or can't be searched.
    """
    if not _CAN_HOLD:
        real_path = Path(os.path.realpath(path))
        yield HeldPath(None, str(real_path), real_path)
        return
    pending = deque(_components(os.fspath(path)))
    real: list[str] = [] if path.is_absolute() else _components(os.getcwd())
    directory = os.open("/" if path.is_absolute() else ".", _HOLD | os.O_DIRECTORY)
    links = 0
    try:
        while True:
            name = pending.popleft() if pending else "."
            status = _status(directory, name)
            # Follow a link: put the components of its target before those that are left.
            if status is not None and stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
                target = _read_link(directory, name, status, _joined(real, name))
                pending.extendleft(reversed(_components(target)))
                if target.startswith("/"):
                    directory = _enter(directory, "/")
                    real = []
                continue
            if not pending:
                yield HeldPath(directory, name, _joined(real, name))
                return
            directory = _enter(directory, name)
            real = real[:-1] if name == ".." else [*real, name]
    finally:
        os.close(directory)


@contextmanager
def hold_directory(directory: Path) -> Iterator[HeldPath]:
    """Walk to a directory and hold it open itself; the name of the result is `.`.

    :raises OutputError: as `hold_path`.
    :raises OSError: it is missing, or not a directory; as `hold_path`.
    """
    with hold_path(directory) as at:
        descriptor = os.open(at.name, _HOLD | os.O_DIRECTORY, dir_fd=at.directory)
        try:
            yield HeldPath(descriptor, ".", at.path)
        finally:
            os.close(descriptor)


def may_follow(link: os.stat_result, directory: os.stat_result) -> bool:
    """Return whether the owner of a link is the user, or somebody whom the user trusts there.

    :param directory: status of the directory that the link is in.
    """
    trusted = {os.geteuid(), directory.st_uid}
    if not directory.st_mode & stat.S_ISVTX:
        trusted.add(0)
    return link.st_uid in trusted


def is_shared(directory: os.stat_result) -> bool:
    """Return whether other users may make files in a sticky directory."""
    mode = directory.st_mode
    return bool(mode & stat.S_ISVTX and mode & (stat.S_IWGRP | stat.S_IWOTH))


def owner_name(number: int) -> str:
    """Return the name of a user id, `user NUMBER` where there is none."""
    try:
        import pwd  # Windows has none

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"user {number}"


def _components(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _joined(real: list[str], name: str) -> Path:
    return Path("/", *real, name)


def _status(directory: int | None, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _read_link(directory: int, name: str, status: os.stat_result, path: Path) -> str:
    """Return the target of a link, if it may be followed.

    :param status: of the link; if it is another one by now, that is an error.
    :param path: of the link, for messages.
    """
    # Open the link itself, so that the one that is judged is the one that is read.
    link = os.open(name, _HOLD, dir_fd=directory)
    try:
        judged = os.fstat(link)
        parent = os.fstat(directory)
        if not os.path.samestat(judged, status):
            raise OSError(errno.ELOOP, "a link was changed meanwhile", os.fspath(path))
        target = os.readlink("", dir_fd=link)
    finally:
        os.close(link)
    if not may_follow(judged, parent):
        raise OutputError(
            f"{path} is a symbolic link of {owner_name(judged.st_uid)} in a directory of "
            f"{owner_name(parent.st_uid)}, and is not followed",
            f"if you trust it, name the file that it leads to: {target}",
        )
    return target


def _enter(directory: int, name: str) -> int:
    """Hold a directory that is not a link, and release the one that was held."""
    entered = os.open(name, _HOLD | os.O_DIRECTORY, dir_fd=directory)
    os.close(directory)
    return entered
