"""Watch over the start of MPI: report the ranks that are missing, and end a start that lasts.

`MPI_Init` returns when every rank has called it. If one was killed before, or never began, the
others may wait for ever, inside the library, where no code of ours runs. So each rank has a small
process beside it until it is connected (`start_watch_process.py`). The ranks of a node meet in a
private directory in memory that is named after the process of the launcher there:

    /dev/shm/hpc-remetrics-UID-HOST-start/LAUNCHER-BEGAN/RANK-PROCESS      an empty file a rank

The watch of the lowest rank that is there reports which of the node's ranks are not, and when the
start has lasted too long, every watch kills its rank, and the launcher ends the job.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import programs
from ..files.private_directory import private_directory
from ..limits import START_SECONDS

_FIRST_REPORT_SECONDS = 60.0
"""Seconds after which missing ranks are reported for the first time."""

_MEMORY = Path("/dev/shm")
_LAUNCHERS = ("proxy", "prte", "orted", "slurmstepd", "mpirun", "mpiexec", "srun")
"""Parts of the names of the processes that start ranks on a node."""

_LOCAL_SIZES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")
"""Variables in which launchers tell how many ranks a node has."""


@contextlib.contextmanager
def watched(
    rank: int | None,
    size: int,
    longest: float = START_SECONDS,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[None]:
    """Watch over a body that starts MPI.

    :param rank: as the launcher numbered it; None: unknown, then nothing is watched.
    :param size: number of ranks that were launched.
    :param longest: seconds after which the job is ended.
    """
    if rank is None:
        yield
        return
    try:
        directory = _meeting_directory()
        mark = directory / f"{rank}-{os.getpid()}"
        mark.touch(mode=0o600)
    except OSError:
        # There is no memory to meet in: MPI would hardly start either.
        yield
        return

    command = _watch_command(directory, rank, size, longest, _local_size(environ))
    # The watch ends when its standard input is closed, at the end of this block.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, env=programs.environment(), start_new_session=True
    ):
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
            # The last rank removes the directories.
            for path in (directory, directory.parent):
                with contextlib.suppress(OSError):
                    path.rmdir()


def _local_size(environ: Mapping[str, str]) -> int:
    """Return how many ranks this node has by the word of the launcher, 0 if it does not say.

    >>> _local_size({"MPI_LOCALNRANKS": "4"}), _local_size({})
    (4, 0)
    """
    values = (environ.get(name, "") for name in _LOCAL_SIZES)
    return next((int(value) for value in values if value.isdigit()), 0)


def _watch_command(
    directory: Path, rank: int, size: int, longest: float, local_size: int
) -> list[str]:
    """Return the command of the watch; with the standard library alone, it starts in 20 ms."""
    program = Path(__file__).with_name("start_watch_process.py")
    first_report = min(_FIRST_REPORT_SECONDS, longest)
    arguments = (
        directory,
        rank,
        os.getpid(),
        socket.gethostname(),
        local_size,
        size,
        first_report,
        longest,
    )
    return [sys.executable, "-I", "-S", str(program), *map(str, arguments)]


def _meeting_directory() -> Path:
    """Return the directory where this job's ranks meet on this node; remove those of dead jobs."""
    base = private_directory(_MEMORY, f"hpc-remetrics-{os.getuid()}-{socket.gethostname()}-start")
    for path in base.iterdir():
        process, _, began = path.name.partition("-")
        if not process.isdigit() or _about(int(process))[2] != began:
            shutil.rmtree(path, ignore_errors=True)
    launcher = _launcher()
    directory = base / f"{launcher}-{_about(launcher)[2]}"
    base.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def _launcher() -> int:
    """Return the process that launched this node's ranks: the next above with a launcher's name."""
    process = os.getppid()
    while process > 1:
        name, above, _ = _about(process)
        if any(part in name for part in _LAUNCHERS):
            return process
        process = above
    return os.getppid()


def _about(process: int) -> tuple[str, int, str]:
    """Return (name, parent, when it began) of a process; ("", 0, "") if it is gone."""
    try:
        name, fields = programs.process_stat(process)
    except OSError:
        return "", 0, ""
    return name, int(fields[1]), fields[19]
