"""The type of a content: libmagic's description of it, reduced to its stable head.

The descriptions are those of `file --brief` with no options, reduced by :func:`~.heads.head_of`
(docs/filetype.md). For one content::

    digest ── in the table of the node? ──yes──> type number
                      │ no
                      └─> Libmagic.describe(content) ──> head_of(...) ──> number of that head

This module runs in the child process that parses layers, so that a fault of libmagic costs a layer
and not the rank; it imports nothing heavy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from ..errors import UsageError
from .heads import RULE, head_of
from .libmagic import ContentBytes, ContentEnds, Libmagic
from .shared_table import EMPTY, TIMED_OUT, UNREADABLE, UNTYPED, TypeTable
from .watch import DIGEST_AT, SEQUENCE, WATCH_BYTES

MODES = ("exact", "plain")
"""Ways to type: ask libmagic with the rules that can match, or with all its rules. They agree."""

MAX_WAITING = 128
"""Contents that wait to be typed at most."""

MAX_WAITING_BYTES = 1 << 20
"""Bytes of contents that wait to be typed at most."""

_MAX_CACHED_DESCRIPTIONS = 10_000

_log = logging.getLogger(__name__)


class Typer:
    """Gives contents their type numbers: from the node's table, else from libmagic.

    :param mode: a member of :data:`MODES`.
    :param table: the node's table, of this :func:`signature`.
    :param watch: :data:`~.watch.WATCH_BYTES` writable bytes shared with the parent, or None
        where nobody watches.
    :raises UsageError: there is no such mode.
    """

    def __init__(self, mode: str, table: TypeTable, watch: memoryview | None = None) -> None:
        if mode not in MODES:
            raise UsageError(
                f"unknown way to type files {mode!r}", f"choose from {', '.join(MODES)}"
            )
        self._mode = mode
        self._table = table
        self._watch = memoryview(bytearray(WATCH_BYTES)) if watch is None else watch.cast("B")
        self._running = self._watch[: SEQUENCE.size].cast("Q")
        self._sequence = 0
        self._libmagic: _SafeLibmagic | None = None
        self._waiting: dict[bytes, list[Any]] = {}  # digest -> bytes, then contents that have them
        self._waiting_bytes = 0
        self._numbers: dict[bytes, int] = {}  # description -> number, to reduce each only once

    def type_of(self, digest: bytes, data: ContentBytes, size: int) -> int:
        """Return the number, in the table, of the type of a content.

        :param digest: SHA-256 of the whole content, 32 raw bytes.
        :param data: all of its bytes, or its ends.
        :param size: bytes of the whole content.
        :raises MissingComponentError: libmagic is not installed (when it is asked first).
        """
        number = self._known_number(digest, size)
        return number if number >= 0 else self._learn(digest, data)

    def type_later(self, content: list[Any], data: ContentBytes) -> None:
        """Put the type's number into a content, now or when :meth:`settle` is called.

        Contents are described many at a time: the rules stay in the processor's caches meanwhile.

        :param content: size, place for the number, digest.
        :param data: as for :meth:`type_of`.
        """
        size, _, digest = content
        number = self._known_number(digest, size)
        if number >= 0:
            content[1] = number
        elif digest in self._waiting:
            self._waiting[digest].append(content)
        else:
            self._waiting[digest] = [data, content]
            self._waiting_bytes += MAX_WAITING_BYTES if isinstance(data, ContentEnds) else len(data)
            if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
                self.settle()

    def settle(self) -> None:
        """Type the contents that wait for it."""
        waiting = self._waiting
        self._waiting = {}
        self._waiting_bytes = 0
        for digest, (data, *contents) in waiting.items():
            number = self._learn(digest, data)
            for content in contents:
                content[1] = number

    def _known_number(self, digest: bytes, size: int) -> int:
        """Return the number of a type that is known without libmagic, -1 if it isn't."""
        return self._table.get(digest) if size else EMPTY

    def _learn(self, digest: bytes, data: ContentBytes) -> int:
        """Ask libmagic for the type of a content, and put its number into the table."""
        number = self._number_of(self._describe(digest, data))
        self._table.put(digest, number)
        return number

    def _describe(self, digest: bytes, data: ContentBytes) -> bytes | None:
        """Return libmagic's description, and show in the watch what it works on meanwhile."""
        if self._libmagic is None:
            self._libmagic = _SafeLibmagic(self._mode, self._table)
        # The digest is written before the number that vouches for it; the parent reads in the other
        # order.
        self._sequence += 1
        self._watch[DIGEST_AT:WATCH_BYTES] = digest
        self._running[0] = self._sequence
        description = self._libmagic.describe(data)
        self._running[0] = 0
        return description

    def _number_of(self, description: bytes | None) -> int:
        """Return the number of the head of a description."""
        if description is None:
            return UNREADABLE
        number = self._numbers.get(description)
        if number is None:
            number = self._table.number(head_of(description.decode("utf-8", "backslashreplace")))
            if len(self._numbers) > _MAX_CACHED_DESCRIPTIONS:
                self._numbers.clear()  # most descriptions of images and archives come once
            self._numbers[description] = number
        return number


