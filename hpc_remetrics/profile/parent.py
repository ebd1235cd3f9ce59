"""A rank's side of its child process: start it, hand it a layer, watch it, end it, start
another."""

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
from ..filetype.typer import WATCH_BYTES, read_watch
from ..limits import Limits
from ..parts.spill_format import LayerProfile
from ..records import Digest
from .child import PACKET

_MAIN = "from hpc_remetrics.profile.child import run; run()"

_LOOK_EVERY = 0.25
"""Most seconds between two looks at a child's clocks."""

_STALL = 30.0
"""Seconds without any CPU time after which a child over its wall-clock limit is given up."""

_MOST_TIMEOUTS = 16
"""Contents of one layer that may time out before the layer does."""

_NO_PROBES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Job:
    """One layer for a child: `size` bytes from `offset` of the file at `path`, its entries to
    `spill`.

    :ivar tree: a folder to be made, in which the layer is unpacked; it may take `quota` bytes.
    None: it is not.
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
    """One child process, started at once, and again after it died."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._look_every = min(_LOOK_EVERY, limits.type_seconds / 4)
        self._setup: bytes | None = None
        self._table: TypeTable | None = None
        self._watch: mmap.mmap | None = None
        self._job: Job | None = None
        self._number = 0
        self._timeouts = 0
        self._start()

    def _start(self) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                programs.python(_MAIN, its.fileno(), os.getpid()),
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                env=_child_environment(),
            )
        mine.setblocking(False)
        self._socket = mine
        if self._watch is not None:
            self._watch[:] = bytes(WATCH_BYTES)  # what the last child was at when it ended
        if self._setup is not None:
            self._send(self._setup)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def peak_memory(self) -> int:
        """The most bytes of memory that the child, or one before it, had at once; 0 where the
        system does not tell."""
        ended = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return ended
        # One that was killed just now has no memory, and no such line.
        return max(
            [ended, *(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))]
        )

    def fileno(self) -> int:
        """Return the file that can be read when `poll` has something to take."""
        return self._socket.fileno()

    @property
    def busy(self) -> bool:
        return self._job is not None

    def set_up(
        self,
        types: str,
        table: Path,
        watch: Path,
        probes: Mapping[str, str] = _NO_PROBES,
    ) -> None:
        """Tell the child what stays the same for all layers.

        :param types: how contents are typed, one of `typer.MODES`.
        :param table: file of the node's table of types.
        :param watch: file to be made, which shows what libmagic works on.
        :param probes: name of a probe -> its setting, as `probe.load_probes` takes them.
        """
        with private_file(watch, "w+b") as file:
            os.posix_fallocate(
                file.fileno(), 0, WATCH_BYTES
            )  # a hole on a full tmpfs would be a SIGBUS later
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
        self._send(self._setup)

    def begin(self, job: Job) -> None:
        """Hand over a layer; `poll` tells when it is done."""
        self.poll()  # a child that died while it had nothing to do costs no layer
        self._job = job
        self._timeouts = 0
        self._hand_over()

    def _hand_over(self) -> None:
        job = self._job
        assert job is not None
        self._number += 1
        self._begun = self._looked = self._moved = time.monotonic()
        self._cpu_begun = self._cpu_seen = self._cpu()
        self._typing: tuple[tuple[int, bytes] | None, float] = (None, 0.0)
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
        """Return the row of the layer that is done, however that ended, or None while it lasts.

        :raises MissingComponentError: the child can't work on this machine at all.
        """
        while True:
            try:
                data = self._socket.recv(PACKET)
            except BlockingIOError:
                return self._look()
            except ConnectionError:
                data = b""
            if not data:
                return self._died()
            message = json.loads(data)
            if "error" in message:
                raise MissingComponentError(message["error"])
            if message.get("job") == self._number and self._job is not None:
                self._job = None
                return LayerProfile(**message["profile"])

    def _look(self) -> LayerProfile | None:
        """End the child if it is over a limit."""
        now = time.monotonic()
        if self._job is None or now - self._looked < self._look_every:
            return None
        self._looked = now
        cpu = self._cpu()
        if cpu != self._cpu_seen:
            self._cpu_seen, self._moved = cpu, now
        if self._type_timed_out(cpu):
            return self._type_again()
        limit = self.limits.layer_time(self._job.size)
        stalled = now - self._begun > limit and now - self._moved > min(limit, _STALL)
        if cpu - self._cpu_begun > limit or stalled:
            what = (
                f"{now - self._moved:.0f} s without any progress"
                if stalled
                else f"{cpu - self._cpu_begun:.0f} s"
            )
            return self._give_up("limit_time", f"ended after {what}, the limit is {limit:.0f} s")
        return None

    def _type_timed_out(self, cpu: float) -> bool:
        assert self._watch is not None
        typing = read_watch(self._watch[:])
        if typing is None or typing != self._typing[0]:
            self._typing = typing, cpu
            return False
        return cpu - self._typing[1] > self.limits.type_seconds

    def _type_again(self) -> LayerProfile | None:
        """Note that this content's type timed out, and begin the layer anew with another child."""
        assert self._table is not None and self._typing[0] is not None
        self._timeouts += 1
        if self._timeouts > _MOST_TIMEOUTS:
            return self._give_up(
                "limit_time",
                f"libmagic timed out on more than {_MOST_TIMEOUTS} of its files",
                "type",
            )
        self._table.put(self._typing[0][1], TIMED_OUT)
        self.kill()
        self._start()
        self._hand_over()
        return None

    def _give_up(self, cause: str, message: str, stage: str = "child") -> LayerProfile:
        self.kill()
        return self._lost(stage, cause, message)

    def _died(self) -> LayerProfile | None:
        code = self._process.wait()
        self._socket.close()
        if self._job is None:
            self._start()
            return None
        if code == -signal.SIGKILL:
            return self._lost(
                "child", "killed", "the child process was killed (by hand, or for want of memory)"
            )
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return self._lost("child", "crashed", f"the child process ended with {how}")

    def _lost(self, stage: str, cause: str, message: str) -> LayerProfile:
        self._job = None
        self._start()
        return LayerProfile(stage=stage, cause=cause, message=message)

    def abandon(self) -> None:
        """Drop the layer in hand, and what was set up, since its files are about to go."""
        self._setup = None
        if self._job is not None:
            self._give_up("killed", "abandoned")

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def close(self) -> None:
        self.kill()
        if self._table is not None:
            self._table.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except (BrokenPipeError, ConnectionError):
            pass  # its death is seen by the next poll

    def _cpu(self) -> float:
        """Return the CPU seconds that the child has used, 0 where the system does not tell."""
        try:
            with open(f"/proc/{self._process.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child_environment() -> dict[str, str]:
    """Return the environment without secrets, and without what would make the child look like a
    rank."""
    prefixes = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_", "MPIR_")
    return {
        name: value
        for name, value in programs.environment().items()
        if not name.startswith(prefixes)
    }
