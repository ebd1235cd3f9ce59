"""Decide whether an output may have its name: what is replaced without asking, and what only with
--force."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import OutputError, UsageError
from .path_walk import hold_path, owner_name

FORCE = "name another file, or replace it with --force"


def check_output(path: Path) -> None:
    """Refuse a name that something else than a regular file has.

    :raises OutputError: it is a directory, a device, a pipe or a socket, or a link that is not
        followed.
    """
    real_name(path)


def real_name(path: Path) -> Path:
    """Return the name of the file that is to be replaced: where a link leads, even if nothing is
    there yet.

    :raises OutputError: as `check_output`.
    """
    # The kernel's answer first: /dev/stdout leads to a pipe by a link that can't be read as a path.
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
    """Refuse an output whose place is taken by what this program did not make, or by what the
    command reads.

    A file without a byte in it is replaced as if it were not there.

    :param what: the kind of output, for the message: `page`, `list` …
    :param is_own: says whether this program made the file that is there, as an output of the same
        kind.
    :param force: replace what is not the program's own, and what is read-only.
    :param inputs: files and directories that the command reads; never replaced.
    :raises UsageError: it may not be replaced.
    :raises OutputError: it can't be replaced, or `check_output` refuses it.
    """
    path = real_name(path)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        check_parent(path)
        return
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror}", "choose another output with -o"
        ) from None
    check_not_input(path, inputs)
    if not force:
        check_writable(path)
        if found.st_size and not is_own(path):
            raise UsageError(f"{path} exists and is no {what} of this program", FORCE)
    check_parent(path)


def check_writable(path: Path, hint: str = FORCE) -> None:
    """Refuse a file that nobody, or not this user, may write: renaming another over it would not
    ask.

    :raises OutputError: it is read-only.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise OutputError(
            f"{path} can't be replaced: {error.strerror}", "remove it, or name another file"
        ) from None
    mode = stat.S_IMODE(found.st_mode)
    # The superuser may write everything; a file without any such bit is still meant to stay.
    if not mode & 0o222:
        raise OutputError(f"{path} is read-only (mode {mode:04o})", hint)
    if not os.access(path, os.W_OK, effective_ids=True):
        raise OutputError(
            f"{path} belongs to {owner_name(found.st_uid)} and is not writable for you (mode {mode:04o})",
            hint,
        )


def check_parent(path: Path) -> None:
    """Refuse an output that can't be made: its directory, or the nearest one that exists, isn't
    writable.

    :raises OutputError: it names the directory.
    """
    directory = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not directory.is_dir():
        raise OutputError(
            f"can't write {path}: {directory} is no directory", "choose another output with -o"
        )
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        raise OutputError(
            f"can't write {path}: no permission to make files in {directory}",
            "choose another output with -o",
        )


def check_output_directory(path: Path) -> None:
    """Refuse a directory to be filled that something else is, or that can't be made or written.

    :raises OutputError: it says which.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path} is a file, not a directory", "name a directory with -o")
    check_parent(path / "any")


def check_apart(directory: Path, inputs: Iterable[Path]) -> None:
    """Refuse a directory to be filled that the command reads.

    :raises UsageError: it is one of `inputs`.
    """
    for one in inputs:
        if os.path.isdir(directory) and os.path.isdir(one) and os.path.samefile(directory, one):
            raise UsageError(f"{directory} is an input of this command", "name another directory")


def check_not_input(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse a file to be written that the command reads.

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
