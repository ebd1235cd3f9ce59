"""Node-local folders of a job: where they are, how much room they have, and what dead jobs left
there.

Tiers, fastest first: memory (tmpfs) for the table that the ranks of a node share and for blobs up
to its room, disk for blobs beyond that and for all else. What a layer takes is granted, and one
account a node keeps count. Every rank shares a lock on the file beside its job's folder; who can
have that lock alone knows that the job is dead on this node, and that nobody enters its folder
meanwhile.
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
from ..mpi.collective import collectively
from ..mpi.comm import Comm
from ..mpi.signals import cleared_on_leaving
from .quota import ScratchQuota

_TMPFS = Path("/dev/shm")
_TABLE_ROOM = 64 << 20
_TRIES = 100


class Scratch:
    """The folders of one rank: `path` for its own files, `shared(name)` for what its node shares.

    :param job: a word that all ranks of the job share and no other job has.
    :param tiers: folders to use, the first with room for the table for it, the last for files;
        empty: /dev/shm and the system's folder for temporary files.
    :param rooms: most bytes that may be granted in a tier, by its folder; else what is free there
        now (of memory half of that, since the ranks need some too).
    :param most: layers of each size bucket that may hold a grant on a node at once.
    :param bases: what `bases_in` gave the first rank of this node; None: found here.
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
        found = {base: tier for tier, base in (bases or bases_in(tiers)).items()}
        self._bases = list(found)
        sweep([base for tier in found.values() for base in private_directories(tier, _name())])
        self.job, self._grants = job, 0
        self._mine = [self._folder(base) / f"rank-{rank}" for base in self._bases]
        self.path = self._mine[-1]
        self._locks: list[tuple[int, Path]] = []
        self._quota: ScratchQuota | None = None
        try:
            self._enter([(rooms or {}).get(tier) for tier in found.values()], most)
        except OSError as error:
            self.close()
            raise OutputError(
                f"scratch can't be written: {error.strerror} ({error.filename or self._bases[0].parent})",
                "make room, or name another folder with --scratch",
            ) from None

    def _enter(self, rooms: Sequence[int | None], most: Sequence[int]) -> None:
        """Make this rank's folder in each tier, and open the account of the node."""
        for base, path in zip(self._bases, self._mine, strict=True):
            self._locks.append((_enter(base, self.job), base))
            path.mkdir()
        granted = [
            _grantable(base) if given is None else given
            for base, given in zip(self._bases, rooms, strict=True)
        ]
        self._quota = ScratchQuota(self._folder(self._bases[0]) / "quota", granted, most)

    def _folder(self, base: Path) -> Path:
        return base / f"job-{self.job}"

    def shared(self, name: str) -> Path:
        """Return a folder that the ranks of this job on this node share, in memory where there is
        room."""
        base = next((base for base in self._bases if room(base) >= _TABLE_ROOM), self._bases[-1])
        path = self._folder(base) / name
        path.mkdir(exist_ok=True)
        return path

    @property
    def most(self) -> int:
        """The bytes that a single layer may be granted."""
        return max(self._quota.rooms) if self._quota else 0

    def grant(self, size: int) -> Grant | None:
        """Return room for a layer of `size` bytes, in the fastest tier that has it, or None if
        there is none now.

        :raises BlobError: with cause `no_room`: no tier could ever hold it.
        """
        assert self._quota is not None
        if size > self.most:
            raise BlobError(
                "no_room", f"no tier of scratch has room for {size} bytes ({self._about_rooms()})"
            )
        taken = self._quota.take(size, bucket_of(size))
        if taken is None:
            return None
        slot, tier = taken
        self._grants += 1
        return Grant(self._mine[tier] / f"grant-{self._grants}", size, self._quota, slot)

    def _about_rooms(self) -> str:
        rooms = zip(self._bases, self._quota.rooms if self._quota else (), strict=True)
        return ", ".join(f"{base.parent}: {room}" for base, room in rooms)

    def close(self) -> None:
        """Remove what this rank made; the last rank of a node removes what they shared."""
        for path in self._mine:
            shutil.rmtree(path, ignore_errors=True)
        if self._quota:
            self._quota.close()
        for lock, base in self._locks:
            if _alone(lock):
                _remove(self._folder(base))
            os.close(lock)
            with contextlib.suppress(OSError):
                base.rmdir()


@contextlib.contextmanager
def shared_scratch(
    comm: Comm, tiers: Sequence[Path] = (), rooms: Mapping[Path, int] | None = None
) -> Iterator[Scratch]:
    """Give each rank its scratch, or none of them: where one can't have it, what the others made is
    removed."""
    job, made = comm.bcast(uuid.uuid4().hex[:12]), contextlib.ExitStack()
    bases = node_bases(comm, tiers)
    with made:

        def make() -> Scratch:
            scratch = Scratch(job, comm.rank, tiers, rooms, bases=bases)
            made.callback(scratch.close)
            return scratch

        scratch = collectively(comm, make)
        with cleared_on_leaving(scratch.close):
            yield scratch


