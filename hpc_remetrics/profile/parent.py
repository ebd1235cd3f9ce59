"""The rank's side of its child process: start it, give it layers, watch it, end it, replace it."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import programs
from ..errors import MissingComponentError
from ..files.writing import private_file
from ..filetype.shared_table import TIMED_OUT, TypeTable
from ..filetype.watch import WATCH_BYTES, read_watch
from ..limits import PACKET_BYTES, Limits
from ..parts.spill_format import LayerProfile
from ..records import Digest

_MAIN = "from hpc_remetrics.profile.child import run; run()"

_CHECK_SECONDS = 0.25
"""Longest time between two checks of a child's clocks."""

_STALL_SECONDS = 30.0
"""Time without any CPU time after which a child over its wall-clock limit is ended."""

_MOST_TIMEOUTS = 16
"""Contents of one layer that may time out before the layer does."""

_NO_PROBES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Job:
    """One layer for a child to profile.

    :ivar digest: SHA-256 that the bytes must have.
    :ivar expected_size: bytes that the manifest says, -1 if it doesn't.
    :ivar path: the file with the blob: `size` bytes from `offset` (-1: all).
    :ivar spill: file to be made, which takes the entries.
    :ivar tree: directory to be made, in which the layer is unpacked; None: it is not.
    :ivar quota: bytes that this directory may take.
    """

    digest: Digest
    expected_size: int
    path: Path
    offset: int
    size: int
    spill: Path
    tree: Path | None = None
    quota: int = 0


