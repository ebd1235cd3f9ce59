"""What a rule prints of a text, where that can be told without libmagic: one of a few constant
words.

A test passes, or fails, or that isn't known; then what it prints and nothing are both possible. If
every possible outcome of all rules that may print is the same, it is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import patterns
from .conditions import Need, is_exact, place_test, prints, reach_of
from .database import CLEAR, DEFAULT, NOSPACE, OFFADD, REGEX, SEARCH, STRING, USE, Record
from .numeric import QUADS, WIDTHS
from .patterns import STRING_BYTES, begins_with
from .tree import EQUAL, MOVED, NEAR, Node, Pattern

Ends = Mapping[Pattern, int]
"""Pattern -> where its first match ends, the text's size if that isn't known, -1 if there is
none."""

_MOST = 8
_FOLLOWED = frozenset((STRING, SEARCH, REGEX, DEFAULT, CLEAR, USE, *WIDTHS)) - QUADS
_UNEQUAL = ord("!")
_SEPARATE = b" "


class NotKnownError(Exception):
    """What a rule prints can't be told."""


class Outcomes:
    """What the rules for text print of one text.

    :param text: in UTF-8.
    :param ends: the patterns that match in it.
    :param looks: libmagic takes the file for text before it cuts zeros from its end.
    """

    def __init__(self, text: bytes, ends: Ends, looks: bool) -> None:
        self._text, self._ends, self._looks = text, ends, looks
        self._seen = min(len(text), NEAR)

    def of(self, needs: list[Need]) -> bytes:
        """Return what libmagic prints, b"" for nothing.

        :param needs: the rules for text that may be found to print, in libmagic's order.
        :raises NotKnownError: it may be one thing or another.
        """
        possible: set[bytes] = set()
        for need in needs:
            if need.looks not in (None, self._looks) or not need.prints(self._text, self._ends):
                continue
            if need.returns or need.from_end:
                raise NotKnownError
            printed, _ = self._of(need.node, 0)
            possible |= printed - {b""}
            if len(possible) > 1:
                raise NotKnownError
            if b"" not in printed:
                break
        else:
            possible.add(b"")
        if len(possible) > 1:
            raise NotKnownError
        return possible.pop()

    def _of(
        self, node: Node, base: int | None, got: bool | None = False
    ) -> tuple[set[bytes], bool | None]:
        """Return all that a test and those below may print, and whether it passes, None if that
        isn't known.

        :param base: where the match above ends, None if that isn't known.
        :param got: a test beside it, above it, passed.
        """
        passes, end = self._passes(node, base, got)
        if passes is False or not node.matters:
            return {b""}, passes
        record = node.record
        if record.type not in _FOLLOWED or node.fails or record.relation == _UNEQUAL:
            raise NotKnownError
        if record.type == USE:
            if prints(node)(self._text, self._ends):
                raise NotKnownError
            return {b""}, False
        printed, got = {_words(record)}, False
        for one in node.asked:
            below, passed = self._of(one, end, got)
            got = (
                False
                if one.record.type == CLEAR
                else got or passed
                if passed is not None
                else got or None
            )
            printed = {_joined(first, then, one.record) for first in printed for then in below}
            if len(printed) > _MOST:
                raise NotKnownError
        return (printed if passes else printed | {b""}), passes

    def _passes(
        self, node: Node, base: int | None, got: bool | None
    ) -> tuple[bool | None, int | None]:
        """Tell whether a test passes, None if that isn't known, and where its match ends, None if
        that isn't."""
        record, pattern = node.record, node.pattern
        plain = record.type == SEARCH and is_exact(record)
        if (
            plain
            and self._text.find(record.word, 0, None if pattern is None else pattern.reach) < 0
        ):
            return False, None
        if pattern is not None and not plain and self._ends[pattern] < 0:
            return False, None
        place = self._place(record, base)
        if record.type in (DEFAULT, CLEAR):
            return self._is_default(record, place, got), place
        if record.type == REGEX:
            return self._regex(node, place)
        if place is None:
            return None, None
        if not is_exact(record):
            return self._is_begun(
                record, place
            ), place + record.length if record.type == STRING else None
        if record.type == SEARCH:
            return self._search(record, place)
        test = place_test(record)
        length = len(record.word) if record.type == STRING else WIDTHS[record.type]
        return (None if test is None else test(self._text, place)), place + length

    def _is_default(self, record: Record, place: int | None, got: bool | None) -> bool | None:
        """Tell whether a test without a question passes: if no other did (match)."""
        behind = (
            record.flag & MOVED == OFFADD and not record.offset
        )  # where a match ends, which is in the text
        if len(self._text) < place if place is not None else not behind:
            raise NotKnownError  # libmagic may leave out what is below
        return True if record.type == CLEAR else None if got is None else not got

    def _place(self, record: Record, base: int | None) -> int | None:
        moved = record.flag & MOVED
        if not moved:
            return record.offset
        return base + record.offset if moved == OFFADD and base is not None else None

    def _regex(self, node: Node, place: int | None) -> tuple[bool | None, int | None]:
        """Tell whether an expression matches: what is found before the last byte that libmagic
        shows it does."""
        record, pattern = node.record, node.pattern
        if place is None or pattern is None or record.relation != EQUAL:
            return None, None
        if not place and pattern.exact:
            return (True if self._ends[pattern] < self._seen else None), None
        if node.expression is None or place > len(self._text):
            return None, None
        return node.expression.search(self._text[place : place + NEAR][:-1]) is not None, None

    def _is_begun(self, record: Record, place: int) -> bool | None:
        """Tell whether a word with modifiers is at a place, None if that isn't known."""
        if (
            record.type != STRING
            or record.relation != EQUAL
            or record.range
            or not record.word.isascii()
        ):
            return None
        if place + record.length > len(self._text):
            return False  # libmagic wants room for the whole word, of which blanks may be left out (mget)
        return begins_with(self._text[place : place + STRING_BYTES], record.word, record.modifiers)

    def _search(self, record: Record, place: int) -> tuple[bool, int | None]:
        word = record.word
        reach = reach_of(record) if record.range else len(self._text)
        at = self._text.find(word, place, place + reach)
        if at < 0:
            return False, None
        return True, at if record.modifiers & patterns.START else at + len(word)


def _words(record: Record) -> bytes:
    words = record.description
    if (
        b"%" in words
        or b"$" in words
        or not (words.isascii() and words.decode("ascii").isprintable())
    ):
        raise NotKnownError
    return words


def _joined(first: bytes, then: bytes, record: Record) -> bytes:
    separate = first and then and not record.flag & NOSPACE
    return first + _SEPARATE + then if separate else first + then
