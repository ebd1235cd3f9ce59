r"""Recognize and describe plain text as libmagic does (encoding.c, ascmagic.c).

A text is described by what a rule printed, its encoding, and what is odd about its lines::

    read_text(b"#!/bin/sh\n...")      Text(encoding="ASCII", ...)
    a rule prints                      POSIX shell script text executable
    describe_text(...)                 POSIX shell script, ASCII text executable

    read_text("Größe\r\n".encode())   Text(encoding="Unicode text, UTF-8", ...)
    no rule prints                     (nothing)
    describe_text(...)                 Unicode text, UTF-8 text, with CRLF line terminators

Only what is common is followed: of the rest :func:`read_text` says :data:`UNKNOWN`, and libmagic is
asked.
"""

from __future__ import annotations

import re
from typing import AnyStr, NamedTuple

_MAX_TEXT_BYTES = 64 << 10
"""Bytes of a file that libmagic looks at to see whether it is text, and in what encoding
(FILE_ENCODING_MAX)."""

_MIN_TEXT_BYTES = 2
"""Of one byte libmagic says other things."""

_LONG_LINE = 300
"""Characters of a line above which it is "very long" (MAXLINELEN)."""

# Bytes by what libmagic makes of them (text_chars).
_PRINTABLE = bytes(range(0x20, 0x7F))
_QUIET = b"\a\t\n\v\f" + _PRINTABLE
"""Characters of ASCII that leave no mark in a description."""
_LOUD = b"\b\r\x1b"
"""Characters of ASCII that leave one: overstriking, ends of lines, escapes."""
_HIGH = bytes(range(0x80, 0x100))
_LATIN = bytes(range(0xA0, 0x100))
_NEL = b"\x85"

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF7_MARK = b"+/v"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")  # of UTF-16 and UTF-32


class Text(NamedTuple):
    """What libmagic makes of a file that it takes for text.

    :ivar encoding: in its words.
    :ivar utf8: the text in UTF-8, as its rules for text see it.
    :ivar characters: the text; None for ASCII without other ends of lines than line feeds, and
        without escapes.
    :ivar is_whole: `utf8` is the file, byte for byte.
    :ivar looks: libmagic takes the file for text before it cuts zeros from its end.
    """

    encoding: str
    utf8: bytes
    characters: str | None
    is_whole: bool
    looks: bool


NOT_TEXT = "not text"
UNKNOWN = "unknown"


def read_text(head: bytes) -> Text | str:
    """Return what libmagic makes of a file: a text, :data:`NOT_TEXT`, or :data:`UNKNOWN`.

    :param head: two of the file's first bytes or more.
    """
    seen = _without_zeros(head)
    if len(seen) < _MIN_TEXT_BYTES:
        return UNKNOWN
    looks = len(seen) == min(len(head), _MAX_TEXT_BYTES)
    is_whole = len(seen) == len(head)
    if b"\0" in seen:
        # A zero is in no text but of wider characters, which have a mark; in EBCDIC it is a zero
        # too.
        return UNKNOWN if head.startswith(_WIDE_MARKS) else NOT_TEXT
    odd = seen.translate(None, _QUIET)
    if not odd:
        if seen.startswith(_UTF7_MARK):
            return UNKNOWN
        return Text("ASCII", seen, None, is_whole, looks)
    if odd.translate(None, _LOUD + _HIGH):
        # Control characters are in no text but EBCDIC, which has neither these for a blank nor for
        # a line feed.
        return NOT_TEXT if b" " in seen or b"\n" in seen else UNKNOWN
    if not odd.translate(None, _LOUD):
        if seen.startswith(_UTF7_MARK):
            return UNKNOWN
        return Text("ASCII", seen, seen.decode("ascii"), is_whole, looks)
    if not odd.translate(None, _LOUD + _NEL) or seen.startswith(_WIDE_MARKS):
        return UNKNOWN
    return _read_beyond_ascii(seen, odd, is_whole, looks)


def _without_zeros(head: bytes) -> bytes:
    """Return what libmagic looks at to find whether a file is text: no zeros at the end."""
    if head[-1:] != b"\0":
        return head if len(head) <= _MAX_TEXT_BYTES else head[:_MAX_TEXT_BYTES]
    size = max(len(head.rstrip(b"\0")), 1)
    # Two bytes a character may end in a zero.
    size += size & 1 and not len(head) & 1
    return head[: min(size, _MAX_TEXT_BYTES)]


