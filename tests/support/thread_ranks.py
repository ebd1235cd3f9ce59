"""Ranks as threads of one process: messages and collective calls without MPI, for unit tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hpc_remetrics.errors import RemetricsError
from hpc_remetrics.mpi.comm import SerialComm


class ThreadComm(SerialComm):
    """One of several ranks; all ranks make the same collective calls in the same order.

    :param board: the value of each rank in a collective call.
    :param boxes: the messages to each rank that it has not taken yet.
    """

    def __init__(
        self, rank: int, board: list[Any], boxes: list[deque[Any]], barrier: threading.Barrier
    ) -> None:
        super().__init__()
        self.rank = rank
        self.size = len(boxes)
        self._board = board
        self._boxes = boxes
        self._barrier = barrier

    def send(self, message: Any, dest: int, tag: int) -> None:
        self._boxes[dest].append((self.rank, tag, message))

    def poll(self) -> tuple[int, int, Any] | None:
        return self._boxes[self.rank].popleft() if self._boxes[self.rank] else None

    def allgather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait(60)
        values = list(self._board)
        self._barrier.wait(60)
        return values

    def gather(self, value: Any) -> list[Any]:
        values = self.allgather(value)
        return values if self.rank == self.root else []

    def alltoall(self, buffers: Sequence[bytes | memoryview]) -> list[memoryview]:
        return [memoryview(sent[self.rank]) for sent in self.allgather(buffers)]

    def bcast(self, value: Any, root: int = 0) -> Any:
        return self.allgather(value)[root]

    def barrier(self) -> None:
        self.allgather(None)

    def agree(self, error: RemetricsError | None) -> None:
        """Raise the error of the lowest rank that has one, on every rank."""
        for one in self.allgather(error):
            super().agree(one)


def on_ranks(size: int, function: Callable[[ThreadComm], Any]) -> list[Any]:
    """Call a function on each rank; return the results by rank."""
    board: list[Any] = [None] * size
    boxes: list[deque[Any]] = [deque() for _ in range(size)]
    barrier = threading.Barrier(size)

    def call(rank: int) -> Any:
        try:
            return function(ThreadComm(rank, board, boxes, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(call, range(size)))
