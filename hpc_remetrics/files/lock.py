"""One job an output: a lock that a killed job leaves open for the next one at once.

A POSIX lock does that on one machine and on file systems that carry locks between nodes; where they
don't, a heartbeat in the same file tells a living job on another node. HDF5's own lock is not used.

Who may read a file may lock it against writers. So the lock file is readable only for those who may
write it.

The file has a slot for the job that holds the whole output, and one for each share of it (an array
job fills one output by many jobs, each with a share of the layers). Who holds the output locks all
bytes, who holds a share those of its slot: shares bear one another, and nobody bears a job that
holds the whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import stat
import struct
import time
from pathlib import Path

from ..errors import OutputError, OutputLockedError
from .path_walk import hold_path, owner_name
from .writing import make_directories, open_in_place, remove, remove_if_empty

HEARTBEAT = 1.0
"""Seconds between two heartbeats of the holder."""

_PATIENCE = 2.0
"""Seconds that a job waits for the lock, which one that was killed holds until its last rank is
gone."""

_WATCH = 3.5
"""Seconds that a heartbeat is watched before it counts as dead, where the lock doesn't tell."""

_MODE = 0o622
"""Permissions of a new lock file before the umask: no bit to read without one to write, even for a
moment."""

_SLOT = 128
"""Bytes of a slot: host, process and count of the holder's heartbeats, padded with spaces; empty:
all NUL."""

_MOST_BYTES = 1_000_001 * _SLOT
"""Bytes of a lock file in which every share has a slot."""

_SLOT_TEXT = re.compile(r"\S+ \d+ \d+")


class OutputLock:
    """Holds `DATASET.lock` beside an output; `heartbeat` must be called often.

    :param share: number of the share, from 1, that is to be held; 0: the whole output.
    :raises OutputLockedError: another job holds it.
    :raises OutputError: the file can't be made or opened, or is no lock file; it names the file.
    """

    def __init__(self, output: Path, share: int = 0) -> None:
        self.path = lock_path(output)
        self._share = share
        self._beaten = 0.0
        self._count = 0
        self._is_sure = True
        self._me = f"{socket.gethostname()} {os.getpid()}"
        self._made: list[Path] = []
        try:
            self._made = make_directories(output.parent)
            self._open()
        except OSError as error:
            self._remove_directories()
            raise OutputError(
                f"can't write to {self.path}: {error.strerror}{_whose(self.path)}",
                "choose another output with -o",
            ) from None
        except BaseException:
            self._remove_directories()
            raise

    def _open(self) -> None:
        """Open and lock the file that has the name; one that its holder removed meanwhile is opened
        anew."""
        while True:
            self._is_new = not os.path.lexists(self.path)
            self._file = open_in_place(self.path, mode=_MODE)
            try:
                self._hide()
                self._check_form()
                self._acquire()
                if self._has_name():
                    return
            except BaseException:
                os.close(self._file)
                raise
            os.close(self._file)

    def _hide(self) -> None:
        """Let those read the file who may write it, and nobody else."""
        mode = stat.S_IMODE(os.fstat(self._file).st_mode)
        wanted = mode & 0o222 | (mode & 0o222) << 1
        if mode & 0o666 != wanted:
            # A file of somebody else's stays as it is.
            with contextlib.suppress(OSError):
                os.fchmod(self._file, wanted)

    def _check_form(self) -> None:
        """Refuse a file that is none of this program's locks, and leave it as it is."""
        texts = _read_slots(self._file).values()
        if not all(map(_SLOT_TEXT.fullmatch, texts)):
            raise OutputError(
                f"{self.path} exists and is no lock file of this program",
                "move it, or choose another output with -o",
            )

    def _has_name(self) -> bool:
        """Say whether the file that is locked is still the one that others would open."""
        mine = os.fstat(self._file)
        try:
            with hold_path(self.path) as at:
                there = at.status()
        except OSError:
            return False
        return there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _acquire(self) -> None:
        until = time.monotonic() + _PATIENCE
        while not self._lock():
            if time.monotonic() > until:
                self._refuse(self._in_the_way())
            time.sleep(0.05)
        held = self._in_the_way()
        if held and not (
            self._is_sure and all(_words(text)[0] == socket.gethostname() for text in held.values())
        ):
            self._watch(held)
        if not self._share:
            with contextlib.suppress(OSError):  # what dead jobs left in the slots of shares
                os.ftruncate(self._file, 0)
        self.heartbeat()

    def _lock(self) -> bool:
        """Take the lock if it is free, or if this file system knows no locks."""
        length, start = (_SLOT, self._share * _SLOT) if self._share else (0, 0)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError as error:
            self._is_sure = False
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        self._is_sure = True
        return True

    def _in_the_way(self) -> dict[int, str]:
        """Return what stands in the slots of those that would be in the way if they lived, by
        slot."""
        slots = _read_slots(self._file)
        return {
            slot: text
            for slot, text in slots.items()
            if not self._share or slot in (0, self._share)
        }

    def _watch(self, held: dict[int, str]) -> None:
        """Refuse if a holder still beats, for where locks don't reach between nodes, or aren't
        known at all."""
        until = time.monotonic() + _WATCH
        while time.monotonic() < until:
            time.sleep(0.1)
            moved = {
                slot: text for slot, text in self._in_the_way().items() if text != held.get(slot)
            }
            if moved:
                self._refuse(moved)

    def _refuse(self, holders: dict[int, str]) -> None:
        host, process = _words(next(iter(holders.values()), ""))
        if not holders and (reader := _reader(self._file)):
            raise OutputLockedError(
                f"process {reader} holds a lock for reading on {self.path}, which no job of this program does",
                "end that process, or choose another output with -o",
            )
        raise OutputLockedError(
            f"another job holds {self.path.with_suffix('')} (process {process or '?'} on {host or '?'})",
            "wait for it, or choose another output with -o",
        )

    def heartbeat(self) -> None:
        """Renew the heartbeat if it is time."""
        now = time.monotonic()
        if now - self._beaten < HEARTBEAT:
            return
        self._beaten, self._count = now, self._count + 1
        with contextlib.suppress(OSError):  # a full disk must not end the run here
            text = f"{self._me} {self._count}\n".ljust(_SLOT).encode()
            os.pwrite(self._file, text, self._share * _SLOT)

    def release(self) -> None:
        """Give the output free; the file stays for the next job."""
        with contextlib.suppress(OSError):
            if self._share:
                os.pwrite(self._file, bytes(_SLOT), self._share * _SLOT)
            else:
                os.ftruncate(self._file, 0)
        os.close(self._file)

    def __enter__(self) -> OutputLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self.release()
        else:
            self.undo()

    def undo(self) -> None:
        """Release the lock of a run that came to nothing, and remove what was made for it: file and
        directories.

        The file is removed while it is locked, and whoever locks one looks whether it still has its
        name.
        """
        if (
            self._is_new
            and self._is_sure
            and not self._share
            and set(_read_slots(self._file)) <= {0}
        ):
            with contextlib.suppress(OSError):
                remove(self.path)
            self.release()
            self._remove_directories()
        else:
            self.release()

    def _remove_directories(self) -> None:
        for directory in reversed(self._made):
            remove_if_empty(directory)


