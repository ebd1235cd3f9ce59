"""Decide whether an output may be written: what is replaced without asking, what with --force."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import OutputError, UsageError
from .path_walk import hold_path, owner_name

FORCE = "name another file, or replace it with --force"
_CHOOSE = "choose another output with -o"
_HAS_EFFECTIVE_IDS = os.access in os.supports_effective_ids


def real_name(path: Path) -> Path:
    """Return the path of the file that an output replaces, at the end of all links.

    :raises OutputError: it is a directory, a device, a pipe or a socket, or a link that is not
        followed.
    """
    # Ask the kernel first: /dev/stdout leads to a pipe by a link that can't be read as a path.
    try:
        mode = os.stat(path).st_mode
    except OSError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a directory", "name a file")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path} is a device or a pipe", "name a file")
    try:
        with hold_path(path) as at:
            return at.path
    except OSError:
        # A directory is missing, or can't be searched: opening the file says so.
        return Path(os.path.abspath(path))


def check_replaceable(
    path: Path,
    what: str,
    is_own: Callable[[Path], bool],
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> None:
    """Refuse an output in whose place is an input, or a file that this program did not make.

    An empty file is replaced as if it did not exist.

    :param what: the kind of output, for the message: `page`, `list` …
    :param is_own: returns whether this program made the file at a path, as an output of this kind.
    :param force: replace other files too, and read-only ones.
    :param inputs: files and directories that the command reads; never replaced.
    :raises UsageError: it may not be replaced.
    :raises OutputError: it can't be replaced, or is not a regular file.
    """
    path = real_name(path)
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        check_parent(path)
        return
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}", _CHOOSE) from None
    check_not_input(path, inputs)
    if not force:
        check_writable(path)
        if status.st_size and not is_own(path):
            raise UsageError(f"{path} exists and is no {what} of this program", FORCE)
    check_parent(path)


def check_writable(path: Path, hint: str = FORCE) -> None:
    """Refuse a file that nobody, or not this user, may write; a rename over it would not ask.

    :raises OutputError: it is read-only.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        message = f"{path} can't be replaced: {error.strerror}"
        raise OutputError(message, "remove it, or name another file") from None
    mode = stat.S_IMODE(status.st_mode)
    # Root may write everything; a file that nobody may write is still meant to stay.
    if not mode & 0o222:
        raise OutputError(f"{path} is read-only (mode {mode:04o})", hint)
    if not _may(path, os.W_OK):
        owner = owner_name(status.st_uid)
        message = f"{path} belongs to {owner} and is not writable for you (mode {mode:04o})"
        raise OutputError(message, hint)


def _may(path: Path, mode: int) -> bool:
    """Return whether this process may use a path as `mode` says."""
    return os.access(path, mode, effective_ids=_HAS_EFFECTIVE_IDS)


def check_parent(path: Path) -> None:
    """Refuse an output whose directory, or the nearest one that exists, can't be written.

    :raises OutputError: it names the directory.
    """
    directory = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not directory.is_dir():
        raise OutputError(f"can't write {path}: {directory} is not a directory", _CHOOSE)
    if not _may(directory, os.W_OK | os.X_OK):
        message = f"can't write {path}: no permission to make files in {directory}"
        raise OutputError(message, _CHOOSE)


def check_output_directory(path: Path) -> None:
    """Refuse an output directory that is a file, or that can't be made or written.

    :raises OutputError: it says which.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path} is a file, not a directory", "name a directory with -o")
    check_parent(path / "any")


def check_apart(directory: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output directory that the command reads.

    :raises UsageError: it is one of `inputs`.
    """
    for one in inputs:
        if os.path.isdir(directory) and os.path.isdir(one) and os.path.samefile(directory, one):
            raise UsageError(f"{directory} is an input of this command", "name another directory")


def check_not_input(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output file that the command reads.

    :raises UsageError: it is one of `inputs`, or lies in one.
    """
    for one in inputs:
        try:
            if os.path.samefile(one, path):
                raise UsageError(f"{path} is an input of this command", "name another file")
            if os.path.isdir(one) and Path(os.path.realpath(one)) in path.parents:
                raise UsageError(f"{path} is a file of the input {one}", "name another file")
        except OSError:
            continue
