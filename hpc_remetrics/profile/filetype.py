"""The type of a content: what libmagic says of its first bytes, reduced to its stable head.

The answers are those of `file --brief` with no options, through `magic_buffer`, reduced by
:func:`head_of` (docs/filetype.md). This module runs in the child process that parses layers, so that
a fault of libmagic costs a layer and not the rank; it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from struct import Struct
from types import ModuleType

from ..errors import MissingComponentError, UsageError
from .heads import RULE, head_of
from .typetable import EMPTY, TIMED_OUT, UNREADABLE, UNTYPED, TypeTable

__all__ = [
    "HEAD_BYTES",
    "MODES",
    "WATCH_BYTES",
    "Typer",
    "head_of",
    "libmagic_version",
    "read_watch",
    "signature",
    "warm",
]

MODES = ("plain", "none")
"""Ways to type: ask libmagic, or call everything "untyped"."""

HEAD_BYTES = 7 << 20
"""Bytes of a content's beginning that a `Typer` wants to see: what `file` 5.44 reads."""

# The watch: a sequence number, which is 0 when libmagic isn't running, and the digest that it works on.
_SEQUENCE = Struct("=Q")
_DIGEST_AT = _SEQUENCE.size
WATCH_BYTES = _DIGEST_AT + 32
"""Bytes of the buffer, shared between a child and its parent, that shows what libmagic works on."""


class Typer:
    """Give contents their type numbers: from the node's table, else from libmagic.

    :param mode: a member of :data:`MODES`.
    :param table: the node's table, of this :func:`signature`.
    :param watch: :data:`WATCH_BYTES` writable bytes shared with the parent, or None where nobody watches.
    :raises UsageError: there is no such mode.
    """

    def __init__(self, mode: str, table: TypeTable, watch: memoryview | None = None) -> None:
        if mode not in MODES:
            raise UsageError(f"no way to type files is called {mode!r}", f"choose from {', '.join(MODES)}")
        self._mode = mode
        self._table = table
        self._watch = memoryview(bytearray(WATCH_BYTES)) if watch is None else watch.cast("B")
        self._sequence = 0
        self._libmagic: _Libmagic | None = None
        self._numbers: dict[str, int] = {}  # libmagic's own words -> number, to reduce each only once

    def type_of(self, digest: bytes, head: bytes | memoryview, size: int) -> int:
        """Return the number, in the table, of the type of a content.

        :param digest: SHA-256 of the whole content, 32 raw bytes.
        :param head: its first :data:`HEAD_BYTES` bytes, or all of it.
        :param size: bytes of the whole content.
        :raises MissingComponentError: libmagic is not installed (at the first question).
        """
        if self._mode == "none":
            return UNTYPED
        if not size:
            return EMPTY
        number = self._table.get(digest)
        if number < 0:
            number = self._ask(digest, head)
            self._table.put(digest, number)
        return number

    def _ask(self, digest: bytes, head: bytes | memoryview) -> int:
        if self._libmagic is None:
            self._libmagic = _Libmagic()
        # The digest stands before the number that vouches for it; the parent reads in the other order.
        self._sequence += 1
        self._watch[_DIGEST_AT:WATCH_BYTES] = digest
        _SEQUENCE.pack_into(self._watch, 0, self._sequence)
        description = self._libmagic.describe(head)
        _SEQUENCE.pack_into(self._watch, 0, 0)
        return self._number(description)

    def _number(self, description: str | None) -> int:
        if description is None:
            return UNREADABLE
        number = self._numbers.get(description)
        if number is None:
            number = self._table.number(head_of(description))
            if len(self._numbers) > 10_000:  # most descriptions of images and archives come once
                self._numbers.clear()
            self._numbers[description] = number
        return number


class _Libmagic:
    """One open magic data base, with the parameters and the flags of `file` without options."""

    def __init__(self) -> None:
        # Not magic.Magic: it raises the limit of named rules above that of `file`.
        self._magic = _magic()
        try:
            self._cookie = self._magic.magic_open(self._magic.MAGIC_NONE)
            self._magic.magic_load(self._cookie, None)
        except self._magic.MagicException as error:
            raise MissingComponentError(f"libmagic can't load its data base: {error.message!r}", _INSTALL) from None
        try:
            self._most = self._magic.magic_getparam(self._cookie, self._magic.MAGIC_PARAM_BYTES_MAX)
        except (NotImplementedError, self._magic.MagicException):
            self._most = 1 << 20

    def describe(self, head: bytes | memoryview) -> str | None:
        """Return libmagic's words for a content that begins with `head`, or None if it gives an error."""
        # The binding wants bytes; a slice of bytes that cuts nothing is no copy.
        data = head[: self._most] if isinstance(head, bytes) else bytes(head[: self._most])
        try:
            answer = self._magic.magic_buffer(self._cookie, data)
        except self._magic.MagicException:
            return None
        return str(answer.decode("utf-8", "backslashreplace"))


_INSTALL = "install libmagic (Debian: libmagic1, Fedora: file-libs, Alpine: libmagic) or `pip install pylibmagic`"


def _magic() -> ModuleType:
    """Import the binding when the first file is typed: a run without types needs no libmagic."""
    try:
        magic = _import_magic()
    except (ImportError, OSError) as error:
        raise MissingComponentError(f"libmagic can't be used: {error}", f"{_INSTALL}, or choose --types none") from None
    if not hasattr(magic, "magic_buffer"):
        raise MissingComponentError(
            "the module `magic` is not python-magic", "`pip uninstall file-magic`, `pip install python-magic`"
        )
    return magic


def _import_magic() -> ModuleType:
    """Import the binding with the system's libmagic, or with the one of pylibmagic, which must come first."""
    try:
        return import_module("magic")
    except ImportError as error:
        try:
            import_module("pylibmagic")
        except ImportError:
            raise error from None
        return import_module("magic")


def libmagic_version() -> int:
    """Return the version of libmagic, 544 for 5.44.

    :raises MissingComponentError: libmagic is not installed.
    """
    try:
        return int(_magic().version())
    except NotImplementedError:
        return 0  # before 5.13


def signature(mode: str = "plain") -> str:
    """Return what a table's types depend on, as a name: `magic-544-plain-1`.

    The last number is the version of the rule of :func:`head_of`.

    :raises MissingComponentError: libmagic is needed and not installed.
    """
    return "magic-none" if mode == "none" else f"magic-{libmagic_version()}-{mode}-{RULE}"


def read_watch(buffer: bytes | bytearray | memoryview) -> tuple[int, bytes] | None:
    """Return the sequence number and digest of what libmagic works on, None if it is not running; for the parent.

    A digest that is just being written can be seen in parts, but not twice under the same number: act
    on a pair only when it stayed the same from one look to the next.
    """
    (before,) = _SEQUENCE.unpack_from(buffer, 0)
    digest = bytes(buffer[_DIGEST_AT:WATCH_BYTES])
    (after,) = _SEQUENCE.unpack_from(buffer, 0)
    return (before, digest) if before == after and before else None


def warm(table: TypeTable, digests: Iterable[bytes], descriptions: Iterable[str]) -> None:
    """Fill a table with contents whose types are known, from a dataset of the same :func:`signature`.

    :param digests: raw SHA-256 digests.
    :param descriptions: their heads, in the same order. Types that libmagic did not give ("untyped",
        "timed out" …) are passed over, so that they are tried again.
    """
    passed = {UNTYPED, EMPTY, TIMED_OUT, UNREADABLE}
    for digest, description in zip(digests, descriptions, strict=True):
        number = table.number(description)
        if number not in passed:
            table.put(digest, number)
