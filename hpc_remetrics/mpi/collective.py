"""Collective error handling: a user-facing error on any rank is raised on every rank.

A rank that went on alone would wait for ever for those that gave up. So an error of one rank
reaches the others in the next collective call that they make (`Comm.agree`):

    rank 0   with Collective(comm):   write a file    allgather   → raises the error of rank 1
    rank 1   with Collective(comm):   disk is full → agree(error) → raises it
    rank 2   with Collective(comm):   allgather                   → raises the error of rank 1

User-facing errors are `RemetricsError`s. Faults of the program are not caught here; `AbortOnError`
ends the job on them.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..errors import RemetricsError
from .comm import OUTPUT_SECONDS, Comm


class Collective:
    """A context that all ranks leave alike: by the `RemetricsError` of the lowest rank, if any.

    The body may make collective calls: a rank that waits in one for a rank that failed raises
    there. It must not wait for another rank in any other way. Leaving it is a collective call.
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
        # Let faults of the program pass, and what all ranks raise already.
        if error is not None and (not isinstance(error, RemetricsError) or error.shared):
            return
        self.comm.agree(error)


def collectively(comm: Comm, function: Callable[[], Any]) -> Any:
    """Call a function on every rank within a `Collective`, and return its value there."""
    with Collective(comm):
        return function()


def on_rank_0(comm: Comm, function: Callable[[], Any]) -> Any:
    """Call a function on rank 0, and return its value, or raise its error, on every rank.

    Every rank calls this.

    :raises RemetricsError: the one that the function raised.
    """
    value = None
    error = None
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


def once_a_node(comm: Comm, function: Callable[[], Any]) -> Any:
    """Call a function on the first rank of each node; return its value on all ranks of that node.

    Every rank calls this.

    :raises RemetricsError: the function raised it on one node; on all ranks.
    """
    first = comm.allgather(comm.host).index(comm.host)
    mine = collectively(comm, lambda: function() if comm.rank == first else None)
    return comm.allgather(mine)[first]


class AbortOnError:
    """A context that ends every rank on an exception that only this rank raises.

    Without it the other ranks would wait for ever for the one that is gone. Errors that all ranks
    raise alike (`Collective`) pass. A user-facing error is printed in one line and sets the exit
    code; anything else is printed with its traceback.
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
        if isinstance(error, RemetricsError):
            message = f"error: {error}\n"
            code = error.exit_code
        else:
            message = "".join(traceback.format_exception(kind, error, trace))
            code = 1

        # Print everything before the launcher closes the pipes.
        sys.stdout.flush()
        sys.stderr.write(f"[rank {self.comm.rank} {self.comm.host}] ends the job:\n{message}")
        sys.stderr.flush()
        time.sleep(OUTPUT_SECONDS)
        self.comm.abort(code)
