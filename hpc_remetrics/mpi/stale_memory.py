"""Remove shared memory segments that MPICH leaves on a node when its processes are killed.

MPICH 4.3 and later name a segment after the launcher's name for the job step. Under `srun` that is
the number of the job and of the step, and both come again after a requeue: ranks that find the old
segment take it for their own, and wait in `MPI_Init` for ever for ranks that died. Old segments
also fill /dev/shm, some MB a job.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from ..programs import process_stat

_DIRECTORY = Path("/dev/shm")
_SEGMENTS = "mpich_shm_*"
_TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds of the unit in which Linux tells when a process began."""


def remove_stale_segments(directory: Path = _DIRECTORY) -> int:
    """Remove this user's segments that no live process has mapped, and return how many.

    Call it before MPI starts. Segments newer than the launcher stay: the other ranks of this node
    may be about to map them. Segments in use by processes of another container, which can't be seen
    from here, may be removed: once its ranks are connected, they don't need the name any more.
    """
    try:
        launcher_began = _began(os.getppid())
        paths = list(directory.glob(_SEGMENTS))
        old = [path for path in paths if _is_older(path.lstat(), launcher_began)]
    except OSError:
        return 0
    if not old:
        return 0

    mapped = _mapped_segments()
    removed = 0
    for path in old:
        if str(path) in mapped:
            continue
        # Another rank may have been first.
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    return removed


def _is_older(status: os.stat_result, began: float) -> bool:
    """Return whether a file is this user's, and older than a Unix time by two ticks or more."""
    changed = max(status.st_mtime, status.st_ctime)
    return status.st_uid == os.getuid() and changed < began - 2 * _TICK


def _began(process: int) -> float:
    """Return the Unix time at which a process began, in seconds."""
    seconds_after_boot = int(process_stat(process)[1][19]) * _TICK
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + seconds_after_boot


def _mapped_segments() -> set[str]:
    """Return the paths of the segments that live processes have mapped."""
    paths: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        # A process may be another user's, or gone.
        with contextlib.suppress(OSError):
            lines = maps.read_text(errors="replace").splitlines()
            paths.update(line.split(None, 5)[5] for line in lines if "/mpich_shm_" in line)
    return paths
