"""The type of a content: what libmagic says of a file that holds it, reduced to its stable head.

The answers are those of `file --brief` with no options, reduced by :func:`head_of`
(docs/filetype.md). This module runs in the child process that parses layers, so that
a fault of libmagic costs a layer and not the rank; it imports nothing heavy.
"""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .heads import RULE, head_of
from .held_content import HEAD_BYTES, Data, Held
from .libmagic.binding import Magic, libmagic_version
from .shared_table import EMPTY, TIMED_OUT, UNREADABLE, UNTYPED, TypeTable

if TYPE_CHECKING:
    from .libmagic.exact import Exact

__all__ = [
    "HEAD_BYTES",
    "MODES",
    "TOGETHER",
    "TOGETHER_BYTES",
    "WATCH_BYTES",
    "Typer",
    "head_of",
    "libmagic_version",
    "read_watch",
    "signature",
    "speed",
    "typed_differently",
    "warm",
]

MODES = ("exact", "plain", "none")
"""Ways to type: ask libmagic for less, ask it with all its rules, or call everything "untyped"; the
first two agree."""

TOGETHER, TOGETHER_BYTES = 128, 1 << 20
"""Contents, and bytes of them, that wait to be typed at most."""

_Ask = Callable[[Data], bytes | None]

_log = logging.getLogger(__name__)

# The watch: a sequence number, which is 0 when libmagic isn't running, and the digest that it works
# on.
_SEQUENCE = Struct("=Q")
_DIGEST_AT = _SEQUENCE.size
WATCH_BYTES = _DIGEST_AT + 32
"""Bytes of the buffer, shared between a child and its parent, that shows what libmagic works on."""


