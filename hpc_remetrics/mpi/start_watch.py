"""A watch over the time in which MPI starts: who is missing, and an end to waiting.

`MPI_Init` returns when every rank has called it. If one was killed before, or never began, the
others may wait for ever, inside the library, where no code of ours runs. So each rank has a small
process beside it until it is connected. The ranks of a node meet in a private directory in memory
that is named after the launcher's process there: each leaves its number and its process. The watch
of the lowest rank that is there tells which of the node's ranks are not, and when it has lasted too
long every watch kills its rank, on which the launcher ends the job.
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

START_SECONDS = 900.0
"""Seconds that the start of MPI may last, by default."""

_FIRST_WORD = 60.0
"""Seconds after which it is told for the first time who is missing."""

_MEMORY = Path("/dev/shm")
_LAUNCHERS = ("proxy", "prte", "orted", "slurmstepd", "mpirun", "mpiexec", "srun")

_LOCAL_SIZES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")

# In a process of its own, with the standard library alone. It ends when its rank closes the pipe,
# or dies.
_CODE = """
import os, select, signal, sys, time
folder, rank, parent, host = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
local, size, word, longest = int(sys.argv[5]), int(sys.argv[6]), float(sys.argv[7]), float(sys.argv[8])

def lives(process):
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False

def look():
    here, dead = [], []
    for name in os.listdir(folder):
        number, _, process = name.partition("-")
        (here if lives(process) else dead).append(int(number))
    return sorted(here), sorted(dead)

def told():
    here, dead = look()
    if not here or here[0] != rank:
        return
    text = f"{len(here)} of {local or 'the'} ranks of {host} wait for MPI to start since {waited:.0f} s"
    if dead:
        text += f"; ended meanwhile: rank {', '.join(map(str, dead))}"
    elif local and len(here) < local:
        text += f"; {local - len(here)} never began; here are rank {', '.join(map(str, here))} of {size}"
    elif local and local < size:
        text += "; all ranks of this node are here, so those that are missing are on another node"
    if waited >= longest:
        text += "; the job is ended (--start-seconds)"
    print(f"hpc-remetrics: {text}", file=sys.stderr, flush=True)

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
begun, waited = time.monotonic(), 0.0
while waited < longest:
    pause = min(word, longest) - waited
    if select.select([0], [], [], max(pause, 0))[0]:
        sys.exit()
    waited = time.monotonic() - begun
    try:
        told()
    except OSError:
        sys.exit()
    word = max(2 * word, waited)
time.sleep(0.5)
os.kill(parent, signal.SIGKILL)
"""


@contextlib.contextmanager
def watched(
    rank: int | None,
    size: int,
    longest: float = START_SECONDS,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[None]:
    """Watch over a body that starts MPI.

    :param rank: as the launcher says it, None if it doesn't: then nobody watches.
    :param longest: seconds after which the job is ended.
    """
    if rank is None:
        yield
        return
    try:
        folder = _meeting_place()
        mark = folder / f"{rank}-{os.getpid()}"
        mark.touch(mode=0o600)
    except OSError:
        yield  # no memory to meet in: MPI would hardly start either
        return
    local = next(
        (int(environ[name]) for name in _LOCAL_SIZES if environ.get(name, "").isdigit()), 0
    )
    words = (
        folder,
        rank,
        os.getpid(),
        socket.gethostname(),
        local,
        size,
        min(_FIRST_WORD, longest),
        longest,
    )
    command = [sys.executable, "-I", "-S", "-c", _CODE, *map(str, words)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, env=programs.environment(), start_new_session=True
    ) as watch:
        try:
            yield
        finally:
            assert watch.stdin is not None
            watch.stdin.close()
            mark.unlink(missing_ok=True)
            for path in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    path.rmdir()  # the last one does it


def _meeting_place() -> Path:
    """Return the directory in which the ranks of this job on this node meet; remove those of jobs
    that are gone."""
    base = private_directory(_MEMORY, f"hpc-remetrics-{os.getuid()}-{socket.gethostname()}-start")
    for path in base.iterdir():
        process, _, began = path.name.partition("-")
        if not process.isdigit() or _about(int(process))[2] != began:
            shutil.rmtree(path, ignore_errors=True)
    launcher = _launcher()
    folder = base / f"{launcher}-{_about(launcher)[2]}"
    base.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _launcher() -> int:
    """Return the process that launched the ranks of this node: the next above whose name is one of
    a launcher."""
    process = os.getppid()
    while process > 1:
        name, above, _ = _about(process)
        if any(word in name for word in _LAUNCHERS):
            return process
        process = above
    return os.getppid()


def _about(process: int) -> tuple[str, int, str]:
    """Return a process's name, the one above it, and when it began; nothing of one that is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return "", 0, ""
    name, fields = text.partition("(")[2].rpartition(")")[0], text.rpartition(")")[2].split()
    return name, int(fields[1]), fields[19]
