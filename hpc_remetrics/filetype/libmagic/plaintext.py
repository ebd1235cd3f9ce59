r"""Recognize and describe plain text as libmagic does (encoding.c, ascmagic.c).

A text is described by what a rule printed, its encoding, and what is odd about its lines::

    texts = PlainText(VERSIONS[544], max_head=7 << 20)

    texts.read(b"#!/bin/sh\n...")      Text(encoding="ASCII", ...)
    a rule prints                       POSIX shell script text executable
    texts.describe(...)                 POSIX shell script, ASCII text executable

    texts.read("Größe\r\n".encode())   Text(encoding="Unicode text, UTF-8", ...)
    no rule prints                      (nothing)
    texts.describe(...)                 Unicode text, UTF-8 text, with CRLF line terminators

Only what is common is followed: of the rest :meth:`PlainText.read` says :data:`UNKNOWN`, and
libmagic is asked.
"""

from __future__ import annotations

import itertools
import re
from typing import AnyStr, NamedTuple

from .matcher import Matcher
from .tree import pattern_of_other_than
from .versions import CsvRule, Version

_MIN_TEXT_BYTES = 2
"""Of one byte libmagic says other things."""

_LONG_LINE = 300
"""Characters of a line above which it is "very long" (MAXLINELEN)."""

# Bytes by what libmagic makes of them (text_chars).
_PRINTABLE = bytes(range(0x20, 0x7F))
_LOUD = b"\b\r\x1b"
"""Characters of ASCII that leave a mark in a description: overstriking, ends of lines, escapes."""
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

LONG_LINE = f"[^\\n]{{{_LONG_LINE + 1}}}"
"""An expression that matches in the UTF-8 of a text that has a long line, and may match in
others."""


class PlainText:
    """Recognizes texts and words their descriptions.

    :param version: of the libmagic whose words these are.
    :param max_head: bytes of a file that libmagic reads; a file of as many may go on.
    :raises MissingComponentError: there is no engine that seeks patterns.
    """

    def __init__(self, version: Version, max_head: int) -> None:
        self._version = version
        self._max_head = max_head
        self._max_text_bytes = version.max_text_bytes or max_head
        self._quiet = version.quiet_controls + _PRINTABLE
        not_quiet = pattern_of_other_than(self._quiet)
        self._find_odd = Matcher([not_quiet], "strict").find

    def read(self, head: bytes) -> Text | str:
        """Return what libmagic makes of a file: a text, :data:`NOT_TEXT`, or :data:`UNKNOWN`.

        :param head: two of the file's first bytes or more.
        """
        seen = self._without_zeros(head)
        if len(seen) < _MIN_TEXT_BYTES or self._has_few_characters(seen):
            return UNKNOWN
        looks = len(seen) == min(len(head), self._max_text_bytes)
        is_whole = len(seen) == len(head)
        if b"\0" in seen:
            # A zero is in no text but of wider characters, which have a mark; in EBCDIC it is a
            # zero too.
            return UNKNOWN if head.startswith(_WIDE_MARKS) else NOT_TEXT
        # Seek the first odd byte, which takes a tenth of the time of picking all.
        if not self._find_odd(seen):
            if seen.startswith(_UTF7_MARK):
                return UNKNOWN
            return Text("ASCII", seen, None, is_whole, looks)
        odd = seen.translate(None, self._quiet)
        if odd.translate(None, _LOUD + _HIGH):
            # Control characters are in no text but EBCDIC, which has neither these for a blank nor
            # for a line feed.
            return NOT_TEXT if b" " in seen or b"\n" in seen else UNKNOWN
        if not odd.translate(None, _LOUD):
            if seen.startswith(_UTF7_MARK):
                return UNKNOWN
            return Text("ASCII", seen, seen.decode("ascii"), is_whole, looks)
        if not odd.translate(None, _LOUD + _NEL) or seen.startswith(_WIDE_MARKS):
            return UNKNOWN
        return self._read_beyond_ascii(seen, odd, is_whole, looks)

    def describe(self, text: Text, printed: str, may_be_long: bool) -> str:
        """Return libmagic's description of a text.

        :param printed: what its rules print of it.
        :param may_be_long: :data:`LONG_LINE` matches.
        """
        kind = _kind(text.encoding, printed)
        if text.characters is None:
            longest = _longest_line(text.utf8, b"\n") if may_be_long else 0
            return kind + self._long_line(longest) + ("" if b"\n" in text.utf8 else _NO_ENDS)
        characters = text.characters
        longest = 0
        if may_be_long:
            longest = _longest_line(characters.replace("\r", "\n").replace("\x85", "\n"), "\n")
        long_line = self._long_line(longest)
        ends = self._line_ends(characters)
        escapes = ", with escape sequences" if "\x1b" in characters else ""
        strikes = ", with overstriking" if "\b" in characters else ""
        return f"{kind}{long_line}{ends}{escapes}{strikes}"

    def is_left_to_rules(self, head: bytes) -> bool:
        """Tell whether libmagic's rules for text have the say: nothing else knows the file."""
        if len(head) >= self._max_head or (self._version.has_tapes and _may_be_tape(head)):
            return False
        return not _may_be_known_otherwise(head, self._version.csv)

    def _without_zeros(self, head: bytes) -> bytes:
        """Return what libmagic looks at to find whether a file is text: no zeros at the end."""
        limit = self._max_text_bytes
        if head[-1:] != b"\0":
            return head if len(head) <= limit else head[:limit]
        size = max(len(head.rstrip(b"\0")), 1)
        # Two bytes a character may end in a zero.
        size += size & 1 and not len(head) & 1
        return head[: min(size, limit)]

    def _has_few_characters(self, seen: bytes) -> bool:
        """Tell whether a text has too few different bytes for libmagic, which counts them by eight
        bits."""
        minimum = self._version.min_characters
        if minimum == 1:
            return False
        counted = (byte for byte in set(seen) if seen.count(byte) % 256)
        return len(list(itertools.islice(counted, minimum))) < minimum

    def _read_beyond_ascii(
        self, seen: bytes, odd: bytes, is_whole: bool, looks: bool
    ) -> Text | str:
        """Return the text of bytes that are not all ASCII and have no odd control characters.

        :param odd: the bytes that are not quiet ASCII.
        """
        try:
            characters = seen.decode("utf-8")
        except UnicodeDecodeError as error:
            # A character that the end cuts is left out, but one must be whole.
            is_cut = error.reason == "unexpected end of data"
            if not (is_cut or self._version.is_utf8_strict) and _is_lax_utf8(seen[error.start :]):
                return UNKNOWN
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
            return Text(self._version.utf8_with_mark, utf8, characters, False, looks)
        utf8 = characters.encode()
        is_whole = is_whole and len(utf8) == len(seen)
        return Text(self._version.utf8, utf8, characters, is_whole, looks)

    def _long_line(self, longest: int) -> str:
        if longest <= _LONG_LINE:
            return ""
        size = f" ({longest})" if self._version.counts_long_line else ""
        return f", with very long lines{size}"

    def _line_ends(self, characters: str) -> str:
        """Name the ends of lines; nothing for line feeds alone."""
        if "\r" not in characters and "\x85" not in characters:
            return "" if "\n" in characters else _NO_ENDS
        both = characters.count("\r\n")
        counts = {
            "CRLF": both,
            "CR": self._returns(characters, both),
            "LF": characters.count("\n") - both,
            "NEL": characters.count("\x85"),
        }
        names = [name for name, count in counts.items() if count]
        if names == ["LF"]:
            return ""
        return f", with {', '.join(names)} line terminators" if names else _NO_ENDS

    def _returns(self, characters: str, both: int) -> int:
        """Return how many ends of lines are carriage returns.

        :param both: the ends that are a carriage return and a line feed.
        """
        count = characters.count("\r") - both
        if not characters.endswith("\r") or self._version.last_return == "counted":
            return count
        is_alone = count == 1 and not both
        return 1 if is_alone and self._version.last_return == "counted alone" else count - 1


