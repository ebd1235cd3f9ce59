"""The frame of every command that ranks do together: connect, work, end with one code and one
message."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

from ..errors import RemetricsError
from ..files.publish import remove_temporaries
from ..log import set_rank
from .collective import AbortOnError
from .comm import Comm
from .launch import connect, launched_rank
from .signals import ALONE_SECONDS, LEAVE_SECONDS, STOPPED, StopRequest, clear_up
from .start_watch import START_SECONDS

_remarks: list[str] = []
_start_seconds = START_SECONDS


def wait_for_ranks(seconds: float) -> None:
    """Set how many seconds the ranks may take to find each other, before the job begins."""
    global _start_seconds
    _start_seconds = seconds


def remark(lines: Iterable[str]) -> None:
    """Have rank 0 say these lines when the ranks are connected.

    Before that other ranks may still be on their way to hearing signals, and what a user sees
    invites to send one.
    """
    _remarks.extend(lines)


def _say_remarks() -> None:
    while _remarks:
        print(_remarks.pop(0), file=sys.stderr, flush=True)


def run_job(work: Callable[[Comm], int], stop: StopRequest | None = None) -> int:
    """Connect the ranks, have all of them do `work`, and return the exit code of this process.

    An error that all ranks raise alike is raised from here on rank 0 alone, when the others have
    cleared up; one that a rank meets alone ends the job at once.

    :param stop: what hears signals, installed; None: they end the job with code 4 wherever it is,
        files removed.
    """
    connected: list[Comm] = []
    heard = _leaving(connected) if stop is None else stop
    comm: Comm | None = None
    try:
        comm = connect(_start_seconds)
        connected.append(comm)
        set_rank(comm.rank, comm.host)
        if comm.rank == comm.root:
            _say_remarks()
        with AbortOnError(comm):
            code = work(comm)
            heard.ignore()
    except RemetricsError as error:
        if comm is not None and error.shared and (code := comm.finalize(error.exit_code)) == 0:
            return code
        raise
    return comm.finalize(code)


def _leaving(connected: list[Comm]) -> StopRequest:
    """Return what ends a job on a signal wherever it is, with its temporary files removed.

    No exception is raised for that: in a callback of the HDF5 library it would become another one,
    and a rank that left an exchange halfway would be waited for by the others for ever.

    :param connected: the communicator, once there is one.
    """
    stop = StopRequest()

    def leave() -> NoReturn:
        clear_up()
        remove_temporaries()
        comm = connected[0] if connected else None
        is_root = comm.rank == comm.root if comm else launched_rank() in (None, 0)
        if comm and comm.size > 1:
            # What rank 0 says, and its end of the job, come first.
            time.sleep(LEAVE_SECONDS if is_root else ALONE_SECONDS)
        if is_root:
            os.write(2, f"stopped on {stop.reason}; start again\n".encode())
        if comm:
            comm.abort(STOPPED)
        os._exit(STOPPED)

    stop.at_once = leave
    stop.install()
    return stop
