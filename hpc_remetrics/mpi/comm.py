"""Ranks and the messages between them; the only importer of mpi4py, with a serial twin.

Nothing here waits in a blocking MPI call: MPI libraries spin there, and a spinning rank takes the
core that another one works on. Every wait probes, and sleeps in between, longer the longer nothing
comes.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn

from ..errors import MissingComponentError, RemetricsError, UsageError
from .stale_memory import remove_stale_segments
from .start_watch import START_SECONDS, watched

ANY = -1

# Set in every process of a parallel launch: by Hydra (MPICH, Intel MPI), PMIx (Open MPI, srun),
# Open MPI, MVAPICH2.
_SIZE_VARIABLES = (
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
)
_RANK_VARIABLES = (
    "PMI_RANK",
    "OMPI_COMM_WORLD_RANK",
    "MV2_COMM_WORLD_RANK",
    "PMIX_RANK",
    "SLURM_PROCID",
)


_SHORT_TRIES, _TRIES = 50, 20_000
"""Tests of a transfer with no sleep in between, and with a short one: some two seconds."""


_FAILED = (1 << 64) - 1
"""What a rank that can't go on tells in place of a number of bytes."""

_SAID = 0.5
"""Seconds in which a launcher passes on what a rank said last, before the abort tears its pipes."""


class Backoff:
    """Sleeps that double from 50 µs to `longest` seconds while nothing happens."""

    def __init__(self, longest: float = 0.02) -> None:
        self.longest = longest
        self.reset()

    def reset(self) -> None:
        self.seconds = 50e-6

    def sleep(self, wake: Any = None) -> None:
        """Sleep, no longer than until the file `wake` can be read."""
        if wake is None:
            time.sleep(self.seconds)
        else:
            select.select([wake], [], [], self.seconds)
        self.seconds = min(2 * self.seconds, self.longest)


class SerialComm:
    """A communicator of one rank: messages go to itself, collectives are identities."""

    rank, size, root = 0, 1, 0

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self._messages: deque[tuple[int, Any]] = deque()

    def send(self, message: Any, dest: int, tag: int) -> None:
        self._messages.append((tag, message))

    def poll(self) -> tuple[int, int, Any] | None:
        if not self._messages:
            return None
        tag, message = self._messages.popleft()
        return 0, tag, message

    def flush(self) -> None:
        pass

    def barrier(self) -> None:
        pass

    def bcast(self, value: Any, root: int = 0) -> Any:
        return value

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def alltoall(self, buffers: Sequence[bytes | memoryview]) -> list[memoryview]:
        return [memoryview(buffers[0]).cast("B")]

    def agree(self, error: RemetricsError | None) -> None:
        if error is not None:
            error.shared = True
            raise error

    def finalize(self, code: int) -> int:
        return code

    def abort(self, code: int = 1) -> NoReturn:
        os._exit(code)


