"""Segments of shared memory that MPICH leaves on a node when its processes are killed.

MPICH 4.3 and later name a segment after the launcher's word for the job step. Under `srun` that is
the job's number and the step's, and both come again after a requeue: ranks that find the old
segment take it for their own, and wait in `MPI_Init` for ever for ranks that died. They also fill
/dev/shm, some MB a job.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_FOLDER = Path("/dev/shm")
_NAMES = "mpich_shm_*"
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def remove_stale_segments(folder: Path = _FOLDER) -> int:
    """Remove this user's segments that no live process has, and return how many; call it before MPI
    starts.

    What is newer than the launcher stays: the other ranks of this node may be about to share it.
    Nothing is lost where a segment is in use by processes that can't be seen from here (in another
    container): once they are connected, they need its name no more.
    """
    try:
        until = _started(os.getppid())
        old = [path for path in folder.glob(_NAMES) if _is_ours(path.lstat(), until)]
    except OSError:
        return 0
    if not old:
        return 0
    kept, removed = _in_use(), 0
    for path in old:
        if str(path) not in kept:
            try:
                path.unlink()
                removed += 1
            except OSError:
                pass  # another rank did it
    return removed


def _is_ours(status: os.stat_result, until: float) -> bool:
    return (
        status.st_uid == os.getuid() and max(status.st_mtime, status.st_ctime) < until - 2 * _TICK
    )


def _started(process: int) -> float:
    """Return the Unix time at which a process began."""
    fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) * _TICK)


def _in_use() -> set[str]:
    """Return the segments that processes have in their memory."""
    found: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:
            continue  # another user's, or gone
        found.update(line.split(None, 5)[5] for line in lines if "/mpich_shm_" in line)
    return found
