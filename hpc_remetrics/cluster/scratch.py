"""Node-local folders of a job: where they are, how much room they have, and what dead jobs left there.

Two tiers: `tmpfs` (memory) for the small table that the ranks of a node share, `disk` for the rest.
Every rank shares a lock on the file beside its job's folder; who can have that lock alone knows that the
job is dead on this node, and that nobody enters its folder meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import OutputError

_TMPFS = Path("/dev/shm")
_TABLE_ROOM = 64 << 20
_TRIES = 100


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
        self.job, self._locks = job, [(_enter(base, job), base) for base in self._bases]
        self.path = self._folder(self._bases[-1]) / f"rank-{rank}"
        self.path.mkdir()

    def _folder(self, base: Path) -> Path:
        return base / f"job-{self.job}"

    def shared(self, name: str) -> Path:
        """Return a folder that the ranks of this job on this node share, in memory where there is room."""
        base = next((base for base in self._bases if room(base) >= _TABLE_ROOM), self._bases[-1])
        path = self._folder(base) / name
        path.mkdir(exist_ok=True)
        return path

    def close(self) -> None:
        """Remove what this rank made; the last rank of a node removes what they shared."""
        shutil.rmtree(self.path, ignore_errors=True)
        for lock, base in self._locks:
            if _alone(lock):
                _remove(self._folder(base))
            os.close(lock)
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
    """Return the folder of all jobs of this user in a tier, or None if it can't be written."""
    base = tier / f"hpc-remetrics-{os.getuid()}"
    for _ in range(_TRIES):
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            if base.stat().st_uid != os.getuid() or base.is_symlink():
                return None
            with tempfile.TemporaryFile(dir=base):
                return base
        except FileNotFoundError:
            continue  # the last rank of another job has just removed it
        except OSError:
            return None
    return None


def _enter(base: Path, job: str) -> int:
    """Make the job's folder, or join those that are in it; return the lock that keeps it."""
    folder = base / f"job-{job}"
    path = _lock_of(folder)
    for _ in range(_TRIES):
        try:
            base.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_SH)
        # A sweep may have removed the file before the lock on it was ours.
        if _is_same(path, lock):
            folder.mkdir(exist_ok=True)
            return lock
        os.close(lock)
    raise OutputError(f"can't make {folder}", "name another folder with --scratch")


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _is_same(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except OSError:
        return False


def _alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(folder: Path) -> None:
    """Remove a job's folder, then the lock, which the caller holds alone."""
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)


def sweep(bases: Sequence[Path]) -> int:
    """Remove the folders of jobs that are dead; return how many."""
    return sum(_sweep(path) for base in bases for path in base.glob("job-*.lock"))


def _sweep(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _alone(lock) or not _is_same(path, lock):
            return False
        _remove(path.with_suffix(""))
        return True
    finally:
        os.close(lock)