class MPIComm:
    """MPI_COMM_WORLD behind the same calls as `SerialComm`; `root` is rank 0.

    Every collective call begins with one and the same exchange of a number between all ranks. So a
    rank that can't go on need not know what the others are about to call: `agree` says so in that
    exchange, and all ranks raise the error in the call that they are in.
    """

    root = 0

    def __init__(self, mpi: Any) -> None:
        self._mpi, self._comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = self._comm.rank, self._comm.size
        self.host = socket.gethostname()
        self._pending: deque[tuple[Any, bytes]] = deque()

    def send(self, message: Any, dest: int, tag: int) -> None:
        """Start sending a picklable message; it leaves while the caller goes on."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._pending.append((self._comm.Isend([data, self._mpi.BYTE], dest=dest, tag=tag), data))
        while self._pending and self._pending[0][0].Test():
            self._pending.popleft()

    def poll(self) -> tuple[int, int, Any] | None:
        """Return the next message as (source, tag, message), or None at once if none has come."""
        while self._pending and self._pending[0][0].Test():
            self._pending.popleft()
        status = self._mpi.Status()
        found = self._comm.Improbe(self._mpi.ANY_SOURCE, self._mpi.ANY_TAG, status)
        if found is None:
            return None
        data = bytearray(status.Get_count(self._mpi.BYTE))
        self._move(found.Irecv([data, self._mpi.BYTE]))
        return status.Get_source(), status.Get_tag(), pickle.loads(data)

    def flush(self) -> None:
        """Wait until every message of this rank has left."""
        while self._pending:
            self._move(self._pending[0][0])
            self._pending.popleft()

    def barrier(self) -> None:
        self._sizes([0] * self.size)

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Return root's picklable value on every rank."""
        data = bytearray(pickle.dumps(value, pickle.HIGHEST_PROTOCOL) if self.rank == root else b"")
        size = self._sizes([len(data)] * self.size)[root]
        if self.rank != root:
            data = bytearray(size)
        self._move(self._comm.Ibcast([data, self._mpi.BYTE], root))
        return value if self.rank == root else pickle.loads(data)

    def allgather(self, value: Any) -> list[Any]:
        """Return the picklable values of all ranks, by rank."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return [pickle.loads(part) for part in self.alltoall([data] * self.size)]

    def gather(self, value: Any) -> list[Any]:
        """Return the picklable values of all ranks, by rank, on the root; an empty list
        elsewhere."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        received = self.alltoall([data if rank == self.root else b"" for rank in range(self.size)])
        return [pickle.loads(part) for part in received] if self.rank == self.root else []

    def alltoall(self, buffers: Sequence[bytes | memoryview]) -> list[memoryview]:
        """Send `buffers[r]` to each rank r and return what each rank sent here, by rank."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        return self._exchange(views, self._sizes([view.nbytes for view in views]))

    def agree(self, error: RemetricsError | None) -> None:
        """Tell all ranks whether this one can go on; raise the error of the lowest rank that can't,
        on all of them.

        A rank with an error calls this instead of whatever collective call the others make next,
        which raises it there.
        """
        self._sizes([_FAILED if error is not None else 0] * self.size, error)

    def _sizes(self, sizes: Sequence[int], error: RemetricsError | None = None) -> list[int]:
        """Tell each rank a number, and return what each told this one; the beginning of every
        collective call."""
        sent = b"".join(size.to_bytes(8, "little") for size in sizes)
        got = bytearray(8 * self.size)
        self._wait(self._comm.Ialltoall([sent, 8, self._mpi.BYTE], [got, 8, self._mpi.BYTE]))
        told = [int.from_bytes(got[8 * r : 8 * r + 8], "little") for r in range(self.size)]
        if _FAILED in told:
            self._fail(told, error)
        return told

    def _fail(self, told: Sequence[int], error: RemetricsError | None) -> NoReturn:
        """Hear the error of the lowest rank that has one, and raise it."""
        first = told.index(_FAILED)
        data = bytearray(
            pickle.dumps(error, pickle.HIGHEST_PROTOCOL) if self.rank == first else b""
        )
        size = bytearray(len(data).to_bytes(8, "little"))
        self._wait(self._comm.Ibcast([size, self._mpi.BYTE], first))
        if self.rank != first:
            data = bytearray(int.from_bytes(size, "little"))
        self._move(self._comm.Ibcast([data, self._mpi.BYTE], first))
        heard: RemetricsError = pickle.loads(data)
        heard.shared = True
        raise heard from error

    def _exchange(self, views: Sequence[memoryview], sizes: Sequence[int]) -> list[memoryview]:
        """Send each rank its bytes, and return what each sent here, of these sizes."""
        received = bytearray(sum(sizes))
        sent = b"".join(views)
        self._move(
            self._comm.Ialltoallv(
                [
                    sent,
                    ([v.nbytes for v in views], _starts(v.nbytes for v in views)),
                    self._mpi.BYTE,
                ],
                [received, (sizes, _starts(sizes)), self._mpi.BYTE],
            )
        )
        whole, starts = memoryview(received), _starts(sizes)
        return [whole[start : start + size] for start, size in zip(starts, sizes, strict=True)]

    def finalize(self, code: int) -> int:
        """Finish MPI and return the exit code of this process: `code` on the root, which ends last,
        0 elsewhere.

        A launcher kills the ranks that are left when one ends with another code than 0, and tells
        that kill's code.
        """
        self._mpi.Finalize()
        if self.rank != self.root:
            return 0
        if code:
            time.sleep(_SAID)
        return code

    def abort(self, code: int = 1) -> NoReturn:
        """End every rank of the job at once."""
        self._comm.Abort(code)
        os._exit(code)

    def _wait(self, request: Any) -> None:
        """Wait for other ranks, which may be busy for long."""
        backoff = Backoff(0.005)
        while not request.Test():
            backoff.sleep()

    def _move(self, request: Any) -> None:
        """Wait for bytes that are on their way.

        The library moves some 64 KB at each test and nothing in between, so these waits are short.
        """
        tries = 0
        while not request.Test():
            time.sleep(0 if tries < _SHORT_TRIES else 100e-6 if tries < _TRIES else 0.002)
            tries += 1


def _starts(sizes: Any) -> list[int]:
    starts, total = [], 0
    for size in sizes:
        starts.append(total)
        total += size
    return starts


Comm = SerialComm | MPIComm


def launched_size(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many processes the launcher says it started, 1 without a launcher.

    >>> launched_size({"PMI_SIZE": "4"}), launched_size({})
    (4, 1)
    """
    if environ.get("SLURM_STEP_ID", "0") in ("4294967291", "batch"):
        environ = {name: value for name, value in environ.items() if not name.startswith("SLURM")}
    sizes = [int(environ[name]) for name in _SIZE_VARIABLES if environ.get(name, "").isdigit()]
    return max(sizes, default=1)


