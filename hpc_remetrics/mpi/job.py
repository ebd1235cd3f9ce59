"""Run a command under MPI: connect the ranks, do the work, end with one code and one message."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

from ..errors import RemetricsError
from ..files.publish import remove_temporaries
from ..limits import START_SECONDS
from ..log import set_rank
from .collective import AbortOnError
from .comm import Comm
from .launch import connect, launched_rank, started_comm
from .signals import ALONE_SECONDS, LEAVE_SECONDS, STOPPED, StopRequest, clear_up

_remarks: list[str] = []
_start_seconds = START_SECONDS


def wait_for_ranks(seconds: float) -> None:
    """Set how many seconds MPI may take to start, before the job begins."""
    global _start_seconds
    _start_seconds = seconds


def remark(lines: Iterable[str]) -> None:
    """Have rank 0 print these lines to standard error when the ranks are connected.

    Not earlier, since a user who sees output may send a signal, and other ranks may not handle
    signals yet.
    """
    _remarks.extend(lines)


def _print_remarks() -> None:
    while _remarks:
        print(_remarks.pop(0), file=sys.stderr, flush=True)


def run_job(work: Callable[[Comm], int], stop: StopRequest | None = None) -> int:
    """Connect the ranks, call `work` on all of them, and return the exit code of this process.

    An error that all ranks raise alike is raised here on rank 0 alone, when the others have cleared
    up; one that a single rank meets ends the job at once.

    :param work: takes the communicator, and returns the exit code of the job.
    :param stop: an installed handler of signals; None: a signal ends the job with code 4 at once,
        wherever it is, and temporary files are removed.
    """
    connected: list[Comm] = []
    if stop is None:
        stop = _end_job_on_signal(connected)
    comm: Comm | None = None
    try:
        comm = connect(_start_seconds)
        connected.append(comm)
        set_rank(comm.rank, comm.host)
        if comm.rank == comm.root:
            _print_remarks()
        with AbortOnError(comm):
            code = work(comm)
            stop.ignore()
    except RemetricsError as error:
        # Of an error that all ranks raise, only rank 0 has a code to return and a message to print.
        if comm is not None and error.shared and (code := comm.finalize(error.exit_code)) == 0:
            return code
        raise
    return comm.finalize(code)


def _end_job_on_signal(connected: list[Comm]) -> StopRequest:
    """Install a handler that ends the job on a signal, wherever it is, and removes its files.

    It raises no exception: in a callback of the HDF5 library that would become another one, and a
    rank that left an exchange halfway would be waited for by the others for ever.

    :param connected: holds the communicator, once `connect` has returned.
    """
    stop = StopRequest()

    def end() -> NoReturn:
        clear_up()
        remove_temporaries()
        comm = connected[0] if connected else started_comm()
        is_root = comm.rank == comm.root if comm else launched_rank() in (None, 0)
        # Rank 0 waits until the others have cleared up, then prints its line and ends the job.
        if comm and comm.size > 1:
            time.sleep(LEAVE_SECONDS if is_root else ALONE_SECONDS)
        if is_root:
            os.write(2, f"stopped on {stop.reason}; run the command again to go on\n".encode())
        if comm:
            comm.abort(STOPPED)
        os._exit(STOPPED)

    stop.at_once = end
    stop.install()
    return stop
