r"""Predict what rules print of a text, where that is possible without libmagic.

One of libmagic's rules for C source is::

    0     search/8192   #include
    >0    regex         ^#include              C
    >>0   regex         ^class[[:space:]]+
    >>>&0 regex         \{[\.\*]\}(;)?$         \b++
    >>&0  clear         x                      source text

Its words hold no value of the file, so they are known. A test has three outcomes, which decide what
the rule may print::

    a line begins with #include      {b"C source text"}
    none does                        {b""}
    that isn't known                 {b"C source text", b""}

If all rules together can print only one thing, that is the description; otherwise
:class:`NotKnownError` is raised, and libmagic is asked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from . import patterns
from .conditions import (
    Condition,
    MatchEnds,
    is_exact,
    may_print,
    place_test,
    search_bytes,
)
from .database import CLEAR, DEFAULT, NOSPACE, OFFADD, REGEX, SEARCH, STRING, USE, Record
from .numeric import QUADS, WIDTHS, Test
from .patterns import STRING_BYTES, begins_with
from .tree import EQUAL, MOVED, NEAR, RuleNode

_MAX_POSSIBLE = 8
_FOLLOWED_TYPES = frozenset((STRING, SEARCH, REGEX, DEFAULT, CLEAR, USE, *WIDTHS)) - QUADS
_UNEQUAL = ord("!")
_GAP = b"\0"
"""Stands for the blank before what a test prints, unless nothing was printed before; no test whose
words are followed prints a zero."""


class NotKnownError(Exception):
    """What a rule prints can't be told."""


_Outcome = tuple[bool | None, int | None]
"""Whether a test passes, and where its match ends; each is None if that isn't known."""


class _Facts(NamedTuple):
    """What is the same of a test for all texts.

    :ivar can_be_told: the type of the test is followed here.
    :ivar words: what it prints, behind a gap if it wants one; None if a value of the file is in it.
    :ivar is_exact: `test` is the very test of libmagic.
    :ivar is_plain_search: a search whose word must be within reach of the pattern.
    :ivar length: bytes that the test looks at, but for a search.
    """

    can_be_told: bool
    words: bytes | None
    is_exact: bool
    is_plain_search: bool
    test: Test | None
    length: int


@lru_cache(None)
def _facts(node: RuleNode) -> _Facts:
    record = node.record
    exact = is_exact(record)
    return _Facts(
        can_be_told=(
            record.type in _FOLLOWED_TYPES and not node.fails and record.relation != _UNEQUAL
        ),
        words=_constant_words(record),
        is_exact=exact,
        is_plain_search=exact and record.type == SEARCH,
        test=place_test(record) if exact else None,
        length=WIDTHS.get(record.type, record.length),
    )