def lock_path(output: Path) -> Path:
    """Return the file by which a dataset is locked."""
    return output.with_name(output.name + ".lock")


def holders(output: Path) -> list[tuple[int, str, str]]:
    """Return (share, host, process) of those that hold an output now, as far as can be told from
    here.

    A holder on this machine counts while its lock is there, one on another node while its slot is
    not empty.

    :raises PermissionError: the file is there, and is not for this user to read.
    """
    try:
        file = os.open(lock_path(output), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise
    except OSError:
        return []
    try:
        found = {slot: _words(text) for slot, text in _read_slots(file).items()}
        here = socket.gethostname()
        return [
            (slot, *words)
            for slot, words in found.items()
            if words[0] != here or _is_locked(file, slot)
        ]
    finally:
        os.close(file)


def _read_slots(file: int) -> dict[int, str]:
    """Return the texts of the slots that aren't empty, by number."""
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return {}
    data = os.pread(file, min(found.st_size, _MOST_BYTES), 0)
    texts = (
        data[at : at + _SLOT].strip(b"\0 \n").decode(errors="replace")
        for at in range(0, len(data), _SLOT)
    )
    return {slot: text for slot, text in enumerate(texts) if text}


def _words(text: str) -> tuple[str, str]:
    """Return host and process of a slot's text."""
    host, _, rest = text.partition(" ")
    return host, rest.partition(" ")[0]


def _is_locked(file: int, slot: int) -> bool:
    """Say whether another process holds a lock on a slot, without taking one."""
    answer = _lock_in_the_way(file, slot * _SLOT, _SLOT)
    return answer is None or answer[0] != fcntl.F_UNLCK


def _reader(file: int) -> int:
    """Return the process that holds a lock for reading anywhere in the file, 0 if there is none."""
    answer = _lock_in_the_way(file, 0, 0)
    return answer[4] if answer is not None and answer[0] == fcntl.F_RDLCK else 0


def _lock_in_the_way(file: int, start: int, length: int) -> tuple[int, ...] | None:
    """Return type, whence, start, length and process of a lock that bars writers; None if the
    system can't tell."""
    # struct flock of Linux on 64 bits.
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except OSError:
        return None


def _whose(path: Path) -> str:
    """Return whose the file is that can't be opened, to be said in brackets; "" if there is
    none."""
    try:
        found = os.lstat(path)
    except OSError:
        return ""
    return f" (it belongs to {owner_name(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o})"
