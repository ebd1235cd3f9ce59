"""Signals that ask for an orderly stop: SLURM's warning, a preemption, a Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


STOPPED = 4
"""The exit code of a job that was stopped."""


LEAVE_SECONDS = 0.5
"""Seconds that rank 0 gives the others to clear their scratch before it ends the job."""

ALONE_SECONDS = 5.0
"""Seconds after which another rank ends it, because rank 0 has not."""

_to_clear: list[Callable[[], object]] = []


@contextlib.contextmanager
def cleared_on_leaving(clear: Callable[[], object]) -> Iterator[None]:
    """Have `clear` called if a signal ends this process within the block, whose own ends are then
    not reached."""
    _to_clear.append(clear)
    try:
        yield
    finally:
        _to_clear.remove(clear)


def clear_up() -> None:
    """Call what was given to `cleared_on_leaving`, the last first; what fails is left to the sweep
    of the next run."""
    for clear in reversed(_to_clear):
        with contextlib.suppress(Exception):
            clear()


def end_on_signal(speaks: bool) -> None:
    """End this process with code 4 on a signal, until a `StopRequest` takes over: nothing has begun
    yet.

    :param speaks: whether this process says so, as one of a job does.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if speaks:
            sys.stderr.write(
                f"stopped on {signal.Signals(number).name} before the work began; start again\n"
            )
            sys.stderr.flush()
        os._exit(STOPPED)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, end)


class StopRequest:
    """Remembers that a signal asked this process to stop; a second Ctrl-C ends it at once.

    :ivar at_once: where nothing looks at this request (manifests are read, the dataset is
    gathered): called from the signal's handler, and does not return. None: whoever works looks here
    soon.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.at_once: Callable[[], NoReturn] | None = None

    def install(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Be deaf from now on: all is done but the exit, whose code a late signal would spoil."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.reason:
            raise KeyboardInterrupt
        self.reason = signal.Signals(number).name
        if self.at_once:
            self.at_once()

    def __bool__(self) -> bool:
        return bool(self.reason)
