"""Ranks as threads of one process: collective calls without MPI, for unit tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hpc_remetrics.mpi.comm import SerialComm


class ThreadComm(SerialComm):
    """One of several ranks; all ranks make the same collective calls in the same order."""

    def __init__(self, rank: int, size: int, board: list[Any], barrier: threading.Barrier) -> None:
        super().__init__()
        self.rank = rank
        self.size = size
        self._board = board
        self._barrier = barrier

    def allgather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait(10)
        values = list(self._board)
        self._barrier.wait(10)
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


def on_ranks(size: int, function: Callable[[ThreadComm], Any]) -> list[Any]:
    """Call a function on each rank; return the results by rank."""
    board: list[Any] = [None] * size
    barrier = threading.Barrier(size)

    def call(rank: int) -> Any:
        try:
            return function(ThreadComm(rank, size, board, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(call, range(size)))
