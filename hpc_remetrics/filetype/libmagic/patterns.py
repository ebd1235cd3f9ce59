r"""Translate the words and regular expressions of libmagic's text tests for the matcher and `re`.

A string of libmagic's source with the modifier `w` (a blank is any number of blanks), and a regular
expression, become::

    string/fwt  #!\ /bin/sh         \x23\x21[\x09\x0a\x0b\x0c\x0d\x20]*\x2f\x62\x69\x6e\x2f\x73\x68
    regex       ^class[[:space:]]+  (?m:^)\x63\x6c\x61\x73\x73[\x09\x0a\x0b\x0c\x0d\x20]+

A translation matches wherever libmagic's test does, and may match elsewhere: where it has no match,
libmagic has none. What isn't understood raises :class:`ValueError`, and the rule stays in.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache

# Modifiers of a text test (file.h), with the letters that stand for them in libmagic's source.
COMPACT = 1 << 0  # W: a blank of the word is one or more blanks of the file
OPTIONAL_SPACE = 1 << 1  # w: a blank of the word is any number of blanks of the file
IGNORE_LOWER = 1 << 2  # c: a small letter of the word is a letter of either case
IGNORE_UPPER = 1 << 3  # C: a capital of the word is a letter of either case
START = 1 << 4  # s: tests below count from where the match begins
TEXT = 1 << 5  # t: asked of files that look like text alone
BINARY = 1 << 6  # b: asked of the others alone
LINES = 1 << 11  # l: the range counts lines
TRIM = 1 << 13  # T: blanks are cut from what is printed
FULL_WORD = 1 << 14  # f: no letter follows

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
    "print": bytes(range(0x20, 0x7F)),
}
STRING_BYTES = 128
"""Bytes of a file that libmagic compares a word with."""

_MAX_REPEATS = 4
_MAX_BOUND = 1000
_REFUSED = re.compile(rb"^[?*+{]|[?*+{]{2}|\}\{")
"""What some version of libmagic refuses: since 5.44 a repeat repeated, since 5.47 any two in a row,
behind a backslash too, and one at the beginning (check_regex)."""
_REPEATS = "*+?{"


def ignores_case(modifiers: int) -> bool:
    """Tell whether a regular expression ignores case."""
    return bool(modifiers & (IGNORE_LOWER | IGNORE_UPPER))


def of_word(word: bytes, modifiers: int) -> str:
    """Translate the word of a string or search test.

    >>> of_word(b"#! /x", OPTIONAL_SPACE)
    '\\\\x23\\\\x21[\\\\x09\\\\x0a\\\\x0b\\\\x0c\\\\x0d\\\\x20]*\\\\x2f\\\\x78'
    """
    if modifiers & ~UNDERSTOOD or not word:
        raise ValueError("a word that is not understood")
    return "".join(_of_character(character, modifiers) for character in word)


def _of_character(character: int, modifiers: int) -> str:
    if _is_either_case(character, modifiers):
        letter = bytes([character])
        return _of_set({*letter.lower(), *letter.upper()})
    # Of blanks in a row libmagic takes all, an expression may take fewer: it matches that and more.
    if character in SPACES and modifiers & COMPACT:
        return f"{_of_set(set(SPACES))}+"
    if character in SPACES and modifiers & OPTIONAL_SPACE:
        return f"{_of_set(set(SPACES))}*"
    return f"\\x{character:02x}"


def _is_either_case(character: int, modifiers: int) -> bool:
    """Tell whether a character of a word stands for a letter of either case."""
    letter = bytes([character])
    return bool(
        (modifiers & IGNORE_LOWER and letter.islower())
        or (modifiers & IGNORE_UPPER and letter.isupper())
    )


def _of_set(characters: set[int]) -> str:
    return "[" + "".join(f"\\x{one:02x}" for one in sorted(characters)) + "]"


def first_pairs(word: bytes, modifiers: int) -> tuple[bytes, bytes] | None:
    """Return the bytes that a match can begin with, and those that can follow; None if not known.

    >>> first_pairs(b"<a", IGNORE_LOWER)
    (b'<', b'Aa')
    """
    if modifiers & ~UNDERSTOOD or not word:
        return None
    allowed = [_first_bytes(character, modifiers) for character in word[:2]]
    first = allowed[0]
    if first is None:
        return None
    second = allowed[1] if len(allowed) > 1 else None
    # A blank may stand for many, so the second byte can be one more of them.
    if second is None or (modifiers & COMPACT and word[0] in SPACES):
        second = bytes(range(256))
    return first, second


def _first_bytes(character: int, modifiers: int) -> bytes | None:
    """Return the bytes that a character of a word can begin with; None if it can be left out."""
    if character in SPACES and modifiers & OPTIONAL_SPACE:
        return None
    if character in SPACES and modifiers & COMPACT:
        return SPACES
    letter = bytes([character])
    if _is_either_case(character, modifiers):
        return bytes(sorted({*letter.lower(), *letter.upper()}))
    return letter


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
    start = "(?m:^)" if at_start else ""
    end = "(?:(?m:$)|[^\\n]\\z)" if at_end else ""
    reader = _ExpressionReader(value.partition(b"\0")[0], start, end)
    translated = reader.alternatives()
    if reader.rest:
        raise ValueError("an expression that is not understood")
    return translated


def keeps_repeats(value: bytes) -> bool:
    """Tell whether the translation of an expression asks for as many repeats as it does."""
    bounds = re.findall(rb"\{(\d*),?(\d*)\}", value.partition(b"\0")[0])
    return all(int(bound or 0) <= _MAX_REPEATS for pair in bounds for bound in pair)


@lru_cache(None)
def for_python(value: bytes, ignore_case: bool) -> re.Pattern[bytes] | None:
    """Return an expression for `re` that matches in the same bytes, and nowhere else.

    None if it isn't understood, or has more than one repeat: those may take long.
    """
    expression = value.partition(b"\0")[0]
    repeats = re.findall(rb"(?<!\\)[*+{]", expression)
    if len(repeats) > 1 or not keeps_repeats(value):
        return None
    try:
        reader = _ExpressionReader(expression, "(?m:^)", "(?m:$)")
        translated = reader.alternatives()
    except ValueError:
        return None
    if reader.rest:
        return None
    return re.compile(translated.encode(), re.IGNORECASE if ignore_case else 0)


def begins_with(string: bytes, word: bytes, modifiers: int) -> bool | None:
    """Tell whether a string begins with a word that has modifiers, as `file_strncmp` does.

    :param string: at least its first :data:`STRING_BYTES` bytes, or all of it.
    :returns: None if that isn't known.
    """
    if modifiers & ~UNDERSTOOD:
        return None
    # The last byte that libmagic copies gives way to a zero, which no word has (mconvert).
    string = string[: STRING_BYTES - 1].ljust(STRING_BYTES, b"\0")
    at = 0
    for place, character in enumerate(word):
        is_blank = character in SPACES
        if _is_either_case(character, modifiers):
            if string[at : at + 1].lower() != bytes([character]).lower():
                return False
            at += 1
        elif is_blank and modifiers & COMPACT:
            if string[at] not in SPACES:
                return False
            at += 1
            if not word[place + 1 : place + 2].isspace():
                at = _behind_blanks(string, at)
        elif is_blank and modifiers & OPTIONAL_SPACE:
            at = _behind_blanks(string, at)
        elif string[at] != character:
            return False
        else:
            at += 1
    return not (modifiers & FULL_WORD and string[at] and string[at] not in SPACES)


def _behind_blanks(string: bytes, at: int) -> int:
    while at < len(string) and string[at] in SPACES:
        at += 1
    return at


class _ExpressionReader:
    """Translates one expression by recursive descent: a method for each part of the grammar.

    :ivar rest: what is left to be read.
    :param start: the translation of `^`; `end`: of `$`.
    :raises ValueError: libmagic refuses it, which is an error for every file.
    """

    def __init__(self, expression: bytes, start: str, end: str) -> None:
        for character in expression:
            # libmagic refuses other characters.
            if not (32 <= character < 127 or character in SPACES or character == 8):
                raise ValueError("an expression that libmagic refuses")
        if not expression or _REFUSED.search(expression):
            raise ValueError("an expression that libmagic refuses")
        self.rest = expression.decode("latin-1")
        self._start = start
        self._end = end

    def _take(self) -> str:
        """Take the next character."""
        character = self.rest[:1]
        self.rest = self.rest[1:]
        if not character:
            raise ValueError("an expression that ends too early")
        return character

    def alternatives(self) -> str:
        """Translate branches with `|` between them, up to a `)` or the end."""
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
        if not self.rest or self.rest[0] not in _REPEATS:
            return atom
        if atom in ("", self._start, self._end):
            raise ValueError("a repeated anchor")
        repeat = self._repeat()
        if self.rest and self.rest[0] in _REPEATS:
            raise ValueError("a repeated repeat")
        return atom + repeat

    def _repeat(self) -> str:
        operator = self._take()
        if operator != "{":
            return operator
        bounds, closed, self.rest = self.rest.partition("}")
        minimum, comma, maximum = bounds.partition(",")
        if not closed or not minimum.isdigit() or (maximum and not maximum.isdigit()):
            raise ValueError("bounds that are not understood")
        if max(int(minimum), int(maximum or 0)) > _MAX_BOUND:
            raise ValueError("bounds that libmagic refuses since 5.46")
        # Many repeats cost a matcher much: fewer ask for less.
        if int(maximum or minimum) > _MAX_REPEATS:
            return f"{{{min(int(minimum), _MAX_REPEATS)},}}"
        return f"{{{minimum}{comma}{maximum}}}"

    def _atom(self) -> str:
        character = self._take()

        # Operators without operand, sets and groups.
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

        # A character that stands for itself; an escape makes one of an operator.
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
