"""The child process that does all the parsing: jobs come in on a socket, rows of `/layers` go back.

It is started before MPI is, holds no MPI state and no HDF5 file, and its death costs one layer.
Messages are JSON, one a packet: what a child that hostile bytes have corrupted may say is data,
never code.
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
from typing import Any, NoReturn

from ..errors import RemetricsError
from ..files.writing import shared_file
from ..filetype.shared_table import TypeTable
from ..filetype.typer import Typer
from ..limits import Limits
from ..parts.spill_format import LayerProfile
from ..parts.spill_writer import Spill
from ..records import Digest
from .layer import profile_layer
from .probe import load_probes
from .unpack import UnpackedTree

PACKET = 1 << 16
"""Bytes of the longest message."""


def main(argv: list[str]) -> int:
    """Serve the rank at the other end of the socket `argv[1]` until it hangs up."""
    parent, server = int(argv[2]), socket.socket(fileno=int(argv[1]))
    _die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(
            number, signal.SIG_IGN
        )  # they go to all processes of a terminal or a job; the rank decides
    setup = _receive(server)
    if setup is None:
        return 0
    try:
        profiler = _LayerProfiler(setup)
    except RemetricsError as error:
        _send(server, {"error": str(error)})
        return 1
    except OSError as error:  # its files are gone with a run that was over before it began to work
        _send(server, {"error": f"a profiling process can't open its files: {error}"})
        return 1
    _send(server, {"ready": os.getpid()})
    while (job := _receive(server)) is not None:
        try:
            answer = profiler.profile(job)
        except MemoryError:
            answer = _failed(
                "limit_memory", "the layer needed more memory than the limit child_bytes"
            )
        except RemetricsError as error:
            _send(server, {"error": str(error)})
            return 1
        except Exception as error:
            answer = _failed("internal", f"{type(error).__name__}: {error}"[:500])
        _send(server, {"job": job["job"], "profile": answer.to_json()})
    return 0


class _LayerProfiler:
    """What stays from layer to layer: the types, the limits, the sample."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self.limits = Limits(**setup["limits"])
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (self.limits.child_bytes, self.limits.child_bytes))
        with shared_file(Path(setup["watch"])) as file:
            watch = memoryview(mmap.mmap(file.fileno(), 0))
        self.typer = Typer(setup["types"], TypeTable(Path(setup["table"])), watch)
        self.probes = load_probes(setup["probes"])

    def profile(self, job: dict[str, Any]) -> LayerProfile:
        tree = UnpackedTree(Path(job["tree"]), job["quota"]) if job["tree"] else None
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
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return _failed("no_room", f"on scratch: {error.strerror}")
            missing = isinstance(error, FileNotFoundError)
            return _failed(
                "missing" if missing else "io_error", f"opening the blob failed: {error}", "open"
            )
        finally:
            if tree:
                tree.close()


def _failed(cause: str, message: str, stage: str = "child") -> LayerProfile:
    return LayerProfile(stage=stage, cause=cause, message=message)


def _receive(server: socket.socket) -> dict[str, Any] | None:
    data = server.recv(PACKET)
    return json.loads(data) if data else None


def _send(server: socket.socket, message: dict[str, Any]) -> None:
    server.send(json.dumps(message).encode())


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its rank goes, however that goes."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        return  # not Linux: the closed socket ends it
    if os.getppid() != parent:
        os._exit(0)


def run() -> NoReturn:
    """Be the child that `process.py` starts."""
    try:
        sys.exit(main(sys.argv))
    except (BrokenPipeError, ConnectionError):
        sys.exit(0)
