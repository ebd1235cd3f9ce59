"""The frame of every command that ranks do together: connect, work, end with one code and one message."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import RemetricsError
from ..log import set_rank
from .comm import AbortOnError, Comm, connect


def run_job(work: Callable[[Comm], int]) -> int:
    """Connect the ranks, have all of them do `work`, and return the exit code of this process.

    An error that all ranks raise alike is raised from here on rank 0 alone, when the others have cleared up; one that a
    rank meets alone ends the job at once.
    """
    comm: Comm | None = None
    try:
        comm = connect()
        set_rank(comm.rank, comm.host)
        with AbortOnError(comm):
            code = work(comm)
    except RemetricsError as error:
        if comm is not None and error.shared and (code := comm.leave(error.exit_code)) == 0:
            return code
        raise
    return comm.leave(code)
