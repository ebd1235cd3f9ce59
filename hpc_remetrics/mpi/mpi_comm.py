"""The communicator over MPI: nonblocking calls, and waits that sleep between tests.

Nothing here waits in a blocking MPI call: MPI libraries spin there, and a spinning rank takes the
core that another one works on. Every wait tests, and sleeps in between, longer the longer nothing
comes.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from ..errors import RemetricsError
from .comm import OUTPUT_SECONDS, Backoff

_YIELDING_TESTS = 50
"""Tests of a transfer that only yield the processor in between."""

_FREQUENT_TESTS = 20_000
"""Tests after which the sleeps of 100 µs between them become longer: some two seconds."""

_FAILED = (1 << 64) - 1
"""Sent in place of a number of bytes by a rank that can't go on."""


class MPIComm:
    """MPI_COMM_WORLD as a `Comm`.

    Every collective call begins with the same exchange of one number a pair of ranks. So a rank
    that can't go on need not know what the others are about to call: `agree` says so in that
    exchange, and all ranks raise the error in the call that they are in.

    :param mpi: the module `mpi4py.MPI`.
    """

    root = 0

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._comm = mpi.COMM_WORLD
        self.rank = int(self._comm.rank)
        self.size = int(self._comm.size)
        self.host = socket.gethostname()
        # Requests of messages that are being sent, each with its buffer, oldest first.
        self._pending: deque[tuple[Any, bytes]] = deque()

    def send(self, message: Any, dest: int, tag: int) -> None:
        """See `Comm.send`."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        request = self._comm.Isend([data, self._mpi.BYTE], dest=dest, tag=tag)
        self._pending.append((request, data))
        self._drop_sent()

    def poll(self) -> tuple[int, int, Any] | None:
        """See `Comm.poll`."""
        # Testing the sends is what moves them in most MPI libraries.
        self._drop_sent()
        status = self._mpi.Status()
        matched = self._comm.Improbe(self._mpi.ANY_SOURCE, self._mpi.ANY_TAG, status)
        if matched is None:
            return None
        data = bytearray(status.Get_count(self._mpi.BYTE))
        self._wait_for_transfer(matched.Irecv([data, self._mpi.BYTE]))
        return status.Get_source(), status.Get_tag(), pickle.loads(data)

    def _drop_sent(self) -> None:
        """Let go of the buffers of messages that have left."""
        while self._pending and self._pending[0][0].Test():
            self._pending.popleft()

    def flush(self) -> None:
        """See `Comm.flush`."""
        while self._pending:
            self._wait_for_transfer(self._pending[0][0])
            self._pending.popleft()

    def barrier(self) -> None:
        """See `Comm.barrier`."""
        self._exchange_sizes([0] * self.size)

    def bcast(self, value: Any, root: int = 0) -> Any:
        """See `Comm.bcast`."""
        data = bytearray()
        if self.rank == root:
            data = bytearray(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
        size = self._exchange_sizes([len(data)] * self.size)[root]
        if self.rank != root:
            data = bytearray(size)
        self._wait_for_transfer(self._comm.Ibcast([data, self._mpi.BYTE], root))
        return value if self.rank == root else pickle.loads(data)

    def allgather(self, value: Any) -> list[Any]:
        """See `Comm.allgather`."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return [pickle.loads(received) for received in self.alltoall([data] * self.size)]

    def gather(self, value: Any) -> list[Any]:
        """See `Comm.gather`."""
        buffers = [b""] * self.size
        buffers[self.root] = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        received = self.alltoall(buffers)
        return [pickle.loads(data) for data in received] if self.rank == self.root else []

    def alltoall(self, buffers: Sequence[bytes | memoryview]) -> list[memoryview]:
        """See `Comm.alltoall`; the result is views of one new buffer."""
        sent = [memoryview(buffer).cast("B") for buffer in buffers]
        sent_sizes = [view.nbytes for view in sent]
        received_sizes = self._exchange_sizes(sent_sizes)

        # Exchange the bytes.
        received = bytearray(sum(received_sizes))
        received_starts = _starts(received_sizes)
        outgoing = [b"".join(sent), (sent_sizes, _starts(sent_sizes)), self._mpi.BYTE]
        incoming = [received, (received_sizes, received_starts), self._mpi.BYTE]
        self._wait_for_transfer(self._comm.Ialltoallv(outgoing, incoming))

        # Cut the received bytes by rank.
        whole = memoryview(received)
        spans = zip(received_starts, received_sizes, strict=True)
        return [whole[start : start + size] for start, size in spans]

    def agree(self, error: RemetricsError | None) -> None:
        """See `Comm.agree`."""
        self._exchange_sizes([_FAILED if error is not None else 0] * self.size, error)

    def _exchange_sizes(
        self, sizes: Sequence[int], error: RemetricsError | None = None
    ) -> list[int]:
        """Send each rank a number, and return what each sent here: how each collective call begins.

        :param sizes: by rank; `_FAILED` to all if this rank can't go on.
        :param error: why it can't.
        :raises RemetricsError: the error of the lowest rank that sent `_FAILED`.
        """
        sent = b"".join(size.to_bytes(8, "little") for size in sizes)
        received = bytearray(8 * self.size)
        request = self._comm.Ialltoall([sent, 8, self._mpi.BYTE], [received, 8, self._mpi.BYTE])
        self._wait_for_ranks(request)
        numbers = [int.from_bytes(received[8 * r : 8 * r + 8], "little") for r in range(self.size)]
        if _FAILED in numbers:
            self._raise_error_of(numbers.index(_FAILED), error)
        return numbers

    def _raise_error_of(self, failed: int, error: RemetricsError | None) -> NoReturn:
        """Receive the error of a rank that can't go on, and raise it; all ranks call this.

        :param error: the error of this rank, if it has one.
        """
        # Broadcast the length of the pickled error, then the error.
        data = bytearray()
        if self.rank == failed:
            data = bytearray(pickle.dumps(error, pickle.HIGHEST_PROTOCOL))
        size = bytearray(len(data).to_bytes(8, "little"))
        self._wait_for_ranks(self._comm.Ibcast([size, self._mpi.BYTE], failed))
        if self.rank != failed:
            data = bytearray(int.from_bytes(size, "little"))
        self._wait_for_transfer(self._comm.Ibcast([data, self._mpi.BYTE], failed))

        received: RemetricsError = pickle.loads(data)
        received.shared = True
        raise received from error

    def finalize(self, code: int) -> int:
        """See `Comm.finalize`.

        A launcher kills the ranks that are left when one ends with another code than 0, and reports
        that kill's code. So only rank 0 returns `code`, and it ends last.
        """
        self._mpi.Finalize()
        if self.rank != self.root:
            return 0
        if code:
            time.sleep(OUTPUT_SECONDS)
        return code

    def abort(self, code: int = 1) -> NoReturn:
        """See `Comm.abort`."""
        self._comm.Abort(code)
        os._exit(code)

    def _wait_for_ranks(self, request: Any) -> None:
        """Wait for a request that other ranks must join, which may be busy for long."""
        backoff = Backoff(0.005)
        while not request.Test():
            backoff.sleep()

    def _wait_for_transfer(self, request: Any) -> None:
        """Wait for bytes that are on their way, with shorter sleeps than `_wait_for_ranks`.

        The library moves some 64 KB at each test, and nothing in between.
        """
        tests = 0
        while not request.Test():
            if tests < _YIELDING_TESTS:
                time.sleep(0)
            elif tests < _FREQUENT_TESTS:
                time.sleep(100e-6)
            else:
                time.sleep(0.002)
            tests += 1


def _starts(sizes: Iterable[int]) -> list[int]:
    """Return where each of consecutive buffers of these sizes begins.

    >>> _starts([3, 0, 4])
    [0, 3, 3]
    """
    starts = []
    total = 0
    for size in sizes:
        starts.append(total)
        total += size
    return starts
