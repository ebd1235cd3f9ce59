"""What libmagic takes for text, and its words for text that no rule knows (encoding.c, ascmagic.c).

Only what is common is followed; of the rest the answer is None, and libmagic is asked.
"""

from __future__ import annotations

import re
from typing import AnyStr, NamedTuple

MOST = 64 << 10
"""Bytes of a file that libmagic looks at to see whether it is text, and in what encoding
(FILE_ENCODING_MAX)."""

_LEAST = 2  # of one byte libmagic says other things
_LONG = 300  # MAXLINELEN

_PRINTABLE = bytes(range(0x20, 0x7F))
_QUIET = b"\a\t\n\v\f" + _PRINTABLE
"""Characters of text that leave no mark in libmagic's words (text_chars)."""
_LOUD = b"\b\r\x1b"
_HIGH = bytes(range(0x80, 0x100))
_LATIN = bytes(range(0xA0, 0x100))

_BOM = b"\xef\xbb\xbf"
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")  # of UTF-16 and UTF-32


class Text(NamedTuple):
    """What libmagic makes of a file that it takes for text.

    :ivar encoding: in its words.
    :ivar utf8: the text in UTF-8, as its rules for text see it.
    :ivar characters: the text; None for ASCII that has no other ends of lines than line feeds, and
    no escapes.
    :ivar whole: `utf8` is the file, byte for byte.
    :ivar looks: libmagic takes the file for text before it cuts zeros from its end.
    """

    encoding: str
    utf8: bytes
    characters: str | None
    whole: bool
    looks: bool


NOT_TEXT, UNKNOWN = "not text", "unknown"


def text_of(data: bytes) -> Text | str:
    """Return what libmagic makes of a file of two bytes or more: a text, :data:`NOT_TEXT`, or
    :data:`UNKNOWN`."""
    seen = _trimmed(data)
    if len(seen) < _LEAST:
        return UNKNOWN
    looks = len(seen) == min(len(data), MOST)
    whole = len(seen) == len(data)
    if b"\0" in seen:
        # A zero is in no text but of wider characters, which have a mark; in EBCDIC it is a zero
        # too.
        return UNKNOWN if data.startswith(_MARKS) else NOT_TEXT
    rest = seen.translate(None, _QUIET)
    if not rest:
        return UNKNOWN if seen.startswith(b"+/v") else Text("ASCII", seen, None, whole, looks)
    if rest.translate(None, _LOUD + _HIGH):
        # Control characters are in no text but EBCDIC, which has neither these for a blank nor for
        # a line feed.
        return NOT_TEXT if b" " in seen or b"\n" in seen else UNKNOWN
    if not rest.translate(None, _LOUD):
        return (
            UNKNOWN
            if seen.startswith(b"+/v")
            else Text("ASCII", seen, seen.decode("ascii"), whole, looks)
        )
    if not rest.translate(None, _LOUD + b"\x85") or seen.startswith(_MARKS):
        return UNKNOWN
    return _wide(seen, rest, whole, looks)


def _trimmed(data: bytes) -> bytes:
    """Return what libmagic looks at to find whether a file is text: its beginning, without zeros at
    the end."""
    if data[-1:] != b"\0":
        return data if len(data) <= MOST else data[:MOST]
    size = max(len(data.rstrip(b"\0")), 1)
    # Two bytes a character may end in a zero.
    size += size & 1 and not len(data) & 1
    return data[: min(size, MOST)]


def _wide(seen: bytes, rest: bytes, whole: bool, looks: bool) -> Text | str:
    """Return the text of bytes that are not all ASCII and have no odd control characters."""
    try:
        characters = seen.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the end cuts is left out, but one must be whole.
        cut = error.reason == "unexpected end of data"
        characters = seen[: error.start].decode("utf-8") if cut else ""
    if characters.isascii():
        encoding = (
            "Non-ISO extended-ASCII"
            if rest.translate(None, _LOUD + _LATIN + b"\x85")
            else "ISO-8859"
        )
        characters = seen.decode("latin-1")
        return Text(encoding, characters.encode(), characters, False, looks)
    if seen.startswith(_BOM):
        characters = characters[1:]
        utf8 = characters.encode()
        if len(utf8) < _LEAST:
            return UNKNOWN
        return Text("Unicode text, UTF-8 (with BOM)", utf8, characters, False, looks)
    utf8 = characters.encode()
    return Text("Unicode text, UTF-8", utf8, characters, whole and len(utf8) == len(seen), looks)


