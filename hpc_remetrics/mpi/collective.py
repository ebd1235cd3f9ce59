"""What ranks do as one: an error that a person can meet is raised on all of them alike, never on
some.

A rank that went on alone would wait for ever for those that gave up. So the error of one reaches
the others in the collective call that they make next (`comm.MPIComm.agree`), at the latest that
which ends the body. Faults of the program are not caught here; `AbortOnError` ends the job on them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..errors import RemetricsError
from .comm import Comm


class Collective:
    """A context that no rank leaves alone: where one raises a `RemetricsError`, all raise the
    lowest rank's.

    The body may hold collective calls: one that waits in such a call for a rank that failed raises
    there. It must not wait for another rank in any other way.
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
        if error is not None and (not isinstance(error, RemetricsError) or error.shared):
            return  # a fault of the program, or what all ranks raise already
        self.comm.agree(error)


def collectively(comm: Comm, function: Callable[[], Any]) -> Any:
    """Run a function on every rank and return its value there; see `Collective`."""
    with Collective(comm):
        return function()


def on_rank_0(comm: Comm, function: Callable[[], Any]) -> Any:
    """Run a function on the root and return its value on every rank; its `RemetricsError` is raised
    on every rank."""
    value, error = None, None
    if comm.rank == comm.root:
        try:
            value = function()
        except RemetricsError as raised:
            error = raised
    value, error = comm.bcast((value, error))
    if error is not None:
        error.shared = True
        raise error
    return value
