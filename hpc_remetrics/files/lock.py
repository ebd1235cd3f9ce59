"""Lock an output for one job; after a kill, the next job can have it at once.

A POSIX lock does that on one machine and on file systems that carry locks between nodes. Where they
don't, a heartbeat in the same file tells a living job on another node. HDF5's own lock is not used.

Who may read a file may lock it against writers. So the lock file is readable only for those who may
write it.

The file has a slot for the job that holds the whole output, and one for each share of it (an array
job fills one output by many jobs, each with a share of the layers):

    bytes    0 … 127              128 … 255            256 … 383
    slot     0: whole output      1: share 1           2: share 2
             empty                "node7 4711 12\\n"    "node8 389 40\\n"

A slot says host, process and number of heartbeats.

Who holds the output locks all bytes, who holds a share those of its slot: so shares can be held
side by side, and the whole output only alone.
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
import threading
import time
from pathlib import Path

from ..errors import OutputError, OutputLockedError
from .path_walk import hold_path, owner_name
from .writing import make_directories, open_in_place, remove, remove_if_empty

HEARTBEAT = 1.0
"""Seconds between two heartbeats of the holder."""

_PATIENCE = 2.0
"""Seconds to wait for the lock, which a killed job holds until its last rank is gone."""

_WATCH = 3.5
"""Seconds without a heartbeat after which a holder counts as dead, where the lock can't tell."""

_MODE = 0o622
"""Permissions of a new lock file before the umask: never one to read without one to write."""

_SLOT = 128
"""Bytes of a slot: host, process and number of heartbeats, padded with spaces; empty: all NUL."""

_MOST_BYTES = 1_000_001 * _SLOT
"""Bytes of a lock file in which every share has a slot."""

_HOLDER = re.compile(r"\S+ \d+ \d+")
"""What a slot says that is not empty."""


class OutputLock:
    """Holds `DATASET.lock` beside an output.

    As a context it is released at the end, and undone on an exception; a thread keeps its heartbeat
    going, whatever its job computes. Elsewhere `heartbeat` must be called often.

    :param share: number of the share to be held, from 1; 0: the whole output.
    :ivar path: of the lock file.
    :raises OutputLockedError: another job holds it.
    :raises OutputError: the file can't be made or opened, or is not a lock file; it names the file.
    """

    def __init__(self, output: Path, share: int = 0) -> None:
        self.path = lock_path(output)
        self._share = share
        self._last_heartbeat = 0.0
        self._heartbeats = 0
        self._has_locks = True
        self._beats = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._me = f"{socket.gethostname()} {os.getpid()}"
        self._made: list[Path] = []
        try:
            self._made = make_directories(output.parent)
            self._open()
        except OSError as error:
            self._remove_directories()
            message = f"can't write to {self.path}: {error.strerror}{_about_owner(self.path)}"
            raise OutputError(message, "choose another output with -o") from None

    def _open(self) -> None:
        """Open and lock the file, again and again while another holder removes it meanwhile."""
        while True:
            self._is_new = not os.path.lexists(self.path)
            self._file = open_in_place(self.path, mode=_MODE)
            try:
                self._restrict_readers()
                self._check_slots()
                self._acquire()
                if self._has_name():
                    return
            except BaseException:
                os.close(self._file)
                raise
            os.close(self._file)

    def _restrict_readers(self) -> None:
        """Let those read the file who may write it, and nobody else."""
        mode = stat.S_IMODE(os.fstat(self._file).st_mode)
        writers = mode & 0o222
        wanted = writers | writers << 1
        if mode & 0o666 != wanted:
            # Another user's file stays as it is.
            with contextlib.suppress(OSError):
                os.fchmod(self._file, wanted)

    def _check_slots(self) -> None:
        """Refuse a file that is not a lock file of this program, and leave it as it is."""
        if not all(map(_HOLDER.fullmatch, _read_slots(self._file).values())):
            raise OutputError(
                f"{self.path} exists and is not a lock file of this program",
                "move it, or choose another output with -o",
            )

    def _has_name(self) -> bool:
        """Return whether the file that is locked is still the one that others would open."""
        mine = os.fstat(self._file)
        try:
            with hold_path(self.path) as at:
                named = at.status()
        except OSError:
            return False
        return named is not None and os.path.samestat(named, mine)

    def _acquire(self) -> None:
        """Wait for the lock, make sure that no holder lives on another node, and write the slot.

        :raises OutputLockedError: another job holds it.
        """
        deadline = time.monotonic() + _PATIENCE
        while not self._lock():
            if time.monotonic() > deadline:
                self._refuse(self._other_holders())
            time.sleep(0.05)

        # The lock tells that holders on this machine are dead, but not those of other nodes.
        others = self._other_holders()
        here = socket.gethostname()
        are_local = all(_host_and_process(holder)[0] == here for holder in others.values())
        if others and not (self._has_locks and are_local):
            self._watch(others)

        # Clear what dead jobs left in the slots of shares.
        if not self._share:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
        self.heartbeat()

    def _lock(self) -> bool:
        """Take the lock if it is free; return True as well if the file system has no locks."""
        start = self._share * _SLOT
        length = _SLOT if self._share else 0
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError as error:
            self._has_locks = False
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        self._has_locks = True
        return True

    def _other_holders(self) -> dict[int, str]:
        """Return the slots of those that exclude this job if they live, by number."""
        slots = _read_slots(self._file)
        if not self._share:
            return slots
        return {number: holder for number, holder in slots.items() if number in (0, self._share)}

    def _watch(self, others: dict[int, str]) -> None:
        """Refuse if the heartbeat of a holder goes on, where locks don't reach other nodes."""
        deadline = time.monotonic() + _WATCH
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self._other_holders().items()
            alive = {number: holder for number, holder in now if holder != others.get(number)}
            if alive:
                self._refuse(alive)

    def _refuse(self, others: dict[int, str]) -> None:
        host, process = _host_and_process(next(iter(others.values()), ""))
        if not others and (reader := _reader(self._file)):
            raise OutputLockedError(
                f"process {reader} holds a lock for reading on {self.path}, which no job of this "
                "program does",
                "end that process, or choose another output with -o",
            )
        output = self.path.with_suffix("")
        raise OutputLockedError(
            f"another job holds {output} (process {process or '?'} on {host or '?'})",
            "wait for it, or choose another output with -o",
        )

    def heartbeat(self) -> None:
        """Renew the heartbeat if it is time."""
        with self._beats:
            now = time.monotonic()
            if now - self._last_heartbeat < HEARTBEAT:
                return
            self._last_heartbeat = now
            self._heartbeats += 1
            # A full disk must not end the run here.
            with contextlib.suppress(OSError):
                slot = f"{self._me} {self._heartbeats}\n".ljust(_SLOT).encode()
                os.pwrite(self._file, slot, self._share * _SLOT)

    def keep_beating(self) -> None:
        """Keep the heartbeat going in a thread until the lock is released.

        Rank 0 computes for minutes on end while a large dataset is gathered.
        """
        self._thread = threading.Thread(target=self._beat_until, args=(self._ended,), daemon=True)
        self._thread.start()

    def _beat_until(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT):
            self.heartbeat()

    def release(self) -> None:
        """Release the output; the file stays for the next job."""
        # The thread writes to the file until it has ended.
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if self._share:
                os.pwrite(self._file, bytes(_SLOT), self._share * _SLOT)
            else:
                os.ftruncate(self._file, 0)
        os.close(self._file)

    def __enter__(self) -> OutputLock:
        self.keep_beating()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self.release()
        else:
            self.undo()

    def undo(self) -> None:
        """Release the lock after a failed run, and remove the file and directories made for it.

        The file is removed while it is locked, and whoever locks one checks that it still has its
        name. A file stays that was there before, or that jobs on shares use.
        """
        is_mine = self._is_new and self._has_locks and not self._share
        if not is_mine or not set(_read_slots(self._file)) <= {0}:
            self.release()
            return
        with contextlib.suppress(OSError):
            remove(self.path)
        self.release()
        self._remove_directories()

    def _remove_directories(self) -> None:
        for directory in reversed(self._made):
            remove_if_empty(directory)


