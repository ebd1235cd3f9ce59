"""What a rule prints of a text, where that can be told without libmagic: one of a few constant words.

A test passes, or fails, or that isn't known; then what it prints and nothing are both possible. If every
possible outcome of all rules that may print is the same, it is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import patterns
from .conditions import Need, is_exact, place_test, prints, reach_of
from .numeric import QUADS, WIDTHS
from .records import CLEAR, DEFAULT, NOSPACE, OFFADD, REGEX, SEARCH, STRING, USE, Record
from .tree import EQUAL, MOVED, NEAR, Node

Ends = Mapping[str, int]
"""Keys of patterns -> where the first match of each ends, the text's size if that isn't known, -1 if there is none."""

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
            if not need.prints(self._text, self._ends):
                continue
            if need.returns:
                raise NotKnownError
            printed = self._of(need.node, 0)
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

    def _of(self, node: Node, base: int | None) -> set[bytes]:
        """Return all that a test and those below may print; `base` is where the match above ends, if that is known."""
        passes, end = self._passes(node, base)
        if passes is False:
            return {b""}
        record = node.record
        if record.type not in _FOLLOWED or node.fails or record.relation == _UNEQUAL:
            raise NotKnownError
        if record.type == USE and prints(node)(self._text, self._ends):
            raise NotKnownError
        printed = {_words(record)}
        for one in node.below:
            if record.type != USE and one.matters:
                below = self._of(one, end)
                printed = {_joined(first, then, one.record) for first in printed for then in below}
                if len(printed) > _MOST:
                    raise NotKnownError
        return printed if passes else printed | {b""}

    def _passes(self, node: Node, base: int | None) -> tuple[bool | None, int | None]:
        """Tell whether a test passes, None if that isn't known, and where its match ends, None if that isn't."""
        record, pattern = node.record, node.pattern
        plain = record.type == SEARCH and is_exact(record)
        if plain and record.word not in self._text:
            return False, None
        if pattern is not None and not plain and self._ends[pattern.key] < 0:
            return False, None
        if not record.level and self._is_passed_over(record):
            return False, None
        place = self._place(record, base)
        if record.type in (DEFAULT, CLEAR) and (place is None or place > len(self._text)):
            raise NotKnownError  # libmagic may leave out what is below
        if record.type == REGEX:
            return self._is_found(node, place), None
        if place is None or not is_exact(record):
            return None, None
        if record.type == SEARCH:
            return self._search(record, place)
        test = place_test(record)
        length = len(record.word) if record.type == STRING else WIDTHS[record.type]
        return (None if test is None else test(self._text, place)), place + length

    def _is_passed_over(self, record: Record) -> bool:
        """Tell whether libmagic keeps a text test for files that look like text, or for others."""
        if record.type not in (STRING, SEARCH, REGEX):
            return False
        wanted = record.modifiers & (patterns.TEXT | patterns.BINARY)
        return wanted == (patterns.BINARY if self._looks else patterns.TEXT)

    def _place(self, record: Record, base: int | None) -> int | None:
        moved = record.flag & MOVED
        if not moved:
            return record.offset
        return base + record.offset if moved == OFFADD and base is not None else None

    def _is_found(self, node: Node, place: int | None) -> bool | None:
        """Tell whether an expression matches: what is found before the last byte that libmagic shows it does."""
        pattern = node.pattern
        if place != 0 or pattern is None or not pattern.exact or node.record.relation != EQUAL:
            return None
        return True if self._ends[pattern.key] < self._seen else None

    def _search(self, record: Record, place: int) -> tuple[bool, int | None]:
        word = record.word
        reach = reach_of(record) if record.range else len(self._text)
        at = self._text.find(word, place, place + reach)
        if at < 0:
            return False, None
        return True, at if record.modifiers & patterns.START else at + len(word)


def _words(record: Record) -> bytes:
    words = record.description
    if b"%" in words or b"$" in words or not (words.isascii() and words.decode("ascii").isprintable()):
        raise NotKnownError
    return words


def _joined(first: bytes, then: bytes, record: Record) -> bytes:
    separate = first and then and not record.flag & NOSPACE
    return first + _SEPARATE + then if separate else first + then
