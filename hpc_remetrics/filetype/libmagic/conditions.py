"""What a rule needs of a file before it can print a word, as far as that is understood.

A rule prints if its first test passes and it has words, or if one of the tests below does. A rule
that prints nothing changes nothing (docs/filetype.md), so it can be left out for this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from functools import cached_property, lru_cache
from typing import Literal

from . import patterns
from .database import (
    BINTEST,
    DER,
    GUID,
    INDIR,
    LESTRING16,
    OFFADD,
    OFFNEGATIVE,
    PSTRING,
    REGEX,
    SEARCH,
    STRING,
    TEXTTEST,
    Base,
    Record,
)
from .numeric import QUADS, WIDTHS, Pairs, Test, bytes_of, pairs_from, pairs_of, test_of
from .tree import EQUAL, MOVED, Node, Pattern, tree

_ADD = 3
_KEPT = frozenset((STRING, SEARCH, REGEX, PSTRING, GUID, *WIDTHS)) - QUADS
_OF_TEXTS = (STRING, SEARCH, REGEX)
_MOST_TRIGGERS = 8
_FEW_PAIRS = 4
WORD = 4
"""Bytes that a rule is looked up by, where a file begins."""

Found = Mapping[Pattern, int] | None
"""Pattern -> where its first match ends in a file, -1 if there is none; None: not known."""

Prints = Callable[[bytes, Found], bool]


class Need:
    """What one rule needs.

    :ivar binary: it is tried on the bytes; `text`: on text.
    :ivar places: pairs of bytes at places, of which it needs one.
    :ivar words: places and :data:`WORD` bytes there, in small letters, of which it needs one.
    :ivar least: a file of fewer bytes may do without those pairs.
    :ivar by_top: words and places are what its first test needs, which `passes` tells of.
    :ivar triggers: patterns of which it needs one to match; none where it needs something else.
    """

    def __init__(self, base: Base, rule: int, record: Record, top_alone: bool = False) -> None:
        self._base, self.rule, self._record, self._top_alone = base, rule, record, top_alone
        self.binary, self.text = bool(record.flag & BINTEST), bool(record.flag & TEXTTEST)
        self.words = _words(record)
        rare = ([], 0) if self.words else _rare_places(record)
        self.by_top = rare is not None
        self.places, self.least = rare or _best_places(list(self.node.path()))
        self.triggers: list[Pattern] = (
            [] if self.words or self.places else _triggers(self.node) or []
        )

    @cached_property
    def looks(self) -> bool | None:
        """Tell whether it is asked only of files that look like text, or, False, of those that
        don't; None: of both."""
        return _looks(self._record)

    @cached_property
    def returns(self) -> bool:
        """Tell whether libmagic may go on with the next rules although this one printed."""
        record = self._record
        return self.rule in self._base.returning or (
            bool(record.description) and _may_be_left(record)
        )

    @cached_property
    def from_end(self) -> bool:
        """Tell whether the rule looks at the file's end, at first or below."""
        return self.rule in self._base.from_end

    @cached_property
    def ends(self) -> bool:
        """Tell whether True of `prints` is sure too, and libmagic's walk ends with this rule."""
        record = self._record
        return (
            bool(record.description)
            and not self.returns
            and not (self.binary and self.text)  # in the other walk it may not pass
            and record.relation == EQUAL
            and not record.flag & MOVED
            and _is_for_all(record)
            and is_exact(record)
        )

    @cached_property
    def node(self) -> Node:
        """The rule; most are never looked at further than :func:`_words` does."""
        top = self._record
        # Behind a test of the file's end the next ones count from there: the first test alone is
        # followed.
        if self._top_alone or self.from_end:
            node = tree(self._base, [top])
            node.effects = True
            return node
        # What is below a binary test that has words isn't asked for: it prints whatever that says.
        alone = top.description and top.flag & BINTEST
        return tree(self._base, [top] if alone else self._base.records(self.rule))

    @cached_property
    def passes(self) -> Prints:
        """Tell whether the first test may pass: False is sure."""
        return _passes(tree(self._base, [self._record]))

    @cached_property
    def prints(self) -> Prints:
        """Tell of a file's bytes, and the patterns found in it, whether the rule may print: False
        is sure."""
        return prints(self.node)