def launched_rank(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return this process's rank as the launcher says it before MPI starts, None if nothing says
    it."""
    for name in _RANK_VARIABLES:
        if environ.get(name, "").isdigit():
            return int(environ[name])
    return None


def connect(longest: float = START_SECONDS) -> Comm:
    """Return the communicator of this process: MPI's under a launcher, else the serial twin.

    :param longest: seconds that MPI may take to start; then the job is ended.

    Raises `MissingComponentError` under a launcher without mpi4py or an MPI library, and
    `UsageError` when the launcher started more processes than the MPI library knows of (they don't
    fit together).
    """
    launched = launched_size()
    if launched == 1:
        return SerialComm()
    try:
        import mpi4py

        mpi4py.rc.thread_level = "funneled"
        remove_stale_segments()
        with watched(launched_rank(), launched, longest):
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise MissingComponentError(
            f"{launched} processes were launched, but MPI can't be loaded ({error})",
            "pip install 'hpc-remetrics[mpi]', or run without mpirun",
        ) from None
    if launched > 1 and MPI.COMM_WORLD.size == 1:
        raise UsageError(
            f"the launcher started {launched} processes, but {MPI.Get_library_version().split(chr(10))[0].strip()!r} "
            "sees one",
            "use the mpirun that belongs to this MPI library (`hpc-remetrics doctor` shows both)",
        )
    return MPIComm(MPI)


class AbortOnError:
    """A context in which an exception that nobody caught ends every rank, with its traceback.

    Without it the other ranks would wait for ever for the one that is gone. What all ranks raise
    alike (`mpi/collective.py`) passes; a mistake that one of them meets alone ends the job with its
    line and its code.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm = comm

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or self.comm.size == 1 or getattr(error, "shared", False):
            return
        sys.stdout.flush()
        text, code = "".join(traceback.format_exception(kind, error, trace)), 1
        if isinstance(error, RemetricsError):
            text, code = f"error: {error}\n", error.exit_code
        sys.stderr.write(f"[rank {self.comm.rank} {self.comm.host}] ends the job:\n{text}")
        sys.stderr.flush()
        time.sleep(_SAID)
        self.comm.abort(code)
