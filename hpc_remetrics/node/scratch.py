"""Scratch directories of a job on a node, the room that layers are granted there, and sweeping.

Tiers, fastest first: memory (tmpfs) for the table that the ranks of a node share and for blobs up
to its room, disk for blobs beyond that and for all else. In each tier:

    TIER/hpc-remetrics-UID-HOST/            the base: private, for all jobs of this user here
        job-JOB.lock                        every rank of the job shares a lock on it
        job-JOB/                            the job's directory
            rank-0/grant-7                  a rank's own files, and a layer that was granted room
            types/                          what the ranks of the node share
            quota                           what layers hold of each tier (in the first tier only)

Who can lock a lock file exclusively knows that the job is dead on this node, and that nobody enters
its directory meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..buckets import bucket_of
from ..errors import BlobError, OutputError
from ..files.private_directory import open_private, private_directories, private_directory
from ..limits import NODE_LAYERS
from ..mpi.collective import collectively, once_a_node
from ..mpi.comm import Comm
from ..mpi.signals import cleared_on_leaving
from .quota import ScratchQuota
from .tiers import default_tiers, grantable_room, room

_TABLE_ROOM = 64 << 20
"""Free bytes that a tier must have to be taken for the shared table."""

_TRIES = 100
"""Tries to make a directory that other jobs make and remove meanwhile."""


class Scratch:
    """The scratch directories of one rank: `path` for its own files, `shared(name)` for its node's.

    :param job: a word that all ranks of the job share and no other job has.
    :param rank: number of this rank.
    :param tiers: directories to use, the first with room for the table for it, the last for files;
        empty: `default_tiers`.
    :param rooms: bytes that may be granted in a tier, by its directory; other tiers:
        `grantable_room`.
    :param most: layers of each size bucket that may be granted room on a node at once.
    :param bases: `node_bases` of the tiers; None: made here.
    :ivar path: directory of this rank in the last tier.
    :raises OutputError: none of them can be written.
    """

    def __init__(
        self,
        job: str,
        rank: int,
        tiers: Sequence[Path] = (),
        rooms: Mapping[Path, int] | None = None,
        most: Sequence[int] = NODE_LAYERS,
        bases: Mapping[Path, Path] | None = None,
    ) -> None:
        tier_bases = dict(bases or bases_in(tiers))
        self.job = job
        self._bases = list(tier_bases.values())
        self._grants = 0
        self._locks: list[tuple[int, Path]] = []
        self._quota: ScratchQuota | None = None

        # Remove what dead jobs left, under the other names that a base may have as well.
        sweep([base for tier in tier_bases for base in private_directories(tier, _base_name())])

        self._rank_paths = [self._job_directory(base) / f"rank-{rank}" for base in self._bases]
        self.path = self._rank_paths[-1]
        try:
            self._enter([(rooms or {}).get(tier) for tier in tier_bases], most)
        except OSError as error:
            self.close()
            where = error.filename or self._bases[0].parent
            raise OutputError(
                f"scratch can't be written: {error.strerror} ({where})",
                "make room, or name another directory with --scratch",
            ) from None

    def _enter(self, rooms: Sequence[int | None], most: Sequence[int]) -> None:
        """Make this rank's directory in each tier, and open the quota of the node."""
        for base, path in zip(self._bases, self._rank_paths, strict=True):
            self._locks.append((_enter_job(base, self.job), base))
            path.mkdir()
        tier_rooms = [
            grantable_room(base) if given is None else given
            for base, given in zip(self._bases, rooms, strict=True)
        ]
        self._quota = ScratchQuota(self._job_directory(self._bases[0]) / "quota", tier_rooms, most)

    def _job_directory(self, base: Path) -> Path:
        return base / f"job-{self.job}"

    def shared(self, name: str) -> Path:
        """Return a directory that this node's ranks share, in the first tier with room for it.

        One rank of the node calls this, and tells the others: the room may change meanwhile.
        """
        base = next((base for base in self._bases if room(base) >= _TABLE_ROOM), self._bases[-1])
        path = self._job_directory(base) / name
        path.mkdir(exist_ok=True)
        return path

    @property
    def most(self) -> int:
        """The bytes that a single layer may be granted."""
        assert self._quota is not None
        return max(self._quota.rooms)

    def grant(self, size: int) -> Grant | None:
        """Hold room for a layer in the fastest tier that has it, or return None if none has it now.

        :param size: bytes.
        :raises BlobError: with cause `no_room`: no tier could ever hold it.
        """
        assert self._quota is not None
        if size > self.most:
            rooms = zip(self._bases, self._quota.rooms, strict=True)
            known = ", ".join(f"{base.parent}: {room}" for base, room in rooms)
            message = f"no tier of scratch has room for {size} bytes ({known})"
            raise BlobError("no_room", message)
        taken = self._quota.take(size, bucket_of(size))
        if taken is None:
            return None
        slot, tier = taken
        self._grants += 1
        path = self._rank_paths[tier] / f"grant-{self._grants}"
        return Grant(path, size, self._quota, slot)

    def close(self) -> None:
        """Remove what this rank made; the last rank of a node removes what the ranks shared."""
        for path in self._rank_paths:
            shutil.rmtree(path, ignore_errors=True)
        if self._quota:
            self._quota.close()
        for lock, base in self._locks:
            if _lock_alone(lock):
                _remove_job(self._job_directory(base))
            os.close(lock)
            # Succeeds for the last job on this node.
            with contextlib.suppress(OSError):
                base.rmdir()


