"""Signals that ask for an orderly stop: SLURM's warning, a preemption, a Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Remembers that a signal asked this process to stop; a second Ctrl-C ends it at once.

    :ivar at_once: where nothing looks at this request (manifests are read, the dataset is gathered): called from the
        signal's handler, and does not return. None: whoever works looks here soon.
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
