"""The frame of every command that ranks do together: connect, work, end with one code and one message."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from ..errors import RemetricsError
from ..log import set_rank
from .comm import AbortOnError, Comm, connect
from .signals import StopRequest
from .watch import START_SECONDS

_remarks: list[str] = []
_start_seconds = START_SECONDS


def wait_for_ranks(seconds: float) -> None:
    """Set how many seconds the ranks may take to find each other, before the job begins."""
    global _start_seconds
    _start_seconds = seconds


def remark(lines: Iterable[str]) -> None:
    """Have rank 0 say these lines when the ranks are connected.

    Before that other ranks may still be on their way to hearing signals, and what a user sees invites to send one.
    """
    _remarks.extend(lines)


def _say_remarks() -> None:
    while _remarks:
        print(_remarks.pop(0), file=sys.stderr, flush=True)


def run_job(work: Callable[[Comm], int], stop: StopRequest | None = None) -> int:
    """Connect the ranks, have all of them do `work`, and return the exit code of this process.

    An error that all ranks raise alike is raised from here on rank 0 alone, when the others have cleared up; one that a
    rank meets alone ends the job at once.

    :param stop: what hears signals, installed; None: they end the job with code 4 wherever it is, files removed.
    """
    heard = _interrupting() if stop is None else stop
    comm: Comm | None = None
    try:
        comm = connect(_start_seconds)
        set_rank(comm.rank, comm.host)
        if comm.rank == comm.root:
            _say_remarks()
        with AbortOnError(comm):
            code = work(comm)
            heard.ignore()
    except RemetricsError as error:
        if comm is not None and error.shared and (code := comm.leave(error.exit_code)) == 0:
            return code
        raise
    return comm.leave(code)


def _interrupting() -> StopRequest:
    """Return what ends a job on a signal wherever it is."""
    stop = StopRequest()
    stop.at_once = stop.interrupt
    stop.install()
    return stop