def _is_lax_utf8(data: bytes) -> bool:
    """Tell whether the first character is UTF-8 of up to six bytes, which the end may cut."""
    if not 0xC0 <= data[0] < 0xFE:
        return False
    following = sum(data[0] >= first for first in (0xC0, 0xE0, 0xF0, 0xF8, 0xFC))
    return all(0x80 <= byte < 0xC0 for byte in data[1 : 1 + following])


_NO_ENDS = ", with no line terminators"


def _kind(encoding: str, printed: str) -> str:
    """Put the encoding behind what the rules print, or in place of its last words."""
    if not printed:
        return f"{encoding} text"
    for last, behind in ((" text", ""), (" text executable", " executable")):
        if printed.endswith(last):
            return f"{printed.removesuffix(last)}, {encoding} text{behind}"
    return f"{printed}, {encoding} text"


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


def _may_be_known_otherwise(head: bytes, csv: CsvRule) -> bool:
    """Tell whether a file may be a tar, JSON, CSV or compound document.

    libmagic knows these without rules.
    """
    if head[:1] == b"\xd0" or head.lstrip(b" \t\n\r")[:1] in (b"[", b"{"):
        return True
    # The checksum of a tar is an octal number there.
    if len(head) >= 512 and (field := head[148:156].lstrip()) and field[:1] in b"01234567":
        return True
    return _is_csv(head, csv)


_CSV_MARK = re.compile(b'[",\n]')


def _may_be_tape(head: bytes) -> bool:
    """Tell whether a text may be a SIMH tape: its first record has the same length behind it too.

    A length is the lower three of four bytes, and the next even number is meant (is_simh.c).
    """
    length = int.from_bytes(head[:3], "little")
    behind = 4 + length + (length & 1)
    same = int.from_bytes(head[behind : behind + 3], "little")
    return behind + 4 <= len(head) and (length + 1) // 2 == (same + 1) // 2


def _is_csv(data: bytes, rule: CsvRule) -> bool:
    """Tell whether the first ten lines have as many commas each (is_csv.c).

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
            # A line has ended: it must have as many as the first.
            lines += 1
            if lines == 10:
                return wanted >= rule.min_commas_of_ten and wanted == commas
            if commas != (wanted or commas or -1):
                return False
            wanted = commas
            commas = 0
    return wanted >= rule.min_commas and lines >= rule.min_lines


def _behind_quote(data: bytes, at: int) -> int:
    """Return the place behind a quotation; a quote that is doubled ends one and begins the next."""
    end = data.find(b'"', at)
    return len(data) if end < 0 else end + 1