def need_of(base: Base, rule: int) -> Need | None:
    """Return what a rule needs to print, or None if it can't, or begins at the file's end
    (`ends`)."""
    record = base.top(rule)
    if _is_from_end(record):
        return None
    need = Need(base, rule, record)
    return need if need.words or need.places or need.node.matters else None


def need_to_pass(base: Base, rule: int) -> Need | None:
    """Return what a rule needs for its first test to pass, or None if that is at the file's end
    (`ends`)."""
    record = base.top(rule)
    return None if _is_from_end(record) else Need(base, rule, record, True)


def _is_from_end(record: Record) -> bool:
    """Tell whether a test looks at a file's end: of a buffer it never passes (msetoffset,
    buffer_fill)."""
    return bool(record.flag & OFFNEGATIVE)


def _may_be_left(record: Record) -> bool:
    """Tell whether libmagic may find no place behind a first test that passed, and leave the rule
    (moffset)."""
    return record.relation == ord("!") or record.type not in _KEPT


def _looks(record: Record) -> bool | None:
    """Tell whether libmagic asks a first test of files that look like text alone, or of others
    (match)."""
    one = record.modifiers & (patterns.TEXT | patterns.BINARY) if record.type in _OF_TEXTS else 0
    return {patterns.TEXT: True, patterns.BINARY: False}.get(one)


def _is_for_all(record: Record) -> bool:
    """Tell whether a first test is for files that look like text and for others, and of plain
    ASCII."""
    return record.type in WIDTHS or (_looks(record) is None and record.word.isascii())


def is_exact(record: Record) -> bool:
    """Tell whether :func:`place_test` is the very test."""
    if record.type in WIDTHS:
        return test_of(record) is not None
    plain = record.type in (STRING, SEARCH) and not record.modifiers & ~patterns.PLAIN
    return plain and bool(record.length) and record.relation == EQUAL


@lru_cache(None)
def prints(node: Node) -> Prints:
    """Return a function that tells whether a test, or one below, may print."""
    passes = _passes(node)
    if node.effects:
        return passes
    below = [prints(one) for one in node.below if one.matters]
    if len(below) == 1:  # which most have
        only = below[0]
        return lambda data, found: passes(data, found) and only(data, found)
    return lambda data, found: passes(data, found) and any(may(data, found) for may in below)


def _passes(node: Node) -> Prints:
    """Return a function that tells whether a test may pass."""
    record, test = node.record, place_test(node.record)
    if record.type in QUADS and record.flag & MOVED:
        return lambda data, found: True  # wherever that is, zeros may be read
    if (
        test is not None
        and record.level == 1
        and record.flag & MOVED == OFFADD
        and _is_search(node.top)
    ):
        return _behind(record, test, node.top)
    if record.level and record.type == SEARCH and is_exact(record):
        # Somewhere in a text is cheap to ask, and in a file of any size isn't.
        word, reach = record.word, node.pattern.reach if node.pattern is not None else None
        return lambda data, found: found is None or data.find(word, 0, reach) >= 0
    if (
        record.type in (SEARCH, REGEX)
        and node.pattern is not None
        and (record.level or test is None)
    ):
        pattern = node.pattern
        return lambda data, found: found is None or found[pattern] >= 0
    if test is None:
        return lambda data, found: True
    if record.type == DER and not record.level and not record.offset:
        return _sequence_with(node)
    offset = record.offset
    if not record.flag & MOVED:
        begins = bytes_of_test(record)
        if begins is not None:
            return lambda data, found: data.startswith(begins, offset)
        return lambda data, found: test(data, offset)
    if record.flag & MOVED != INDIR or not _is_added(record) or record.in_type not in WIDTHS:
        return lambda data, found: True
    return _indirect(record, test)


def _is_added(record: Record) -> bool:
    """Tell whether a place is a number of the file, and one of the rule that is added to it."""
    return record.in_operator == _ADD or (record.in_operator == 0 and not record.in_offset)


def _is_search(record: Record) -> bool:
    return (
        record.type == SEARCH and is_exact(record) and not record.flag & MOVED and not record.level
    )


def _behind(record: Record, test: Test, top: Record) -> Prints:
    """Return a test at a place behind what the search above found."""
    word, offset = top.word, top.offset
    end = offset + reach_of(top) if top.range else None
    more = record.offset + (0 if top.modifiers & patterns.START else len(word))

    def passes(data: bytes, found: Found) -> bool:
        at = data.find(word, offset, end)
        return at >= 0 and at + more >= 0 and test(data, at + more)

    return passes