class _SafeLibmagic:
    """libmagic, and warnings, said once a node, where it takes longer than it need.

    A fault of the screens of this program costs time, and neither the layer nor the type.
    """

    def __init__(self, mode: str, table: TypeTable) -> None:
        self._table = table
        self._libmagic = Libmagic(exact=mode == "exact")
        unsupported = self._libmagic.unsupported
        if unsupported and table.is_first("plain"):
            _log.warning("typing files takes longer, with all rules of libmagic: %s", unsupported)

    def describe(self, data: ContentBytes) -> bytes | None:
        """Return libmagic's description of a content, None if it gives an error."""
        try:
            return self._libmagic.describe(data)
        except MemoryError:
            raise
        except Exception as error:
            if self._table.is_first("fault"):
                _log.warning(
                    "a file was typed with all rules of libmagic after a fault, please report it: "
                    "%s: %s",
                    type(error).__name__,
                    error,
                )
            return self._libmagic.describe_plainly(data)


def libmagic_version() -> int:
    """Return the version of the installed libmagic, 544 for 5.44.

    :raises MissingComponentError: libmagic is not installed.
    """
    return Libmagic.version()


def speed() -> tuple[str, str]:
    """Return how fast `--types exact` is here, and what would make it faster, "" if nothing would.

    :raises MissingComponentError: libmagic is not installed.
    """
    libmagic = Libmagic()
    if not libmagic.unsupported:
        return "types take the least time", ""
    words = f"types are right and take 4 to 15 times longer: {libmagic.unsupported}"
    return words, libmagic.remedy


def signature(mode: str = "exact") -> str:
    """Return what a table's types depend on, as a name: `magic-544-file-1`.

    The version of libmagic, that it was asked as of whole files, and the version of the rule of
    :func:`~.heads.head_of`. It is the same for "exact" and "plain": their types are, so one may
    go on where the other stopped. Until 0.1 only first bytes were shown to libmagic:
    `magic-544-plain-1`.

    :raises MissingComponentError: libmagic is needed and not installed.
    """
    return "magic-none" if mode == "none" else f"magic-{libmagic_version()}-file-{RULE}"


def warm(table: TypeTable, digests: Iterable[bytes], descriptions: Iterable[str]) -> None:
    """Fill a table with contents whose types are known, from a dataset of the same signature.

    :param digests: raw SHA-256 digests.
    :param descriptions: their heads, in the same order. Types that libmagic did not give
        ("untyped", "timed out" …) are left out, so that they are tried again.
    """
    left_out = {UNTYPED, EMPTY, TIMED_OUT, UNREADABLE}
    for digest, description in zip(digests, descriptions, strict=True):
        number = table.number(description)
        if number not in left_out:
            table.put(digest, number)