LONG_LINE = f"[^\\n]{{{_LONG + 1}}}"
"""An expression that matches in the UTF-8 of a text that has a long line, and may match in
others."""


def words_of(text: Text, printed: str, may_be_long: bool) -> str:
    """Return libmagic's words for text of which its rules print so much.

    :param may_be_long: :data:`LONG_LINE` matches.
    """
    kind = _kind(text.encoding, printed)
    if text.characters is None:
        longest = _longest(text.utf8, b"\n") if may_be_long else 0
        return kind + _long(longest) + ("" if b"\n" in text.utf8 else _NO_ENDS)
    characters = text.characters
    longest = (
        _longest(characters.replace("\r", "\n").replace("\x85", "\n"), "\n") if may_be_long else 0
    )
    escapes = ", with escape sequences" if "\x1b" in characters else ""
    strikes = ", with overstriking" if "\b" in characters else ""
    return f"{kind}{_long(longest)}{_ends(characters)}{escapes}{strikes}"


def _kind(encoding: str, printed: str) -> str:
    """Put the encoding behind what the rules print, or in place of its last words."""
    if not printed:
        return f"{encoding} text"
    for last, behind in ((" text", ""), (" text executable", " executable")):
        if printed.endswith(last):
            return f"{printed.removesuffix(last)}, {encoding} text{behind}"
    return f"{printed}, {encoding} text"


def has_rules(data: bytes, most: int) -> bool:
    """Tell whether libmagic's rules for text have a say: it may take the file for something without
    them.

    :param most: bytes of a file that libmagic looks at; a file of as many may go on.
    """
    return len(data) < most and not _may_be_known(data)


_NO_ENDS = ", with no line terminators"


def _long(longest: int) -> str:
    return f", with very long lines ({longest})" if longest > _LONG else ""


def _longest(text: AnyStr, end: AnyStr) -> int:
    """Return the length of the longest line, or 0 if none is long: from end to end in steps as long
    as may be."""
    at, size = 0, len(text)
    while size - at > _LONG:
        found = text.rfind(end, at, at + _LONG + 1)
        if found < 0:
            return max(map(len, text.split(end)))
        at = found + 1
    return 0


def _ends(characters: str) -> str:
    """Tell the ends of lines, but for line feeds alone."""
    if "\r" not in characters and "\x85" not in characters:
        return "" if "\n" in characters else _NO_ENDS
    both = characters.count("\r\n")
    counts = {
        "CRLF": both,
        "CR": characters.count("\r") - both,
        "LF": characters.count("\n") - both,
        "NEL": characters.count("\x85"),
    }
    named = [name for name, count in counts.items() if count]
    return f", with {', '.join(named)} line terminators"


def _may_be_known(data: bytes) -> bool:
    """Tell whether a file may be a tar, JSON, CSV or compound document, which libmagic knows
    without rules."""
    if data[:1] == b"\xd0" or data.lstrip(b" \t\n\r")[:1] in (b"[", b"{"):
        return True
    # The checksum of a tar is an octal number there.
    if len(data) >= 512 and (field := data[148:156].lstrip()) and field[:1] in b"01234567":
        return True
    return _is_csv(data)


_MARK = re.compile(b'[",\n]')


def _is_csv(data: bytes) -> bool:
    """Tell whether the first lines have as many commas each (is_csv.c), one or more, but for those
    in quotes."""
    commas = wanted = lines = at = 0
    while (found := _MARK.search(data, at)) is not None:
        at = found.end()
        mark = found.group()
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
            wanted, commas = commas, 0
    return bool(wanted) and lines > 2


def _behind_quote(data: bytes, at: int) -> int:
    """Return the place behind a quotation; two quotes in it stand for one."""
    while (end := data.find(b'"', at)) >= 0:
        if data[end + 1 : end + 2] != b'"':
            return end + 1
        at = end + 2
    return len(data)