def lock_path(output: Path) -> Path:
    """Return the lock file of an output.

    >>> lock_path(Path("data/out.h5")).as_posix()
    'data/out.h5.lock'
    """
    return output.with_name(output.name + ".lock")


def holders(output: Path) -> list[tuple[int, str, str]]:
    """Return (share, host, process) of the jobs that hold an output now, as far as can be told.

    A holder on this machine counts while it has its lock, one on another node while its slot is not
    empty.

    :raises PermissionError: the lock file exists, and this user may not read it.
    """
    try:
        file = os.open(lock_path(output), os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        raise
    except OSError:
        return []
    try:
        # A lock can be tried on this machine alone; elsewhere the slot has to do.
        here = socket.gethostname()
        result = []
        for number, holder in _read_slots(file).items():
            host, process = _host_and_process(holder)
            if host != here or _is_locked(file, number):
                result.append((number, host, process))
        return result
    finally:
        os.close(file)


def _read_slots(file: int) -> dict[int, str]:
    """Return what the slots say that are not empty, by number."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return {}
    data = os.pread(file, min(status.st_size, _MOST_BYTES), 0)
    slots = {}
    for number, start in enumerate(range(0, len(data), _SLOT)):
        holder = data[start : start + _SLOT].strip(b"\0 \n").decode(errors="replace")
        if holder:
            slots[number] = holder
    return slots


def _host_and_process(holder: str) -> tuple[str, str]:
    """Return host and process of what a slot says.

    >>> _host_and_process("node7 4711 12"), _host_and_process("")
    (('node7', '4711'), ('', ''))
    """
    host, _, rest = holder.partition(" ")
    return host, rest.partition(" ")[0]


def _is_locked(file: int, number: int) -> bool:
    """Return whether another process holds a lock on a slot, without taking one."""
    lock = _conflicting_lock(file, number * _SLOT, _SLOT)
    return lock is None or lock[0] != fcntl.F_UNLCK


def _reader(file: int) -> int:
    """Return the process that holds a lock for reading anywhere in the file, 0 if there is none."""
    lock = _conflicting_lock(file, 0, 0)
    return lock[4] if lock is not None and lock[0] == fcntl.F_RDLCK else 0


def _conflicting_lock(file: int, start: int, length: int) -> tuple[int, ...] | None:
    """Return a lock that excludes writers: (type, whence, start, length, process).

    The type is `F_UNLCK` if there is no such lock. None: the system can't tell.
    """
    # struct flock of Linux on 64 bits; the process is filled in by the system
    wanted = struct.pack("hhqq8x", fcntl.F_WRLCK, os.SEEK_SET, start, length)
    try:
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except OSError:
        return None


def _about_owner(path: Path) -> str:
    """Return whose the file is that can't be opened, in brackets; "" if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    mode = stat.S_IMODE(status.st_mode)
    return f" (it belongs to {owner_name(status.st_uid)}, mode {mode:04o})"
