"""Searches and regular expressions of libmagic, put into words of a matcher of many patterns at
once.

A translated pattern matches wherever libmagic's would, and may match elsewhere: what it does not
find can't match. What isn't understood raises :class:`ValueError`, and the rule stays in.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache

# Modifiers of a text test (file.h).
COMPACT, OPTIONAL_SPACE, IGNORE_LOWER, IGNORE_UPPER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
START, TEXT, BINARY, TRIM, FULL_WORD = 1 << 4, 1 << 5, 1 << 6, 1 << 13, 1 << 14
LINES = 1 << 11
PLAIN = START | TEXT | BINARY | TRIM
"""Modifiers that change nothing about which bytes match."""
UNDERSTOOD = PLAIN | COMPACT | OPTIONAL_SPACE | IGNORE_LOWER | IGNORE_UPPER | FULL_WORD | LINES

SPACES = b" \t\n\v\f\r"
_CLASSES = {
    "space": SPACES,
    "digit": string.digits.encode(),
    "alpha": string.ascii_letters.encode(),
    "alnum": (string.ascii_letters + string.digits).encode(),
    "upper": string.ascii_uppercase.encode(),
    "lower": string.ascii_lowercase.encode(),
    "xdigit": string.hexdigits.encode(),
    "blank": b" \t",
}
_MOST_REPEATS = 4
STRING_BYTES = 128
"""Bytes of a file that libmagic compares a word with."""


def of_word(word: bytes, modifiers: int) -> str:
    """Translate the word of a string or search test.

    >>> of_word(b"#! /x", OPTIONAL_SPACE)
    '\\\\x23\\\\x21[\\\\x09\\\\x0a\\\\x0b\\\\x0c\\\\x0d\\\\x20]*\\\\x2f\\\\x78'
    """
    if modifiers & ~UNDERSTOOD or not word:
        raise ValueError("a word that is not understood")
    return "".join(_of_character(character, modifiers) for character in word)


def _of_character(character: int, modifiers: int) -> str:
    one = bytes([character])
    if (modifiers & IGNORE_LOWER and one.islower()) or (modifiers & IGNORE_UPPER and one.isupper()):
        return _of_set(set(one.lower() + one.upper()))
    # Blanks in a row: libmagic is greedy, an expression is not bound to be: it matches that and
    # more.
    if character in SPACES and modifiers & COMPACT:
        return f"{_of_set(set(SPACES))}+"
    if character in SPACES and modifiers & OPTIONAL_SPACE:
        return f"{_of_set(set(SPACES))}*"
    return f"\\x{character:02x}"


def _of_set(characters: set[int]) -> str:
    return "[" + "".join(f"\\x{one:02x}" for one in sorted(characters)) + "]"


def first_pairs(word: bytes, modifiers: int) -> tuple[bytes, bytes] | None:
    """Return the bytes that a match can begin with, and those that can follow; None if that isn't
    known.

    >>> first_pairs(b"<a", IGNORE_LOWER)
    (b'<', b'Aa')
    """
    if modifiers & ~UNDERSTOOD or not word:
        return None
    allowed = [_first(character, modifiers) for character in word[:2]]
    if allowed[0] is None:
        return None
    # A blank may stand for many, so the second byte can be one more of them.
    second = (
        allowed[1] if len(allowed) > 1 and not (modifiers & COMPACT and word[0] in SPACES) else None
    )
    return allowed[0], bytes(range(256)) if second is None else second


def _first(character: int, modifiers: int) -> bytes | None:
    """Return the bytes that a character of a word can begin with; None if it can be left out."""
    one = bytes([character])
    if character in SPACES and modifiers & OPTIONAL_SPACE:
        return None
    if character in SPACES and modifiers & COMPACT:
        return SPACES
    if (modifiers & IGNORE_LOWER and one.islower()) or (modifiers & IGNORE_UPPER and one.isupper()):
        return bytes(sorted({*one.lower(), *one.upper()}))
    return one


def of_expression(value: bytes, at_start: bool, at_end: bool) -> str:
    r"""Translate a POSIX extended regular expression as glibc and musl read it with REG_NEWLINE.

    :param at_start: it is applied to the beginning of what is searched; elsewhere what `^` asks for
        isn't known.
    :param at_end: it is applied to the end of it, but for the last byte, which libmagic cuts; the
        same for `$`.

    >>> of_expression(b"^a.*[^b]$", True, False)
    '(?m:^)\\x61[^\\n]*[^\\n\\x62]'
    >>> of_expression(b"a$", False, True)
    '\\x61(?:(?m:$)|[^\\n]\\z)'
    """
    reader = _Expression(value.partition(b"\0")[0], at_start, at_end)
    translated = reader.alternatives()
    if reader.rest:
        raise ValueError("an expression that is not understood")
    return translated


def is_kept(value: bytes) -> bool:
    """Tell whether the translation of an expression has all of it, no repeats of which fewer are
    asked for."""
    bounds = re.findall(rb"\{(\d*),?(\d*)\}", value.partition(b"\0")[0])
    return all(int(one or 0) <= _MOST_REPEATS for pair in bounds for one in pair)


@lru_cache(None)
def for_python(value: bytes, ignores_case: bool) -> re.Pattern[bytes] | None:
    """Return an expression that matches where this one does, and nowhere else, to be applied to the
    same bytes.

    None if it isn't understood, or has more than one repeat: those may take long.
    """
    text = value.partition(b"\0")[0]
    if len(re.findall(rb"(?<!\\)[*+{]", text)) > 1 or not is_kept(value):
        return None
    try:
        reader = _Expression(text, True, True, end="(?m:$)")
        translated = reader.alternatives()
    except ValueError:
        return None
    return (
        None
        if reader.rest
        else re.compile(translated.encode(), re.IGNORECASE if ignores_case else 0)
    )


def begins_with(text: bytes, word: bytes, modifiers: int) -> bool | None:
    """Tell whether a text begins with a word that has modifiers, as `file_strncmp` does; None if
    that isn't known.

    :param text: at least its first :data:`STRING_BYTES` bytes, or all of it.
    """
    if modifiers & ~UNDERSTOOD:
        return None
    # The last byte that libmagic copies gives way to a zero, which no word has (mconvert).
    text, at = text[: STRING_BYTES - 1].ljust(STRING_BYTES, b"\0"), 0
    for place, character in enumerate(word):
        one, is_blank = word[place : place + 1], character in SPACES
        if (modifiers & IGNORE_LOWER and one.islower()) or (
            modifiers & IGNORE_UPPER and one.isupper()
        ):
            if text[at : at + 1].lower() != one.lower():
                return False
            at += 1
        elif is_blank and modifiers & COMPACT:
            if text[at] not in SPACES:
                return False
            at += 1
            if not word[place + 1 : place + 2].isspace():
                at = _behind_blanks(text, at)
        elif is_blank and modifiers & OPTIONAL_SPACE:
            at = _behind_blanks(text, at)
        elif text[at] != character:
            return False
        else:
            at += 1
    return not (modifiers & FULL_WORD and text[at] and text[at] not in SPACES)


def _behind_blanks(text: bytes, at: int) -> int:
    while at < len(text) and text[at] in SPACES:
        at += 1
    return at


class _Expression:
    """A reader of one expression: what is left of it, and the translation by recursive descent."""

    def __init__(
        self, text: bytes, at_start: bool, at_end: bool, end: str = "(?:(?m:$)|[^\\n]\\z)"
    ) -> None:
        # libmagic refuses other characters and doubled operators, which is an error at every file.
        odd = [one for one in text if not (32 <= one < 127 or one in SPACES or one == 8)]
        if odd or not text or any(one * 2 in text for one in (b"?", b"*", b"+", b"{")):
            raise ValueError("an expression that libmagic refuses")
        self.rest = text.decode("latin-1")
        self._start = "(?m:^)" if at_start else ""
        self._end = end if at_end else ""

    def _take(self) -> str:
        character, self.rest = self.rest[:1], self.rest[1:]
        if not character:
            raise ValueError("an expression that ends too early")
        return character

    def alternatives(self) -> str:
        branches = [self._branch()]
        while self.rest.startswith("|"):
            self._take()
            branches.append(self._branch())
        return "|".join(branches)

    def _branch(self) -> str:
        pieces = []
        while self.rest and self.rest[0] not in "|)":
            pieces.append(self._piece())
        if not pieces:
            raise ValueError("an empty branch")
        return "".join(pieces)

    def _piece(self) -> str:
        atom = self._atom()
        if not self.rest or self.rest[0] not in "*+?{":
            return atom
        if atom in ("", self._start, self._end):
            raise ValueError("a repeated anchor")
        repeat = self._repeat()
        if self.rest and self.rest[0] in "*+?{":
            raise ValueError("a repeated repeat")
        return atom + repeat

    def _repeat(self) -> str:
        operator = self._take()
        if operator != "{":
            return operator
        bounds, closed, self.rest = self.rest.partition("}")
        least, comma, most = bounds.partition(",")
        if not closed or not least.isdigit() or (most and not most.isdigit()):
            raise ValueError("bounds that are not understood")
        # Many repeats cost a matcher much: fewer ask for less.
        if int(most or least) > _MOST_REPEATS:
            return f"{{{min(int(least), _MOST_REPEATS)},}}"
        return f"{{{least}{comma}{most}}}"

    def _atom(self) -> str:
        character = self._take()
        if character == "^":
            return self._start
        if character == "$":
            return self._end
        if character == ".":
            return "[^\\n]"
        if character == "[":
            return self._set()
        if character == "(":
            inside = self.alternatives()
            if self._take() != ")":
                raise ValueError("a parenthesis that does not close")
            return f"(?:{inside})"
        if character == "\\":
            character = self._take()
            if character.isalnum() or character in "<>`'":
                raise ValueError("an escape that is not understood")
        elif character in "*+?{)":
            raise ValueError("an operator without operand")
        return f"\\x{ord(character):02x}"

    def _set(self) -> str:
        inverted = self.rest.startswith("^")
        if inverted:
            self._take()
        members: set[int] = set()
        first = True
        while first or not self.rest.startswith("]"):
            first = False
            members |= self._member()
        self._take()
        # A set that excludes characters excludes the line feed too.
        return f"[^\\n{_of_set(members)[1:]}" if inverted else _of_set(members)

    def _member(self) -> set[int]:
        character = self._take()
        if character == "[" and self.rest[:1] in (":", ".", "="):
            name, closed, self.rest = self.rest[1:].partition(":]")
            if not closed or name not in _CLASSES:
                raise ValueError("a class that is not understood")
            return set(_CLASSES[name])
        if self.rest.startswith("-") and self.rest[1:2] not in ("]", ""):
            self._take()
            last = self._take()
            if last == "[" or last < character:
                raise ValueError("a range that is not understood")
            return set(range(ord(character), ord(last) + 1))
        return {ord(character)}
