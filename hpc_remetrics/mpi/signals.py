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
"""Seconds after which another rank ends the job, because rank 0 has not."""

_cleanups: list[Callable[[], object]] = []


@contextlib.contextmanager
def cleared_on_leaving(clear: Callable[[], object]) -> Iterator[None]:
    """Have `clear` called if a signal ends this process within the block.

    Such an end runs no `finally` and leaves no context.
    """
    _cleanups.append(clear)
    try:
        yield
    finally:
        _cleanups.remove(clear)


def clear_up() -> None:
    """Call what was given to `cleared_on_leaving`, the last first; the next run sweeps the rest."""
    for clear in reversed(_cleanups):
        with contextlib.suppress(Exception):
            clear()


def end_on_signal(speaks: bool) -> None:
    """End this process with code 4 on a signal, until a `StopRequest` takes over.

    :param speaks: whether this process prints a line about that, as one process of a job does.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if speaks:
            name = signal.Signals(number).name
            sys.stderr.write(f"stopped on {name} before the work began; run the command again\n")
            sys.stderr.flush()
        os._exit(STOPPED)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, end)


class StopRequest:
    """Remembers that a signal asked this process to stop; a second Ctrl-C ends it at once.

    It is true once a signal came.

    :ivar reason: name of the signal that came last, "" if none came.
    :ivar at_once: called from the signal's handler and does not return, for work that does not look
        at this request (resolving manifests, gathering). None: the work looks at it soon.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.at_once: Callable[[], NoReturn] | None = None

    def install(self) -> None:
        """Handle the signals from now on; only the main thread may call this."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Ignore signals from now on, when only the exit is left: one would change its code."""
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