class Outcomes:
    """Tells what the rules of one walk, that for bytes or that for text, print of one text.

    :param text: in UTF-8.
    :param ends: the patterns that match in it.
    :param looks: libmagic takes the file for text before it cuts zeros from its end.
    """

    def __init__(self, text: bytes, ends: MatchEnds, looks: bool) -> None:
        self._text = text
        self._ends = ends
        self._looks = looks
        self._regex_size = min(len(text), NEAR)

    def of(self, conditions: list[Condition]) -> bytes:
        """Return what libmagic prints, b"" for nothing.

        :param conditions: rules of one walk that may print, in libmagic's order.
        :raises NotKnownError: it may be one thing or another.
        """
        if not conditions:
            return b""
        possible: set[bytes] = set()
        for condition in conditions:
            if condition.looks_like_text not in (None, self._looks):
                continue
            if not condition.may_print(self._text, self._ends):
                continue
            if condition.continues_below or condition.reads_end or condition.loses_levels:
                raise NotKnownError
            found, _ = self._of_test(condition.whole_node, 0, False)
            printed = {_spelled(words) for words in found}
            possible |= printed - {b""}
            if len(possible) > 1:
                raise NotKnownError
            if b"" not in printed:
                break  # it surely prints, so the walk ends
        else:
            possible.add(b"")
        if len(possible) > 1:
            raise NotKnownError
        return possible.pop()

    def _of_test(
        self, node: RuleNode, base: int | None, sibling_passed: bool | None
    ) -> tuple[set[bytes], bool | None]:
        """Return all that a test and those below it may print, and whether it passes.

        Gaps are marked (`_GAP`), since a test that prints nothing may have one below that does.

        :param base: where the match above ends, None if that isn't known.
        :param sibling_passed: a test of the same level before it passed, None if not known.
        """
        facts = _facts(node)
        passes, end = self._outcome(node, facts, base, sibling_passed)
        if passes is False or not node.matters:
            return {b""}, passes
        if not facts.can_be_told:
            raise NotKnownError
        if node.record.type == USE:
            # Where the rule has printed before, some versions let a call pass without its block.
            if node.has_more or may_print(node)(self._text, self._ends):
                raise NotKnownError
            return {b""}, False

        # Put what each test below may print behind what is printed before it.
        if facts.words is None:
            raise NotKnownError
        possible = {facts.words}
        any_passed: bool | None = False
        for one in node.asked:
            below, passed = self._of_test(one, end, any_passed)
            any_passed = _or(any_passed, passed)
            if one.record.type == CLEAR:
                any_passed = False
            possible = {first + then for first in possible for then in below}
            if len(possible) > _MAX_POSSIBLE:
                raise NotKnownError
        if not passes:
            possible.add(b"")
        return possible, passes

    def _outcome(
        self, node: RuleNode, facts: _Facts, base: int | None, sibling_passed: bool | None
    ) -> _Outcome:
        """Evaluate one test."""
        record = node.record
        pattern = node.pattern
        # Fail where the word or the pattern is nowhere within reach.
        if facts.is_plain_search:
            reach = None if pattern is None else pattern.reach
            if self._text.find(record.word, 0, reach) < 0:
                return False, None
        elif pattern is not None and self._ends[pattern] < 0:
            return False, None
        place = self._place(record, base)
        if record.type in (DEFAULT, CLEAR):
            return self._is_default(record, place, sibling_passed), place
        if record.type == REGEX:
            return self._matches_regex(node, place), None
        if place is None:
            return None, None
        if not facts.is_exact:
            end = place + record.length if record.type == STRING else None
            return self._begins_with_word(record, place), end
        if facts.is_plain_search:
            return self._search(record, place)
        passes = None if facts.test is None else facts.test(self._text, place)
        return passes, place + facts.length

    def _place(self, record: Record, base: int | None) -> int | None:
        """Return where a test looks, None if that isn't known."""
        moved = record.flag & MOVED
        if not moved:
            return record.offset
        return base + record.offset if moved == OFFADD and base is not None else None

    def _is_default(
        self, record: Record, place: int | None, sibling_passed: bool | None
    ) -> bool | None:
        """Tell whether `default` or `clear` passes: `default` does if no test beside it did (match).

        :raises NotKnownError: its place may be behind the text, where libmagic leaves out what is
            below.
        """
        # Where a match ends is in the text.
        follows_match = record.flag & MOVED == OFFADD and not record.offset
        if len(self._text) < place if place is not None else not follows_match:
            raise NotKnownError
        if record.type == CLEAR:
            return True
        return None if sibling_passed is None else not sibling_passed

    def _matches_regex(self, node: RuleNode, place: int | None) -> bool | None:
        """Tell whether an expression matches, None if that isn't known.

        A match that ends before the last byte that libmagic shows it is one of libmagic's.
        """
        pattern = node.pattern
        if place is None or pattern is None or node.record.relation != EQUAL:
            return None
        if not place and pattern.exact:
            return True if self._ends[pattern] < self._regex_size else None
        if node.expression is None or place > len(self._text):
            return None
        shown = self._text[place : place + NEAR][:-1]
        return node.expression.search(shown) is not None

    def _begins_with_word(self, record: Record, place: int) -> bool | None:
        """Tell whether a word with modifiers is at a place, None if that isn't known."""
        if record.type != STRING or record.relation != EQUAL or record.range:
            return None
        if not record.word.isascii():
            return None
        if place + record.length > len(self._text):
            # libmagic wants room for the whole word, of which blanks may be left out (mget).
            return False
        string = self._text[place : place + STRING_BYTES]
        return begins_with(string, record.word, record.modifiers)

    def _search(self, record: Record, place: int) -> _Outcome:
        """Evaluate a search without modifiers that change what matches."""
        word = record.word
        reach = search_bytes(record) if record.range else len(self._text)
        at = self._text.find(word, place, place + reach)
        if at < 0:
            return False, None
        return True, at if record.modifiers & patterns.START else at + len(word)


def _or(one: bool | None, other: bool | None) -> bool | None:
    """Return `one or other`, None if that depends on one that isn't known."""
    if one or other:
        return True
    return None if one is None or other is None else False


def _constant_words(record: Record) -> bytes | None:
    """Return what a test prints, behind a gap if it wants one; None if a value is in it."""
    words = record.description
    has_value = b"%" in words or b"$" in words
    is_plain = words.isascii() and words.decode("ascii").isprintable()
    if has_value or not is_plain:
        return None
    return words if not words or record.flag & NOSPACE else _GAP + words


def _spelled(printed: bytes) -> bytes:
    """Return what is printed with its gaps as blanks; nothing stands before the first one."""
    return printed.removeprefix(_GAP).replace(_GAP, b" ")
