"""Node-local folders of a job: where they are, how much room they have, and what dead jobs left there.

Two tiers: `tmpfs` (memory) for the small table that the ranks of a node share, `disk` for the rest.
Every process holds a lock on a file in its own folder; a folder whose lock can be had is a dead one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import OutputError

_TMPFS = Path("/dev/shm")
_TABLE_ROOM = 64 << 20
_YOUNG = 60.0
"""Seconds in which a folder without a lock counts as one that is just being made."""


class Scratch:
    """The folders of one rank: `path` for its own files, `shared(name)` for what its node shares.

    :param job: a word that all ranks of the job share and no other job has.
    :param tiers: folders to use, the first with room for the table for it, the last for files;
        empty: /dev/shm and the system's folder for temporary files.
    :raises OutputError: none of them can be written.
    """

    def __init__(self, job: str, rank: int, tiers: Sequence[Path] = ()) -> None:
        self._bases = [base for tier in tiers or default_tiers() if (base := _base(tier))]
        if not self._bases:
            raise OutputError(
                f"no scratch folder can be written: {', '.join(map(str, tiers or default_tiers()))}",
                "name one with --scratch or REMETRICS_SCRATCH",
            )
        sweep(self._bases)
        self.job, self._locks = job, [_lock(base / f"job-{job}", rank) for base in self._bases]
        self.path = self._bases[-1] / f"job-{job}" / f"rank-{rank}"

    def shared(self, name: str) -> Path:
        """Return a folder that the ranks of this job on this node share, in memory where there is room."""
        base = next((base for base in self._bases if room(base) >= _TABLE_ROOM), self._bases[-1])
        path = base / f"job-{self.job}" / name
        path.mkdir(exist_ok=True)
        return path

    def close(self) -> None:
        """Remove what this rank made; the last rank of a node removes what they shared."""
        for lock, folder in self._locks:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            if not any(folder.parent.glob("rank-*")):
                shutil.rmtree(folder.parent, ignore_errors=True)
        for base in self._bases:
            with contextlib.suppress(OSError):
                base.rmdir()


def default_tiers() -> list[Path]:
    """Return the folders that are used when nobody names any."""
    return [tier for tier in (_TMPFS, Path(tempfile.gettempdir())) if tier.is_dir()]


def room(path: Path) -> int:
    """Return the free bytes of a file system."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _base(tier: Path) -> Path | None:
    base = tier / f"hpc-remetrics-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if base.stat().st_uid != os.getuid() or base.is_symlink():
            return None
        with tempfile.TemporaryFile(dir=base):
            pass
    except OSError:
        return None
    return base


def _lock(job: Path, rank: int) -> tuple[int, Path]:
    folder = job / f"rank-{rank}"
    path = folder / "lock"
    for _ in range(10):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A sweep may have taken the folder for a dead one's before the lock was ours.
        if path.exists() and path.stat().st_ino == os.fstat(lock).st_ino:
            return lock, folder
        os.close(lock)
    raise OutputError(f"can't make {folder}", "name another folder with --scratch")


def sweep(bases: Sequence[Path]) -> int:
    """Remove the folders of jobs that are dead; return how many."""
    swept = 0
    for job in (job for base in bases for job in base.glob("job-*")):
        with contextlib.ExitStack() as held:
            if _is_dead(job, held):
                shutil.rmtree(job, ignore_errors=True)
                swept += 1
    return swept


def _is_dead(job: Path, held: contextlib.ExitStack) -> bool:
    """Say whether no process holds a lock in this folder; those that were free are held until `held` closes."""
    locks = list(job.glob("rank-*/lock"))
    try:
        if not locks and time.time() - job.stat().st_mtime < _YOUNG:
            return False
    except OSError:
        return False
    return all(_take(lock, held) for lock in locks)


def _take(lock: Path, held: contextlib.ExitStack) -> bool:
    try:
        file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    held.callback(os.close, file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
