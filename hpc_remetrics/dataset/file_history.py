"""The history of a dataset: the commands that made and changed it, in an attribute as CF has it.

Each line has the time of a command and its command line, the oldest one first:

    2026-05-01T08:30:00Z hpc-remetrics analyze oci:/data/images -o hub.h5
    2026-05-02T10:00:00Z hpc-remetrics reduce hub.h5
"""

from __future__ import annotations

import re
import sys
import time

from ..programs import command_line
from .schema import storable

_BYTES = 32_000
"""Bytes of a history at most: an attribute can hold 64 KB."""

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

_LINE = re.compile(
    rf"(?P<time>{_TIME}) .*?hpc[-_]remetrics"
    r"(?:\S* .*?(?P<command>\b(?:analyze|merge|reduce|export)\b))?",
    re.ASCII,
)
"""A line that this program wrote."""


def utc_time(seconds: float) -> str:
    """Return a Unix time in UTC, as ISO 8601 writes it.

    >>> utc_time(0)
    '1970-01-01T00:00:00Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def is_utc_time(text: str) -> bool:
    """Return whether a string is what `utc_time` returns."""
    return re.fullmatch(_TIME, text, re.ASCII) is not None


def with_this_command(history: str) -> str:
    """Return a history with a line for the command that runs now."""
    return extended(history, time.time(), command_line(sys.argv))


def extended(history: str, seconds: float, command: str) -> str:
    """Return a history with one line more; the oldest lines go if there are too many.

    >>> extended("1970-01-01T00:00:00Z hpc-remetrics analyze demo:", 60, "hpc-remetrics reduce a")
    '1970-01-01T00:00:00Z hpc-remetrics analyze demo:\\n1970-01-01T00:01:00Z hpc-remetrics reduce a'
    """
    line = " ".join(f"{utc_time(seconds)} {command}".split())
    new = storable(line).encode()[: _BYTES // 2]
    old = storable(history).encode()
    room = _BYTES - len(new) - 1
    if len(old) > room:
        old = old[-room:].partition(b"\n")[2]
    return b"\n".join(one for one in (old, new) if one).decode("utf-8", "ignore")


def united(histories: list[str]) -> str:
    """Return one history of several, each line once, sorted by time."""
    return "\n".join(sorted({line for history in histories for line in history.splitlines()}))


def anonymous(history: str) -> str:
    """Return a history with times and commands alone: no paths, and no lines of other programs.

    >>> anonymous("1970-01-01T00:00:00Z /home/me/bin/hpc-remetrics analyze oci:/data -o a.h5")
    '1970-01-01T00:00:00Z hpc-remetrics analyze'
    """
    found = [_LINE.match(line) for line in history.splitlines()]
    return "\n".join(
        f"{line['time']} hpc-remetrics {line['command'] or ''}".rstrip() for line in found if line
    )
