"""Scratch tiers: which directories a node has for scratch, and how many bytes they have free."""

from __future__ import annotations

import contextlib
import os
import tempfile
from fractions import Fraction
from pathlib import Path

_TMPFS = Path("/dev/shm")
_PROC = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")


def default_tiers() -> list[Path]:
    """Return the tiers that are used when none are named: memory, and the temporary directory."""
    return [tier for tier in (_TMPFS, Path(tempfile.gettempdir())) if tier.is_dir()]


def room(path: Path) -> int:
    """Return the free bytes of the file system of a path."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def grantable_room(directory: Path) -> int:
    """Return the bytes that layers may take in a tier.

    On disk what is free; in memory half of what is free or of the job's limit, whichever is less,
    since the ranks need memory themselves.
    """
    if not is_memory(directory):
        return room(directory)
    return min([room(directory), *memory_limits()]) // 2


def is_memory(path: Path, proc: Path = _PROC) -> bool:
    """Return whether a directory lies in memory (tmpfs, ramfs).

    :param proc: where the table of mounts is read.
    """
    try:
        lines = (proc / "mounts").read_text().splitlines()
    except OSError:
        return False
    # A line is: device, directory, type, …; of those above the path the longest, last one counts.
    deepest = -1
    kind = ""
    for line in lines:
        mounted_at, mounted_kind = line.split()[1:3]
        if path.is_relative_to(mounted_at) and len(mounted_at) >= deepest:
            deepest = len(mounted_at)
            kind = mounted_kind
    return kind in ("tmpfs", "ramfs")


def table_room(directory: Path, share: Fraction) -> int:
    """Return the bytes that a table, mapped by all ranks of the node, may take in a directory.

    In memory a share of the node's or of the job's limit, but no more than a quarter of what is
    free there, which layers want too; 0 on disk, where a big table would be slow.
    """
    if not is_memory(directory):
        return 0
    memory = min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *memory_limits()])
    return min(int(memory * share), room(directory) // 4)


def memory_limits(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> list[int]:
    """Return the memory limits of this process in bytes, which SLURM sets by control groups.

    :param proc: where the control groups of this process are read.
    :param cgroups: where control groups are mounted.
    """
    try:
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        # A line is NUMBER:CONTROLLERS:GROUP; the number 0 is version 2 of control groups.
        number, controllers, group = line.split(":", 2)
        if number == "0":
            top = cgroups
            name = "memory.max"
        elif "memory" in controllers.split(","):
            top = cgroups / "memory"
            name = "memory.limit_in_bytes"
        else:
            continue
        # The limits of the groups above hold as well; "max" is none.
        directory = top / group.lstrip("/")
        for one in (directory, *directory.parents):
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((one / name).read_text()))
    return limits
