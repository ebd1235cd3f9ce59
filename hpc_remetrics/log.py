"""What the program tells a person while it runs: lines that name rank and host, and can't drive a
terminal."""

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
    """Send log lines to stderr, from warnings on (`verbose` 1: all that is done, 2: more; `quiet`:
    errors)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter)
    root = logging.getLogger("hpc_remetrics")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.ERROR if quiet else _LEVELS[min(verbose, len(_LEVELS) - 1)])


def set_rank(rank: int, host: str) -> None:
    """Name this process in its log lines."""
    _formatter.prefix = f"[rank {rank} {host}]"


def escape(text: str) -> str:
    """Return a text whose control characters are visible and harmless.

    >>> print(escape("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
