"""One job an output: a lock that a killed job leaves open for the next one at once.

A POSIX lock does that on one machine and on file systems that carry locks between nodes; where they
don't, a heartbeat in the same file tells a living job on another node. HDF5's own lock is not used.

The file has a slot for the job that holds the whole output, and one for each share of it (an array job
fills one output by many jobs, each with a share of the layers). Who holds the output locks all bytes, who
holds a share those of its slot: shares bear one another, and nobody bears a job that holds the whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import time
from pathlib import Path

from ..errors import OutputError, OutputLockedError

HEARTBEAT = 1.0
"""Seconds between two heartbeats of the holder."""

_PATIENCE = 2.0
"""Seconds that a job waits for the lock, which one that was killed holds until its last rank is gone."""

_WATCH = 3.5
"""Seconds that a heartbeat is watched before it counts as dead, where the lock doesn't tell."""

_SLOT = 128
"""Bytes of a slot: host, process and count of the holder's beats, padded with spaces; empty: all NUL."""


class OutputLock:
    """Holds `DATASET.lock` beside an output; `beat` must be called often.

    :param share: number of the share, from 1, that is to be held; 0: the whole output.
    :raises OutputLockedError: another job holds it.
    :raises OutputError: the folder can't be written.
    """

    def __init__(self, output: Path, share: int = 0) -> None:
        self.path = lock_path(output)
        self._share = share
        self._beaten = 0.0
        self._count = 0
        self._is_sure = True
        self._me = f"{socket.gethostname()} {os.getpid()}"
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(
                f"can't write to {output.parent}: {error.strerror}", "choose another folder with -o"
            ) from None
        try:
            self._acquire()
        except BaseException:
            os.close(self._file)
            raise

    def _acquire(self) -> None:
        until = time.monotonic() + _PATIENCE
        while not self._lock():
            if time.monotonic() > until:
                self._refuse(self._in_the_way())
            time.sleep(0.05)
        held = self._in_the_way()
        if held and not (self._is_sure and all(_words(text)[0] == socket.gethostname() for text in held.values())):
            self._watch(held)
        if not self._share:
            with contextlib.suppress(OSError):  # what dead jobs left in the slots of shares
                os.ftruncate(self._file, 0)
        self.beat()

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
        """Return what stands in the slots of those that would be in the way if they lived, by slot."""
        slots = _read_slots(self._file)
        return {slot: text for slot, text in slots.items() if not self._share or slot in (0, self._share)}

    def _watch(self, held: dict[int, str]) -> None:
        """Refuse if a holder still beats, for where locks don't reach between nodes, or aren't known at all."""
        until = time.monotonic() + _WATCH
        while time.monotonic() < until:
            time.sleep(0.1)
            moved = {slot: text for slot, text in self._in_the_way().items() if text != held.get(slot)}
            if moved:
                self._refuse(moved)

    def _refuse(self, holders: dict[int, str]) -> None:
        host, process = _words(next(iter(holders.values()), ""))
        raise OutputLockedError(
            f"another job holds {self.path.with_suffix('')} (process {process or '?'} on {host or '?'})",
            "wait for it, or choose another output with -o",
        )

    def beat(self) -> None:
        """Renew the heartbeat if it is time."""
        now = time.monotonic()
        if now - self._beaten < HEARTBEAT:
            return
        self._beaten, self._count = now, self._count + 1
        with contextlib.suppress(OSError):  # a full disk must not end the run here
            text = f"{self._me} {self._count}\n".ljust(_SLOT).encode()
            os.pwrite(self._file, text, self._share * _SLOT)

    def release(self) -> None:
        """Give the output free; the file stays, since removing it would race with the next job."""
        with contextlib.suppress(OSError):
            if self._share:
                os.pwrite(self._file, bytes(_SLOT), self._share * _SLOT)
            else:
                os.ftruncate(self._file, 0)
        os.close(self._file)


def lock_path(output: Path) -> Path:
    """Return the file by which a dataset is locked."""
    return output.with_name(output.name + ".lock")


def holders(output: Path) -> list[tuple[int, str, str]]:
    """Return (share, host, process) of those that hold an output now, as far as can be told from here.

    A holder on this machine counts while its lock is there, one on another node while its slot is not empty.
    """
    try:
        file = os.open(lock_path(output), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        found = {slot: _words(text) for slot, text in _read_slots(file).items()}
        here = socket.gethostname()
        return [(slot, *words) for slot, words in found.items() if words[0] != here or _is_locked(file, slot)]
    finally:
        os.close(file)


def _read_slots(file: int) -> dict[int, str]:
    """Return the texts of the slots that aren't empty, by number."""
    data = os.pread(file, os.fstat(file).st_size, 0)
    texts = (data[at : at + _SLOT].strip(b"\0 \n").decode(errors="replace") for at in range(0, len(data), _SLOT))
    return {slot: text for slot, text in enumerate(texts) if text}


def _words(text: str) -> tuple[str, str]:
    """Return host and process of a slot's text."""
    host, _, rest = text.partition(" ")
    return host, rest.partition(" ")[0]


def _is_locked(file: int, slot: int) -> bool:
    """Say whether another process holds a lock on a slot, without taking one."""
    # struct flock of Linux on 64 bits: type, whence, start, length, process.
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, slot * _SLOT, _SLOT, 0)
    try:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, wanted)
    except OSError:
        return True
    return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
