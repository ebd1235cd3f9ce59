"""One job an output: a lock that a killed job leaves open for the next one at once.

A POSIX lock does that on one machine and on file systems that carry locks between nodes; where they
don't, a heartbeat in the same file tells a living job on another node. HDF5's own lock is not used.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from ..errors import OutputError, OutputLockedError

HEARTBEAT = 1.0
"""Seconds between two heartbeats of the holder."""

_PATIENCE = 2.0
"""Seconds that a job waits for the lock, which one that was killed holds until its last rank is gone."""

_WATCH = 3.5
"""Seconds that a heartbeat from another node is watched before it counts as dead."""


class OutputLock:
    """Holds `DATASET.lock` beside an output; `beat` must be called often.

    :raises OutputLockedError: another job holds it.
    :raises OutputError: the folder can't be written.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(output.name + ".lock")
        self._beaten = 0.0
        self._count = 0
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
                self._refuse()
            time.sleep(0.05)
        held = self._read()
        host = held.partition(" ")[0]
        if host and host != socket.gethostname():
            self._watch(held)
        self.beat()

    def _lock(self) -> bool:
        """Take the lock if it is free, or if this file system knows no locks."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True

    def _watch(self, held: str) -> None:
        """Refuse if a job on another node still beats, for where locks don't reach between nodes."""
        until = time.monotonic() + _WATCH
        while time.monotonic() < until:
            time.sleep(0.1)
            if self._read() not in (held, ""):
                self._refuse()

    def _refuse(self) -> None:
        host, _, rest = self._read().partition(" ")
        raise OutputLockedError(
            f"another job holds {self.path.with_suffix('')} (process {rest.partition(' ')[0] or '?'} on {host or '?'})",
            "wait for it, or choose another output with -o",
        )

    def _read(self) -> str:
        return os.pread(self._file, 4096, 0).decode(errors="replace").strip()

    def beat(self) -> None:
        """Renew the heartbeat if it is time."""
        now = time.monotonic()
        if now - self._beaten < HEARTBEAT:
            return
        self._beaten, self._count = now, self._count + 1
        with contextlib.suppress(OSError):  # a full disk must not end the run here
            text = f"{self._me} {self._count}\n".ljust(128).encode()
            os.pwrite(self._file, text, 0)

    def release(self) -> None:
        """Give the output free; the file stays, since removing it would race with the next job."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)
