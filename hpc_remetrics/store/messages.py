"""Small collective calls that the communicator does not have: collect, scatter, and errors that all ranks raise."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ..cluster.comm import Comm
from ..errors import RemetricsError


def collect(comm: Comm, value: Any) -> list[Any]:
    """Return the values of all ranks on rank 0, an empty list on the others."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    received = comm.alltoall([data if rank == comm.root else b"" for rank in range(comm.size)])
    return [pickle.loads(part) for part in received] if comm.rank == comm.root else []


def scatter(comm: Comm, values: Sequence[Any] | None) -> Any:
    """Return on each rank its own of the values that rank 0 gives."""
    if comm.rank == comm.root:
        assert values is not None
        buffers = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values]
    else:
        buffers = [b""] * comm.size
    return pickle.loads(comm.alltoall(buffers)[comm.root])


class Together:
    """A context that no rank leaves alone: where one raises a `RemetricsError`, all raise it.

    Only for bodies in which no rank waits for another that may have failed. Faults of the program pass
    as they are, and end the job.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm = comm

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, RemetricsError):
            return
        raise_together(self.comm, error)


def raise_together(comm: Comm, error: RemetricsError | None) -> None:
    """Raise the error of the lowest rank that has one, on every rank."""
    for other in comm.allgather(error):
        if other is not None:
            raise other from error