def reach_of(record: Record) -> int:
    """Return how far a search with a range looks: without modifiers one place further
    (magiccheck)."""
    return record.range + len(record.word) - bool(record.modifiers)


def bytes_of_test(record: Record) -> bytes | None:
    """Return the bytes that are all that a test asks for at its place."""
    if (
        record.type == STRING
        and not record.modifiers & ~patterns.PLAIN
        and record.relation == EQUAL
    ):
        return record.word
    return bytes_of(record)


def _words(record: Record) -> list[tuple[int, bytes]]:
    """Return places, and bytes there in small letters, of which a file must have one for a first
    test to pass."""
    if record.offset or record.flag & MOVED or record.relation != EQUAL:
        return []
    word, places = bytes_of_test(record) or b"", [0]
    at_once = record.type == STRING or (record.type == SEARCH and record.range == 1)
    if record.type == SEARCH and record.range == 1 and not record.modifiers:
        word, places = record.word, [0, 1]  # it may begin at the next byte too
    elif at_once and not record.modifiers & ~patterns.UNDERSTOOD:
        blanks = record.modifiers & (patterns.COMPACT | patterns.OPTIONAL_SPACE)
        # A blank may stand for any number of them.
        word = (
            b""
            if blanks and any(one in patterns.SPACES for one in record.word[:WORD])
            else record.word
        )
    return [(place, word[:WORD].lower()) for place in places] if len(word) >= WORD else []


def _indirect(record: Record, test: Test) -> Prints:
    """Return a test at the place that a number in the file names."""
    offset, width, more = record.offset, WIDTHS[record.in_type], record.in_offset
    order: Literal["big", "little"] = "big" if record.in_type in (7, 8, 26) else "little"
    absent = record.relation == ord("!")

    def passes(data: bytes, found: Found) -> bool:
        number = data[offset : offset + width]
        place = int.from_bytes(number, order) + more
        # A place beyond 32 bits fails, as one beyond the file does.
        return absent if len(number) < width or place < 0 else test(data, place)

    return passes


def place_test(record: Record) -> Test | None:
    """Return a test as a function of the file's bytes and a place; None if it may pass for all that
    is known.

    For strings and searches without modifiers, and for numbers, it is the very test; for others it
    may pass more. What would take long isn't tried.
    """
    if record.type in WIDTHS:
        return test_of(record)
    if record.relation != EQUAL:
        return None
    if record.type == DER:
        return _is_sequence if record.value.startswith(b"seq\0") else None
    word = record.word
    if record.type not in (STRING, SEARCH) or record.modifiers & ~patterns.UNDERSTOOD or not word:
        return None
    if record.modifiers & ~patterns.PLAIN:
        return _folded(record)
    if record.type == STRING:
        return lambda data, offset: data.startswith(word, offset)
    if not record.range:
        return lambda data, offset: data.find(word, offset) >= 0
    reach = reach_of(record)
    return lambda data, offset: data.find(word, offset, offset + reach) >= 0


def _is_sequence(data: bytes, offset: int) -> bool:
    return _may_be_tag(data, offset, (16,))


def _may_be_tag(data: bytes, offset: int, tags: Container[int]) -> bool:
    """Tell whether a DER tag may be one of these: five bits hold it, or 32 bits that overflow, so
    five more bytes."""
    tag = data[offset : offset + 6]
    return bool(tag) and (
        tag[0] & 31 in tags or (tag[0] & 31 == 31 and len(tag) == 6 and min(tag[1:]) >= 128)
    )


_TAGS = {b"int": 2, b"obj_id": 6, b"seq": 16, b"set": 17}


def _sequence_with(node: Node) -> Prints:
    """Return the test of a DER sequence, and of its first element's tag, which one of the tests
    below must know."""
    names = [
        [tag for name, tag in _TAGS.items() if one.record.value.startswith(name)]
        for one in node.below
    ]
    known = all(names) and all(one.record.type == DER for one in node.below)
    first = {tag for name in names for tag in name} if known and names else set(range(32))

    def passes(data: bytes, found: Found) -> bool:
        if not _is_sequence(data, 0):
            return False
        # A length of one byte stands between.
        return data[0] & 31 == 31 or data[1:2] >= b"\x80" or _may_be_tag(data, 2, first)

    return passes