class Typer:
    """Give contents their type numbers: from the node's table, else from libmagic.

    :param mode: a member of :data:`MODES`.
    :param table: the node's table, of this :func:`signature`.
    :param watch: :data:`WATCH_BYTES` writable bytes shared with the parent, or None where nobody
        watches.
    :raises UsageError: there is no such mode.
    """

    def __init__(self, mode: str, table: TypeTable, watch: memoryview | None = None) -> None:
        if mode not in MODES:
            raise UsageError(
                f"no way to type files is called {mode!r}", f"choose from {', '.join(MODES)}"
            )
        self._mode = mode
        self._table = table
        self._watch = memoryview(bytearray(WATCH_BYTES)) if watch is None else watch.cast("B")
        self._running, self._sequence = self._watch[: _SEQUENCE.size].cast("Q"), 0
        self._libmagic: _Libmagic | None = None
        self._waiting: dict[bytes, list[Any]] = {}
        self._waiting_bytes = 0
        self._numbers: dict[
            bytes, int
        ] = {}  # libmagic's own words -> number, to reduce each only once

    def type_of(self, digest: bytes, data: Data, size: int) -> int:
        """Return the number, in the table, of the type of a content.

        :param digest: SHA-256 of the whole content, 32 raw bytes.
        :param data: all of its bytes, or what is held of it.
        :param size: bytes of the whole content.
        :raises MissingComponentError: libmagic is not installed (at the first question).
        """
        number = self._known(digest, size)
        return number if number >= 0 else self._learned(digest, data)

    def type_later(self, content: list[Any], data: Data) -> None:
        """Put the type's number into a content, now or when :meth:`settle` is called.

        Some contents are asked about together: the rules stay in the processor's caches meanwhile.

        :param content: size, place for the number, digest.
        :param data: as for :meth:`type_of`.
        """
        size, _, digest = content
        number = self._known(digest, size)
        if number >= 0:
            content[1] = number
        elif digest in self._waiting:
            self._waiting[digest].append(content)
        else:
            self._waiting[digest] = [data, content]
            self._waiting_bytes += TOGETHER_BYTES if isinstance(data, Held) else len(data)
            if len(self._waiting) >= TOGETHER or self._waiting_bytes >= TOGETHER_BYTES:
                self.settle()

    def settle(self) -> None:
        """Ask about the contents that wait for it."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        for digest, (data, *contents) in waiting.items():
            number = self._learned(digest, data)
            for content in contents:
                content[1] = number

    def _known(self, digest: bytes, size: int) -> int:
        """Return the number of a type that needs no question, -1 if it does."""
        if self._mode == "none":
            return UNTYPED
        return self._table.get(digest) if size else EMPTY

    def _learned(self, digest: bytes, data: Data) -> int:
        number = self._ask(digest, data)
        self._table.put(digest, number)
        return number

    def _ask(self, digest: bytes, data: Data) -> int:
        if self._libmagic is None:
            self._libmagic = _Libmagic(self._mode, self._table)
        # The digest stands before the number that vouches for it; the parent reads in the other
        # order.
        self._sequence += 1
        self._watch[_DIGEST_AT:WATCH_BYTES] = digest
        self._running[0] = self._sequence
        description = self._libmagic.describe(data)
        self._running[0] = 0
        return self._number(description)

    def _number(self, description: bytes | None) -> int:
        if description is None:
            return UNREADABLE
        number = self._numbers.get(description)
        if number is None:
            number = self._table.number(head_of(description.decode("utf-8", "backslashreplace")))
            if len(self._numbers) > 10_000:  # most descriptions of images and archives come once
                self._numbers.clear()
            self._numbers[description] = number
        return number


class _Libmagic:
    """libmagic, with the parameters and the flags of `file` without options.

    :ivar describe: returns its words for a content, or None if it gives an error.
    """

    def __init__(self, mode: str, table: TypeTable) -> None:
        plain = Magic()
        self.describe: _Ask = plain.ask
        if mode == "exact":
            try:
                exact = _exact(plain)
            except ValueError as error:
                if table.is_first("plain"):
                    _log.warning(
                        "types are asked of libmagic plainly, which takes longer: %s", error
                    )
                return
            if exact.unused and table.is_first("matcher"):
                _log.warning(
                    "texts take longer to type: Hyperscan %s misses matches and is not used",
                    exact.unused,
                )
            self.describe = partial(_sooner_plainly, exact.ask, plain.ask, table)


def _exact(plain: Magic) -> Exact:
    """Return what asks libmagic for less, and checked it.

    :raises ValueError: this libmagic isn't understood.
    """
    from .libmagic.exact import Exact

    # What is made here lives as long as the process: the collector need not walk over it.
    gc.disable()
    try:
        exact = Exact(plain)
        exact.check()
        gc.freeze()
    finally:
        gc.enable()
    return exact


_EXTRA = "pip install 'hpc-remetrics[types]'"


def speed() -> tuple[str, str]:
    """Return how fast `--types exact` is here, and what would make it faster, "" if nothing would.

    :raises MissingComponentError: libmagic is not installed.
    """
    try:
        exact = _exact(Magic())
    except ValueError as error:
        return (
            f"types are right and take 4 to 15 times longer than with the one that is understood: {error}",
            "",
        )
    if exact.unused:
        return (
            f"texts take longer to type: Hyperscan {exact.unused} misses matches and is not used",
            _EXTRA,
        )
    if not exact.seeks:
        return "texts take longer to type: there is no Hyperscan", _EXTRA
    return "types take the least time", ""


def _sooner_plainly(ask: _Ask, plain: _Ask, table: TypeTable, data: Data) -> bytes | None:
    """Ask; a fault of this program costs time, and neither the layer nor the type."""
    try:
        return ask(data)
    except MemoryError:
        raise
    except Exception as error:
        if table.is_first("fault"):
            _log.warning(
                "a type was asked of libmagic plainly, please report it: %s: %s",
                type(error).__name__,
                error,
            )
        return plain(data)


def signature(mode: str = "exact") -> str:
    """Return what a table's types depend on, as a name: `magic-544-file-1`.

    The version of libmagic, that it was asked as of whole files, and the version of the rule of
    :func:`head_of`. It is the same for "exact" and "plain": their answers are, so that one may go
    on where the other stopped. Until 0.1 only first bytes were shown to libmagic:
    `magic-544-plain-1`.

    :raises MissingComponentError: libmagic is needed and not installed.
    """
    return "magic-none" if mode == "none" else f"magic-{libmagic_version()}-file-{RULE}"


_SIGNATURE = re.compile(r"magic-(\d+)-(plain|file)-(\d+)$")


def _typed_by(signature: str) -> str:
    """Return in words what typed the files of a dataset."""
    match = _SIGNATURE.match(signature)
    if match is None:
        return "no libmagic" if signature == "magic-none" else signature or "an unknown libmagic"
    version = int(match[1])
    words = f"libmagic {version // 100}.{version % 100:02}"
    if match[2] == "plain":
        words += " that saw first bytes alone"
    return words if int(match[3]) == RULE else f"{words}, rule {match[3]}"


def typed_differently(signatures: Iterable[str]) -> str:
    """Return a sentence that warns where datasets, or the parts of one, were not typed alike; "" if
    all were.

    :param signatures: what `/run` of each says under `types`.
    """
    found = dict.fromkeys(one for signature in signatures for one in signature.split(" + "))
    if len(found) < 2:
        return ""
    return f"files were typed by {', '.join(map(_typed_by, found))}: types differ by that alone"


def read_watch(buffer: bytes | bytearray | memoryview) -> tuple[int, bytes] | None:
    """Return the sequence number and digest of what libmagic works on, None if it is not running;
    for the parent.

    A digest that is just being written can be seen in parts, but not twice under the same number:
    act on a pair only when it stayed the same from one look to the next.
    """
    (before,) = _SEQUENCE.unpack_from(buffer, 0)
    digest = bytes(buffer[_DIGEST_AT:WATCH_BYTES])
    (after,) = _SEQUENCE.unpack_from(buffer, 0)
    return (before, digest) if before == after and before else None


def warm(table: TypeTable, digests: Iterable[bytes], descriptions: Iterable[str]) -> None:
    """Fill a table with contents whose types are known, from a dataset of the same
    :func:`signature`.

    :param digests: raw SHA-256 digests.
    :param descriptions: their heads, in the same order. Types that libmagic did not give
        ("untyped", "timed out" …) are passed over, so that they are tried again.
    """
    passed = {UNTYPED, EMPTY, TIMED_OUT, UNREADABLE}
    for digest, description in zip(digests, descriptions, strict=True):
        number = table.number(description)
        if number not in passed:
            table.put(digest, number)