class Child:
    """One child process: started at once, and replaced after its end.

    :param limits: the limits of the run; those on time are kept here, the others by the child.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._check_seconds = min(_CHECK_SECONDS, limits.type_seconds / 4)
        self._setup: bytes | None = None
        self._table: TypeTable | None = None
        self._watch: mmap.mmap | None = None
        self._job: Job | None = None
        self._number = 0
        self._timeouts = 0
        self._start()

    def _start(self) -> None:
        """Start a process, and give it the setup that the previous one had."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                programs.python(_MAIN, theirs.fileno(), os.getpid()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_child_environment(),
            )
        ours.setblocking(False)
        self._socket = ours
        # Clear what the previous child worked on when it ended
        if self._watch is not None:
            self._watch[:] = bytes(WATCH_BYTES)
        self._is_set_up = self._setup is not None
        if self._setup is not None:
            self._send(self._setup)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def peak_memory(self) -> int:
        """Peak memory in bytes of this process and of those before it; 0 where it is unknown."""
        peak = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return peak
        # A process that was killed just now has no memory and no such line
        for line in lines:
            if line.startswith("VmHWM:"):
                peak = max(peak, 1024 * int(line.split()[1]))
        return peak

    def fileno(self) -> int:
        """Return the descriptor that is readable when the child has sent something."""
        return self._socket.fileno()

    def set_up(
        self,
        types: str,
        table: Path,
        watch: Path,
        probes: Mapping[str, str] = _NO_PROBES,
    ) -> None:
        """Tell the child what stays the same for all layers.

        A second call starts a new process, since a process takes one setup.

        :param types: how contents are typed, one of `typer.MODES`, or "none".
        :param table: directory of the node's table of types.
        :param watch: file to be made, which shows what libmagic works on.
        :param probes: name of a probe -> its setting, as `probe.load_probes` takes them.
        """
        if self._is_set_up:
            self._setup = None
            self.kill()
            self._start()
        with private_file(watch, "w+b") as file:
            # Allocate the bytes: a hole would be a SIGBUS once the tmpfs is full
            os.posix_fallocate(file.fileno(), 0, WATCH_BYTES)
            self._watch = mmap.mmap(file.fileno(), 0)
        self._table = TypeTable(table)
        setup = {
            "limits": asdict(self.limits),
            "types": types,
            "table": str(table),
            "watch": str(watch),
            "probes": dict(probes),
        }
        self._setup = json.dumps(setup).encode()
        self._is_set_up = True
        self._send(self._setup)

    def begin(self, job: Job) -> None:
        """Give a layer to the child; `poll` returns its row when it is done."""
        # Replace a child that ended while it had nothing to do: that costs no layer
        self.poll()
        self._job = job
        self._timeouts = 0
        self._send_job()

    def _send_job(self) -> None:
        """Send the current layer, and start its clocks."""
        job = self._job
        assert job is not None
        self._number += 1
        now = time.monotonic()
        self._begun = now
        self._checked = now
        self._progressed = now
        self._cpu_begun = self._cpu_seconds()
        self._cpu_seen = self._cpu_begun
        self._typing: tuple[tuple[int, bytes] | None, float] = (None, 0.0)

        # Send it.
        message = {
            "job": self._number,
            "digest": str(job.digest),
            "expected_size": job.expected_size,
            "path": str(job.path),
            "offset": job.offset,
            "size": job.size,
            "spill": str(job.spill),
            "tree": str(job.tree or ""),
            "quota": job.quota,
        }
        self._send(json.dumps(message).encode())

    def poll(self) -> LayerProfile | None:
        """Return the row of the layer when it is done or has failed, None before.

        :raises MissingComponentError: the child can't work on this machine at all.
        """
        while True:
            try:
                data = self._socket.recv(PACKET_BYTES)
            except BlockingIOError:
                return self._check_time()
            except ConnectionError:
                data = b""
            if not data:
                return self._ended()

            # Take the row; one of an earlier layer, which was given up, is left out.
            message = json.loads(data)
            if "error" in message:
                raise MissingComponentError(message["error"])
            if message.get("job") == self._number and self._job is not None:
                self._job = None
                return LayerProfile(**message["profile"])

    def _check_time(self) -> LayerProfile | None:
        """End the child if the layer or a type takes too long; return the row of a failed layer."""
        now = time.monotonic()
        if self._job is None or now - self._checked < self._check_seconds:
            return None
        self._checked = now

        # Note CPU time as progress
        cpu = self._cpu_seconds()
        if cpu != self._cpu_seen:
            self._cpu_seen = cpu
            self._progressed = now

        if self._type_timed_out(cpu):
            return self._type_again()

        # Wall-clock time counts only where there is no progress: ranks may share a core
        limit = self.limits.layer_time(self._job.size)
        idle = now - self._progressed
        used = cpu - self._cpu_begun
        if now - self._begun > limit and idle > min(limit, _STALL_SECONDS):
            message = f"ended after {idle:.0f} s without any progress, the limit is {limit:.0f} s"
            return self._give_up("limit_time", message)
        if used > limit:
            message = f"ended after {used:.0f} s, the limit is {limit:.0f} s"
            return self._give_up("limit_time", message)
        return None

    def _type_timed_out(self, cpu: float) -> bool:
        """Say whether libmagic has worked on one content for too many CPU seconds."""
        assert self._watch is not None
        typing = read_watch(self._watch[:])
        if typing is None or typing != self._typing[0]:
            self._typing = typing, cpu
            return False
        return cpu - self._typing[1] > self.limits.type_seconds

    def _type_again(self) -> LayerProfile | None:
        """Give the content the type "timed out", and have a new child profile the layer again."""
        assert self._table is not None and self._typing[0] is not None
        self._timeouts += 1
        if self._timeouts > _MOST_TIMEOUTS:
            message = f"libmagic timed out on more than {_MOST_TIMEOUTS} of its files"
            return self._give_up("limit_time", message, "type")
        self._table.put(self._typing[0][1], TIMED_OUT)
        self.kill()
        self._start()
        self._send_job()
        return None

    def _give_up(self, cause: str, message: str, stage: str = "child") -> LayerProfile:
        """End the child, and return the row of the failed layer."""
        self.kill()
        return self._lost(stage, cause, message)

    def _ended(self) -> LayerProfile | None:
        """Replace a child that has ended; return the row of the layer that it had, if any."""
        code = self._process.wait()
        self._socket.close()
        if self._job is None:
            self._start()
            return None
        if code == -signal.SIGKILL:
            message = "the child process was killed (by hand, or for want of memory)"
            return self._lost("child", "killed", message)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return self._lost("child", "crashed", f"the child process ended with {how}")

    def _lost(self, stage: str, cause: str, message: str) -> LayerProfile:
        """Start another child, and return the row of the failed layer."""
        self._job = None
        self._start()
        return LayerProfile(stage=stage, cause=cause, message=message)

    def abandon(self) -> None:
        """Drop the current layer and the setup, since the files of the run are about to go."""
        self._setup = None
        if self._job is not None:
            self._give_up("killed", "abandoned")

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def close(self) -> None:
        """End the process and close the table of types."""
        self.kill()
        if self._table is not None:
            self._table.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except (BrokenPipeError, ConnectionError):
            pass  # the next `poll` sees that the child has ended

    def _cpu_seconds(self) -> float:
        """Return the CPU seconds that the child has used, 0 where that is unknown."""
        try:
            _, fields = programs.process_stat(self._process.pid)
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child_environment() -> dict[str, str]:
    """Return the environment without secrets, and without variables that make a process a rank."""
    prefixes = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_", "MPIR_")
    return {
        name: value
        for name, value in programs.environment().items()
        if not name.startswith(prefixes)
    }
