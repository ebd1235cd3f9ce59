"""The communicator that every stage takes as an argument, and its implementation for one process.

`mpi_comm.MPIComm` implements the same protocol over MPI; `launch.connect` chooses between the two.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from ..errors import RemetricsError

OUTPUT_SECONDS = 0.5
"""Seconds that a launcher gets to pass on a rank's last lines before an abort closes its pipes."""


class Comm(Protocol):
    """Point-to-point messages and collective calls between the ranks of a job.

    ===========  ==========  =============================  =========================
    call         collective  returns                        data
    ===========  ==========  =============================  =========================
    send         no          at once                        pickled
    poll         no          at once                        pickled
    flush        no          when all messages have left
    barrier      yes         when all ranks have called it
    bcast        yes         when the root has called it*   pickled
    allgather    yes         when all ranks have called it  pickled
    gather       yes         when all ranks have called it  pickled
    alltoall     yes         when all ranks have called it  buffers of bytes
    agree        yes         when all ranks have called it  pickled
    finalize     yes         when MPI has ended here
    abort        no          never
    ===========  ==========  =============================  =========================

    (*) In fact when all have: each collective call begins with an exchange of sizes.

    All ranks make the same collective calls in the same order, with one exception: a rank that met
    an error calls `agree` in place of the next one, and all ranks raise that error (see there).
    Only the main thread of a rank calls a communicator. Waits sleep instead of spinning, since a
    spinning rank takes the core that another one works on.

    :ivar rank: number of this process, from 0 to `size` - 1.
    :ivar size: number of processes.
    :ivar root: the rank that decides and reports; always 0.
    :ivar host: name of this rank's node.
    """

    rank: int
    size: int
    root: int
    host: str

    def send(self, message: Any, dest: int, tag: int) -> None:
        """Start sending an object to one rank, and return at once; the caller must not change it.

        Messages from one rank to another arrive in the order in which they were sent.
        """

    def poll(self) -> tuple[int, int, Any] | None:
        """Return (source, tag, message) of the next message, or None at once if there is none.

        The message belongs to the caller.
        """

    def flush(self) -> None:
        """Wait until every message that this rank sent has left it."""

    def barrier(self) -> None:
        """Wait until every rank has called this. Collective."""

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Return the root's object on every rank: itself on the root, a copy elsewhere. Collective.

        :param value: ignored on other ranks than the root.
        """

    def allgather(self, value: Any) -> list[Any]:
        """Return the objects of all ranks, by rank, on every rank. Collective.

        The list belongs to the caller; whether this rank's own object is a copy is not specified.
        """

    def gather(self, value: Any) -> list[Any]:
        """Return the objects of all ranks, by rank, on rank 0, and [] elsewhere. Collective.

        Ownership is as for `allgather`.
        """

    def alltoall(self, buffers: Sequence[bytes | memoryview]) -> list[memoryview]:
        """Send `buffers[r]` to each rank r, and return what each rank sent here. Collective.

        :param buffers: `size` contiguous buffers, of any lengths; the caller may reuse them
            afterwards, but not while it still reads a result, which may be a view of them.
        :returns: `size` views of bytes, by rank; valid as long as the caller keeps them.
        """

    def agree(self, error: RemetricsError | None) -> None:
        """Raise the error of the lowest rank that passes one, on every rank. Collective.

        A rank with an error need not know which collective call the others make next: it calls
        `agree(error)` instead, and they raise the error in their call. The error is `shared`.

        :param error: None if this rank can go on.
        """

    def finalize(self, code: int) -> int:
        """End MPI, and return the exit code of this process: `code` on rank 0, 0 elsewhere.

        Collective. Nothing may be called afterwards.
        """

    def abort(self, code: int = 1) -> NoReturn:
        """End every process of the job at once, with this exit code; any rank may call it."""


class SerialComm:
    """The communicator of one process: messages go to itself, collective calls return its own data.

    Messages and values are not copied.
    """

    rank = 0
    size = 1
    root = 0

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self._messages: deque[tuple[int, Any]] = deque()

    def send(self, message: Any, dest: int, tag: int) -> None:
        """See `Comm.send`; `dest` is this rank."""
        self._messages.append((tag, message))

    def poll(self) -> tuple[int, int, Any] | None:
        """See `Comm.poll`."""
        if not self._messages:
            return None
        tag, message = self._messages.popleft()
        return 0, tag, message

    def flush(self) -> None:
        """See `Comm.flush`; there is nothing to wait for."""

    def barrier(self) -> None:
        """See `Comm.barrier`; there is nothing to wait for."""

    def bcast(self, value: Any, root: int = 0) -> Any:
        """See `Comm.bcast`."""
        return value

    def allgather(self, value: Any) -> list[Any]:
        """See `Comm.allgather`."""
        return [value]

    def gather(self, value: Any) -> list[Any]:
        """See `Comm.gather`."""
        return [value]

    def alltoall(self, buffers: Sequence[bytes | memoryview]) -> list[memoryview]:
        """See `Comm.alltoall`; the result is a view of the only buffer."""
        return [memoryview(buffers[0]).cast("B")]

    def agree(self, error: RemetricsError | None) -> None:
        """See `Comm.agree`."""
        if error is not None:
            error.shared = True
            raise error

    def finalize(self, code: int) -> int:
        """See `Comm.finalize`."""
        return code

    def abort(self, code: int = 1) -> NoReturn:
        """See `Comm.abort`."""
        os._exit(code)


class Backoff:
    """Sleeps for a loop that polls: from 50 µs on, doubling up to `longest` seconds."""

    def __init__(self, longest: float = 0.02) -> None:
        self.longest = longest
        self.reset()

    def reset(self) -> None:
        """Begin with short sleeps again, because something happened."""
        self.seconds = 50e-6

    def sleep(self, wake: Any = None) -> None:
        """Sleep, and twice as long the next time.

        :param wake: a file or descriptor that ends the sleep when it can be read.
        """
        if wake is None:
            time.sleep(self.seconds)
        else:
            select.select([wake], [], [], self.seconds)
        self.seconds = min(2 * self.seconds, self.longest)
