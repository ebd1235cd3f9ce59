"""Progress line of a run: rewritten in place on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from .wording import counted

_ON_TERMINAL, _ELSEWHERE = 0.2, 60.0
"""Seconds between two lines."""


class StatusLine:
    """A line that is shown again and again; `update` may be called at any rate.

    :param text: returns the line.
    :param stream: where it is written; None: standard error.
    :param clock: returns the time in seconds.
    :param quiet: show nothing.
    """

    def __init__(
        self,
        text: Callable[[], str],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        self._text = text
        self._stream = stream or sys.stderr
        self._clock = clock
        self._quiet = quiet
        self._is_terminal = self._stream.isatty()
        self._next = clock() + (0 if self._is_terminal else _ELSEWHERE)

    def update(self) -> None:
        """Show the line if it is time."""
        if not self._quiet and (now := self._clock()) >= self._next:
            self._next = now + (_ON_TERMINAL if self._is_terminal else _ELSEWHERE)
            self._show("")

    def finish(self) -> None:
        """Show the line a last time, and end it."""
        if not self._quiet:
            self._show("\n")

    def _show(self, end: str) -> None:
        try:
            if self._is_terminal:
                width = self._width()
                self._stream.write("\r" + self._text()[:width].ljust(width) + end)
            else:
                self._stream.write(self._text() + "\n")
            self._stream.flush()
        except OSError:
            # The terminal is gone (a lost connection); the run goes on.
            self._quiet = True

    def _width(self) -> int:
        """Return the columns to fill: not the last one, at which some terminals wrap."""
        try:
            return (os.get_terminal_size(self._stream.fileno()).columns or 80) - 1
        except OSError:
            return 79


class Progress:
    """Shows layers, files, bytes, rate, time left and failures; `update` may be called at any rate.

    :param total_bytes: compressed bytes of all layers, from which the time left is estimated.

    Other parameters: as `StatusLine`.
    """

    def __init__(
        self,
        total_layers: int,
        total_bytes: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        self._total_layers = total_layers
        self._total_bytes = total_bytes
        self._clock = clock
        self._started = clock()
        self._totals = (0, 0, 0, 0)
        self._status = StatusLine(self.line, stream, clock, quiet)

    def update(self, layers: int, files: int, bytes_: int, failures: int) -> None:
        """Show the totals so far if it is time.

        :param bytes_: compressed bytes of the layers that are done.
        """
        self._totals = (layers, files, bytes_, failures)
        self._status.update()

    def finish(self) -> None:
        """Show the last line."""
        self._status.finish()

    def line(self) -> str:
        """Return the line for the totals so far."""
        layers, files, size, failures = self._totals
        seconds = max(self._clock() - self._started, 1e-9)
        parts = [
            f"{layers:,}/{counted(self._total_layers, 'layer')}",
            counted(files, "file"),
            f"{size / 1e9:.2f}/{self._total_bytes / 1e9:.2f} GB",
            f"{size / seconds / 1e9:.3f} GB/s",
        ]
        if 0 < size < self._total_bytes:
            parts.append(f"{clock_time((self._total_bytes - size) * seconds / size)} left")
        if failures:
            parts.append(f"{failures} failed")
        return ", ".join(parts)


def rough_time(seconds: float) -> str:
    """Return a duration in the unit that suits its size, for estimates.

    >>> rough_time(4), rough_time(720), rough_time(43200), rough_time(2160000)
    ('4 s', '12 min', '12.0 h', '25.0 d')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def clock_time(seconds: float) -> str:
    """Return a duration in minutes and seconds, hours, or days.

    >>> clock_time(59), clock_time(3725), clock_time(200000)
    ('0:59', '1:02:05', '2 d 7 h')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
