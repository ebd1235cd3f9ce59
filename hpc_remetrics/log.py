"""Log lines on standard error: they name rank and host, and can't control a terminal."""

from __future__ import annotations

import logging
import socket
import sys

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class _Formatter(logging.Formatter):
    """Prefixes rank and host, and shows control characters instead of sending them."""

    prefix = f"[{socket.gethostname()}]"

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{self.prefix} {record.levelname}: " + "\n".join(map(escape, text.split("\n")))


_formatter = _Formatter("%(message)s")


def set_up(verbose: int = 0, quiet: bool = False) -> None:
    """Send log lines to standard error.

    :param verbose: 0: warnings and errors; 1: what is done, too; 2: debug messages, too.
    :param quiet: errors only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter)
    root = logging.getLogger("hpc_remetrics")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.ERROR if quiet else _LEVELS[min(verbose, len(_LEVELS) - 1)])


def set_rank(rank: int, host: str) -> None:
    """Put rank and host before this process's log lines from now on."""
    _formatter.prefix = f"[rank {rank} {host}]"


def escape(text: str) -> str:
    """Return a string with its control characters escaped, so that they are visible and harmless.

    >>> print(escape("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