class Grant:
    """Room for one layer: `path` is there to be made a file or a folder; `release` removes it and
    gives the room back.

    :ivar size: bytes that were granted.
    """

    def __init__(self, path: Path, size: int, quota: ScratchQuota, slot: int) -> None:
        self.path, self.size = path, size
        self._quota, self._slot = quota, slot
        self._held = True

    def release(self) -> None:
        """Remove what lies at `path`, and give the room back; a second call does nothing."""
        if not self._held:
            return
        self._held = False
        if self.path.is_dir():
            _remove_tree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        self._quota.give_back(self._slot)


def _remove_tree(path: Path) -> None:
    """Remove a tree whose folders may forbid it."""
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def default_tiers() -> list[Path]:
    """Return the folders that are used when nobody names any."""
    return [tier for tier in (_TMPFS, Path(tempfile.gettempdir())) if tier.is_dir()]


def room(path: Path) -> int:
    """Return the free bytes of a file system."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _grantable(base: Path) -> int:
    """Return the bytes of a tier that layers may take: what is free, of memory half of that or of
    the job's limit."""
    if not _is_memory(base):
        return room(base)
    return min([room(base), *_memory_limits()]) // 2


def _is_memory(path: Path) -> bool:
    """Say whether a folder lies in memory."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return False
    over = [(place, kind) for place, kind in mounts if path.is_relative_to(place)]
    return bool(over) and max(reversed(over), key=lambda one: len(one[0]))[1] in ("tmpfs", "ramfs")


def _memory_limits() -> list[int]:
    """Return the limits on memory that hold for this process, as SLURM sets them by control
    groups."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for number, kinds, place in (line.split(":", 2) for line in lines):
        if number == "0":
            top, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in kinds.split(","):
            top, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        group = top / place.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):
                found.append(int((folder / name).read_text()))
    return found


def _name() -> str:
    """Return the name of the directory of all jobs of this user on this node in a tier.

    The node is in it, since a tier may lie on a file system that nodes share.
    """
    return f"hpc-remetrics-{os.getuid()}-{socket.gethostname()}"


def bases_in(tiers: Sequence[Path]) -> dict[Path, Path]:
    """Return, by tier, the directory of all jobs of this user on this node, made where it is
    missing.

    Where its name is taken by somebody else it has another one, which later runs find.

    :param tiers: as for `Scratch`; those that can't be written are left out.
    :raises OutputError: all of them.
    """
    found, reasons = {}, []
    for tier in tiers or default_tiers():
        try:
            found[tier] = base_in(tier)
        except OSError as error:
            reasons.append(f"{tier} ({error.strerror})")
    if not found:
        raise OutputError(
            f"no scratch folder can be written: {', '.join(reasons)}",
            "name one with --scratch or REMETRICS_SCRATCH",
        )
    return found


def base_in(tier: Path) -> Path:
    """Return a tier's directory of all jobs of this user on this node; `OSError` says why there
    can't be one."""
    for _ in range(_TRIES):
        base = private_directory(tier, _name())
        try:
            with tempfile.TemporaryFile(dir=base):
                return base
        except FileNotFoundError:
            continue  # the last rank of another job has just removed it
    raise FileNotFoundError(errno.ENOENT, "it comes and goes", str(tier))


def node_bases(comm: Comm, tiers: Sequence[Path]) -> dict[Path, Path]:
    """Return what `bases_in` gives the first rank of this node, on all ranks of the node; all ranks
    call it."""
    hosts = comm.allgather(comm.host)
    first = hosts.index(comm.host)
    mine = collectively(comm, lambda: bases_in(tiers) if comm.rank == first else {})
    told: dict[Path, Path] = comm.allgather(mine)[first]
    return told


def _enter(base: Path, job: str) -> int:
    """Make the job's folder, or join those that are in it; return the lock that keeps it."""
    folder = base / f"job-{job}"
    path = _lock_of(folder)
    for _ in range(_TRIES):
        with contextlib.suppress(FileExistsError):
            base.mkdir(mode=0o700)
        try:
            inside = open_private(base)
        except FileNotFoundError:
            continue
        try:
            lock = _locked(inside, path.name)
            # A sweep may have removed the file before the lock on it was ours.
            if _is_same(path, lock):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder.name, 0o700, dir_fd=inside)
                return lock
            os.close(lock)
        except FileNotFoundError:
            continue
        finally:
            os.close(inside)
    raise OutputError(f"can't make {folder}", "name another folder with --scratch")


def _locked(inside: int, name: str) -> int:
    """Return the lock of that name in an open directory, shared."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(name, flags, 0o600, dir_fd=inside)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _is_same(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file))
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
    return sum(_sweep(path) for base in bases for path in _locks_in(base))


def _locks_in(base: Path) -> list[Path]:
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return []  # the last rank of another job has just removed it
    return [base / name for name in names if name.startswith("job-") and name.endswith(".lock")]


def _sweep(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _alone(lock) or not _is_same(path, lock):
            return False
        _remove(path.with_suffix(""))
        return True
    finally:
        os.close(lock)