def _folded(record: Record) -> Test | None:
    """Return the test of a word with modifiers at its place; elsewhere a matcher of many does
    it."""
    if record.type != STRING and record.range != 1:
        return None
    expression = patterns.of_word(record.word, record.modifiers)
    return lambda data, offset: _compiled(expression).match(data, offset) is not None


@lru_cache(None)
def _compiled(expression: str) -> re.Pattern[bytes]:
    return re.compile(expression.encode())


def _rare_places(record: Record) -> tuple[list[tuple[int, Pairs]], int] | None:
    """Return the place of a first test where few pairs of bytes will do, None if there is none."""
    pairs = (
        None
        if record.flag & MOVED or record.type in QUADS or record.type == SEARCH
        else _pairs(record)
    )
    return ([pairs], 0) if pairs and len(pairs[1]) <= _FEW_PAIRS and 0 not in pairs[1] else None


def _best_places(path: list[Record]) -> tuple[list[tuple[int, Pairs]], int]:
    """Return the place on the way where the fewest pairs of bytes will do, or two of which one is
    needed.

    And the bytes of a file below which it may do without: it ends where libmagic reads zeros.
    """
    top = path[0]
    if (
        top.type == SEARCH
        and top.range == 1
        and not top.modifiers
        and top.length
        and top.relation == EQUAL
    ):
        # It may begin at the next byte too.
        allowed = pairs_from(*patterns.first_pairs(top.word, 0) or (_ANY, _ANY))
        return [(top.offset, allowed), (top.offset + 1, allowed)], 0
    found: dict[int, Pairs] = {}
    least: dict[int, int] = {}
    for record in path:
        pairs = None if record.flag & MOVED else _pairs(record)
        if pairs is not None:
            offset, allowed = pairs
            found[offset] = sorted({*found[offset]} & {*allowed}) if offset in found else allowed
            if record.type in QUADS and 0 in allowed:
                least[offset] = record.offset + WIDTHS[record.type]
    if not found:
        return [], 0
    best = min(found.items(), key=_rarity)
    return [best], least.get(best[0], 0)


def _rarity(place: tuple[int, Pairs]) -> tuple[bool, int]:
    """Order places by how many files have one of the pairs: two zeros are common."""
    return 0 in place[1], len(place[1])


def _pairs(record: Record) -> tuple[int, Pairs] | None:
    """Return a place, and the pairs of bytes there of which the test needs one."""
    if record.type in WIDTHS:
        return pairs_of(record)
    if record.relation != EQUAL:
        return None
    if record.type == GUID:
        return record.offset, pairs_from(record.value[:1], record.value[1:2])
    if record.type == DER and not record.level and record.value.startswith(b"seq\0"):
        # The tag is the low five bits, or in the next bytes if all are set.
        return record.offset, pairs_from(
            bytes(one for one in range(256) if one & 31 in (16, 31)), _ANY
        )
    if record.type == LESTRING16 and record.length and record.value[0]:
        return record.offset, pairs_from(record.value[:1], _ANY)
    if record.type == PSTRING and record.length and record.value[0]:
        # The first character stands behind a length of one byte.
        short = record.modifiers & ~patterns.PLAIN == _ONE_BYTE_LENGTH
        return (record.offset, pairs_from(_ANY, record.value[:1])) if short else None
    if record.type == STRING or (record.type == SEARCH and record.range == 1 and record.modifiers):
        first = patterns.first_pairs(record.word, record.modifiers)
        return (record.offset, pairs_from(*first)) if first else None
    return None


_ONE_BYTE_LENGTH = 1 << 7
_ANY = bytes(range(256))


def _triggers(node: Node) -> list[Pattern] | None:
    """Return patterns of which one must match before the rule prints, the rarer the better; None if
    none need to."""
    own = [node.pattern] if node.pattern is not None else None
    if node.effects:
        return own
    below = [_triggers(one) for one in node.below if one.matters]
    found = [pattern for one in below for pattern in one or ()]
    if not all(below) or len(found) > _MOST_TRIGGERS:
        return own
    return found if own is None or min(one.weight for one in found) >= own[0].weight else own