class Grant:
    """Room for one layer: a file or a directory may be made at `path`.

    :ivar path: a name in a directory of the rank.
    :ivar size: bytes that were granted.
    """

    def __init__(self, path: Path, size: int, quota: ScratchQuota, slot: int) -> None:
        self.path = path
        self.size = size
        self._quota = quota
        self._slot = slot
        self._is_held = True

    def release(self) -> None:
        """Remove what is at `path`, and give the room back; a second call does nothing."""
        if not self._is_held:
            return
        self._is_held = False
        if self.path.is_dir():
            _remove_tree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        self._quota.give_back(self._slot)


def _remove_tree(path: Path) -> None:
    """Remove a tree whose directories may forbid it."""
    for directory, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(directory, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def shared_scratch(
    comm: Comm, tiers: Sequence[Path] = (), rooms: Mapping[Path, int] | None = None
) -> Iterator[Scratch]:
    """Give each rank its `Scratch`, and remove it at the end. Collective.

    :param tiers: as for `Scratch`; so are `rooms`.
    :raises OutputError: one rank can't have it; on all ranks.
    """
    job = comm.bcast(uuid.uuid4().hex[:12])
    bases = node_bases(comm, tiers)
    with contextlib.ExitStack() as made:

        def make() -> Scratch:
            scratch = Scratch(job, comm.rank, tiers, rooms, bases=bases)
            made.callback(scratch.close)
            return scratch

        scratch = collectively(comm, make)
        with cleared_on_leaving(scratch.close):
            yield scratch


def _base_name() -> str:
    """Return the name of a base; the node is in it, since nodes may share a tier's file system."""
    return f"hpc-remetrics-{os.getuid()}-{socket.gethostname()}"


def node_bases(comm: Comm, tiers: Sequence[Path]) -> dict[Path, Path]:
    """Return `bases_in` of the first rank of this node, on all ranks of the node. Collective.

    :raises OutputError: one node has none; on all ranks.
    """
    bases: dict[Path, Path] = once_a_node(comm, lambda: bases_in(tiers))
    return bases


def bases_in(tiers: Sequence[Path]) -> dict[Path, Path]:
    """Return the base of each tier, made where it is missing; leave out tiers that can't have one.

    :param tiers: as for `Scratch`.
    :raises OutputError: no tier can have one.
    """
    bases: dict[Path, Path] = {}
    reasons = []
    for tier in tiers or default_tiers():
        try:
            bases[tier] = base_in(tier)
        except OSError as error:
            reasons.append(f"{tier} ({error.strerror})")
    if not bases:
        raise OutputError(
            f"no scratch directory can be written: {', '.join(reasons)}",
            "name one with --scratch or REMETRICS_SCRATCH",
        )
    return bases


def base_in(tier: Path) -> Path:
    """Return the base of a tier, made if it is missing.

    Where somebody else has its name it gets another one, which later runs find.

    :raises OSError: `strerror` says why there can't be one.
    """
    for _ in range(_TRIES):
        base = private_directory(tier, _base_name())
        # The last rank of another job may have just removed it.
        with contextlib.suppress(FileNotFoundError), tempfile.TemporaryFile(dir=base):
            return base
    message = "its directory is removed again and again"
    raise FileNotFoundError(errno.ENOENT, message, str(tier))


def _enter_job(base: Path, job: str) -> int:
    """Make the job's directory in a base, or join the ranks in it; return the lock that keeps it.

    :returns: descriptor of the lock file, locked in shared mode.
    """
    directory = base / f"job-{job}"
    path = _lock_path(directory)
    for _ in range(_TRIES):
        # Open the base, which the last rank of another job may remove at any moment.
        with contextlib.suppress(FileExistsError):
            base.mkdir(mode=0o700)
        try:
            opened = open_private(base)
        except FileNotFoundError:
            continue

        try:
            lock = _open_lock(opened, path.name)
            # A sweep may have removed the file before the lock on it was ours.
            if _is_same_file(path, lock):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(directory.name, 0o700, dir_fd=opened)
                return lock
            os.close(lock)
        except FileNotFoundError:
            continue
        finally:
            os.close(opened)
    raise OutputError(f"can't make {directory}", "name another directory with --scratch")


def _open_lock(directory: int, name: str) -> int:
    """Open a lock file in an open directory, and lock it in shared mode."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(name, flags, 0o600, dir_fd=directory)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def _lock_path(directory: Path) -> Path:
    """Return the lock file of a job's directory."""
    return directory.with_suffix(".lock")


def _is_same_file(path: Path, file: int) -> bool:
    """Return whether a path names the file that is open."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file))
    except OSError:
        return False


def _lock_alone(lock: int) -> bool:
    """Return whether this process can lock a lock file exclusively."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_job(directory: Path) -> None:
    """Remove a job's directory, then its lock file, which the caller has locked exclusively."""
    shutil.rmtree(directory, ignore_errors=True)
    _lock_path(directory).unlink(missing_ok=True)


def sweep(bases: Sequence[Path]) -> int:
    """Remove the directories of dead jobs in these bases, and return how many."""
    return sum(_sweep(path) for base in bases for path in _lock_files_in(base))


def _lock_files_in(base: Path) -> list[Path]:
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        # The last rank of another job has just removed it.
        return []
    return [base / name for name in names if name.startswith("job-") and name.endswith(".lock")]


def _sweep(path: Path) -> bool:
    """Remove the directory of a job if it is dead, and return whether it was.

    :param path: its lock file.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _lock_alone(lock) or not _is_same_file(path, lock):
            return False
        _remove_job(path.with_suffix(""))
        return True
    finally:
        os.close(lock)