def _read_beyond_ascii(seen: bytes, odd: bytes, is_whole: bool, looks: bool) -> Text | str:
    """Return the text of bytes that are not all ASCII and have no odd control characters.

    :param odd: the bytes that are not quiet ASCII.
    """
    try:
        characters = seen.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the end cuts is left out, but one must be whole.
        is_cut = error.reason == "unexpected end of data"
        characters = seen[: error.start].decode("utf-8") if is_cut else ""
    if characters.isascii():
        is_latin = not odd.translate(None, _LOUD + _LATIN + _NEL)
        characters = seen.decode("latin-1")
        encoding = "ISO-8859" if is_latin else "Non-ISO extended-ASCII"
        return Text(encoding, characters.encode(), characters, False, looks)
    if seen.startswith(_UTF8_MARK):
        characters = characters[1:]
        utf8 = characters.encode()
        if len(utf8) < _MIN_TEXT_BYTES:
            return UNKNOWN
        return Text("Unicode text, UTF-8 (with BOM)", utf8, characters, False, looks)
    utf8 = characters.encode()
    is_whole = is_whole and len(utf8) == len(seen)
    return Text("Unicode text, UTF-8", utf8, characters, is_whole, looks)


LONG_LINE = f"[^\\n]{{{_LONG_LINE + 1}}}"
"""An expression that matches in the UTF-8 of a text that has a long line, and may match in
others."""


def describe_text(text: Text, printed: str, may_be_long: bool) -> str:
    """Return libmagic's description of a text.

    :param printed: what its rules print of it.
    :param may_be_long: :data:`LONG_LINE` matches.
    """
    kind = _kind(text.encoding, printed)
    if text.characters is None:
        longest = _longest_line(text.utf8, b"\n") if may_be_long else 0
        return kind + _long_line(longest) + ("" if b"\n" in text.utf8 else _NO_ENDS)
    characters = text.characters
    longest = 0
    if may_be_long:
        longest = _longest_line(characters.replace("\r", "\n").replace("\x85", "\n"), "\n")
    escapes = ", with escape sequences" if "\x1b" in characters else ""
    strikes = ", with overstriking" if "\b" in characters else ""
    return f"{kind}{_long_line(longest)}{_line_ends(characters)}{escapes}{strikes}"


def is_left_to_rules(head: bytes, max_head: int) -> bool:
    """Tell whether libmagic's rules for text have the say: nothing else knows the file.

    :param max_head: bytes of a file that libmagic looks at; a file of as many may go on.
    """
    return len(head) < max_head and not _may_be_known_otherwise(head)


_NO_ENDS = ", with no line terminators"


def _kind(encoding: str, printed: str) -> str:
    """Put the encoding behind what the rules print, or in place of its last words."""
    if not printed:
        return f"{encoding} text"
    for last, behind in ((" text", ""), (" text executable", " executable")):
        if printed.endswith(last):
            return f"{printed.removesuffix(last)}, {encoding} text{behind}"
    return f"{printed}, {encoding} text"


def _long_line(longest: int) -> str:
    return f", with very long lines ({longest})" if longest > _LONG_LINE else ""


def _longest_line(text: AnyStr, end: AnyStr) -> int:
    """Return the length of the longest line, or 0 if none is long.

    It goes from end to end of lines, in steps that are as long as may be.
    """
    at = 0
    while len(text) - at > _LONG_LINE:
        last_end = text.rfind(end, at, at + _LONG_LINE + 1)
        if last_end < 0:
            return max(map(len, text.split(end)))
        at = last_end + 1
    return 0


def _line_ends(characters: str) -> str:
    """Name the ends of lines; nothing for line feeds alone."""
    if "\r" not in characters and "\x85" not in characters:
        return "" if "\n" in characters else _NO_ENDS
    both = characters.count("\r\n")
    counts = {
        "CRLF": both,
        "CR": characters.count("\r") - both,
        "LF": characters.count("\n") - both,
        "NEL": characters.count("\x85"),
    }
    names = [name for name, count in counts.items() if count]
    return f", with {', '.join(names)} line terminators"


def _may_be_known_otherwise(head: bytes) -> bool:
    """Tell whether a file may be a tar, JSON, CSV or compound document.

    libmagic knows these without rules.
    """
    if head[:1] == b"\xd0" or head.lstrip(b" \t\n\r")[:1] in (b"[", b"{"):
        return True
    # The checksum of a tar is an octal number there.
    if len(head) >= 512 and (field := head[148:156].lstrip()) and field[:1] in b"01234567":
        return True
    return _is_csv(head)


_CSV_MARK = re.compile(b'[",\n]')


def _is_csv(data: bytes) -> bool:
    """Tell whether the first ten lines have as many commas each, one or more (is_csv.c).

    Commas in quotes don't count.
    """
    commas = 0
    wanted = 0
    lines = 0
    at = 0
    while (match := _CSV_MARK.search(data, at)) is not None:
        at = match.end()
        mark = match.group()
        if mark == b",":
            commas += 1
        elif mark == b'"':
            at = _behind_quote(data, at)
        else:
            lines += 1
            if lines == 10:
                return bool(wanted) and wanted == commas
            if commas != (wanted or commas or -1):
                return False
            wanted = commas
            commas = 0
    return bool(wanted) and lines > 2


def _behind_quote(data: bytes, at: int) -> int:
    """Return the place behind a quotation; a quote that is doubled ends one and begins the next."""
    end = data.find(b'"', at)
    return len(data) if end < 0 else end + 1
