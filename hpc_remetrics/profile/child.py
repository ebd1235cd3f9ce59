"""The child process of a rank: jobs come in on a socket, rows of `/layers` go back.

    the rank (parent.py)                     the child
    setup: limits, types, table, probes  ->
                                         <-  {"ready": pid}, or {"error": message} and it ends
    job: place of a blob, its digest     ->
                                         <-  {"job": number, "profile": row of /layers}
    ... more jobs ...

It does all the parsing, so its death costs one layer. It is started before MPI, and holds no MPI
state and no HDF5 file. Messages are JSON, one a packet: what a child that hostile bytes have
corrupted may send is data, never code.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import RemetricsError
from ..files.writing import shared_file
from ..filetype.shared_table import TypeTable
from ..limits import PACKET_BYTES, Limits
from ..parts.spill_format import LayerProfile
from ..parts.spill_writer import Spill
from ..records import Digest
from .layer import profile_layer
from .probe import load_probes

if TYPE_CHECKING:
    from ..filetype.typer import Typer
    from .unpack import UnpackedTree

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Serve a rank until it hangs up; return the exit code.

    :param argv: `argv[1]` is the socket's descriptor, `argv[2]` the rank's process id.
    """
    server = socket.socket(fileno=int(argv[1]))
    _end_with(parent=int(argv[2]))
    # These signals go to all processes of a terminal or a job, and the rank decides
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    setup = _receive(server)
    if setup is None:
        return 0
    try:
        profiler = _LayerProfiler(setup)
    except RemetricsError as error:
        _send(server, {"error": str(error)})
        return 1
    except OSError as error:
        # The run was over before the child began, and its files are removed
        _send(server, {"error": f"a profiling process can't open its files: {error}"})
        return 1
    _send(server, {"ready": os.getpid()})
    while (job := _receive(server)) is not None:
        try:
            profile = profiler.profile(job)
        except MemoryError:
            message = "the layer needed more memory than the limit child_bytes"
            profile = _failed("limit_memory", message)
        except RemetricsError as error:
            _send(server, {"error": str(error)})
            return 1
        except Exception as error:
            profile = _failed("internal", f"{type(error).__name__}: {error}"[:500])
        _send(server, {"job": job["job"], "profile": profile.to_json()})
    return 0


class _LayerProfiler:
    """Profiles one layer after the other; keeps the limits, the types and the probes.

    :param setup: the first message of the rank.
    :raises RemetricsError: something that a probe needs is not installed.
    :raises OSError: the files of the run can't be opened.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        self.limits = Limits(**setup["limits"])
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # The table is the node's memory, and counts as address space of each child.
        table = TypeTable(Path(setup["table"]))
        memory = self.limits.child_bytes + table.size
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        with shared_file(Path(setup["watch"])) as file:
            watch = memoryview(mmap.mmap(file.fileno(), 0))
        self.typer: Typer | None = None
        if setup["types"] != "none":
            from ..filetype.typer import Typer

            self.typer = Typer(setup["types"], table, watch)
        self.probes = load_probes(setup["probes"])

    def profile(self, job: dict[str, Any]) -> LayerProfile:
        """Profile one layer; errors of the file system become a failed row.

        :param job: a message of the rank, with the fields of `parent.Job`.
        """
        tree = _new_tree(Path(job["tree"]), job["quota"]) if job["tree"] else None
        try:
            with (
                closing(Spill(Path(job["spill"]))) as spill,
                open(job["path"], "rb", buffering=0) as stream,
            ):
                if job["offset"]:
                    stream.seek(job["offset"])
                return profile_layer(
                    stream,
                    spill,
                    self.limits,
                    size=job["size"],
                    expected=Digest.parse(job["digest"]),
                    expected_size=job["expected_size"],
                    typer=self.typer,
                    tree=tree,
                    probes=self.probes,
                )

        # Errors of the profile itself are in its row already; these are of files.
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return _failed("no_room", f"on scratch: {error.strerror}")
            cause = "missing" if isinstance(error, FileNotFoundError) else "io_error"
            return _failed(cause, f"opening the blob failed: {error}", "open")
        finally:
            if tree:
                tree.close()


def _new_tree(directory: Path, quota: int) -> UnpackedTree:
    """Return a tree on scratch, into which the next layer is extracted."""
    # Only a run that extracts layers loads this.
    from .unpack import UnpackedTree

    return UnpackedTree(directory, quota)


def _failed(cause: str, message: str, stage: str = "child") -> LayerProfile:
    return LayerProfile(stage=stage, cause=cause, message=message)


def _receive(server: socket.socket) -> dict[str, Any] | None:
    """Return the next message, None when the rank has hung up."""
    data = server.recv(PACKET_BYTES)
    return json.loads(data) if data else None


def _send(server: socket.socket, message: dict[str, Any]) -> None:
    server.send(json.dumps(message).encode())


def _end_with(parent: int) -> None:
    """Have the kernel end this process when the rank ends in any way."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return  # not Linux: the closed socket ends it
    # The rank may have ended before the call
    if os.getppid() != parent:
        os._exit(0)


def run() -> NoReturn:
    """Run the child that `parent.py` starts."""
    try:
        sys.exit(main(sys.argv))
    except (BrokenPipeError, ConnectionError):
        sys.exit(0)
