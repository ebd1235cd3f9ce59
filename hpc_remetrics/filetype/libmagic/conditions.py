r"""Derive from a rule of libmagic the conditions that a file must meet for it to print.

A rule prints if its first test passes and it has words, or if one of the tests below does. A rule
that prints nothing changes nothing (docs/filetype.md), so it can be left out for this file.

Three rules of libmagic's source, and what is known of each without asking libmagic::

    0   string       \x89PNG\x0d\x0a\x1a\x0a...  PNG image data    words:    b"\x89png" at 0
    0   string       \037\213                                    places:   the pair 1f 8b at 0
    >3  byte&0x18    >0                        gzip compressed
    0   search/4096  def\ __init__                               triggers: the pattern \x64\x65...
    >&0 search/64    self                      Python script

`words`, `places` or `triggers` are what `screen` finds a rule by: it needs one of them. The few rules
that are found are then tested one by one, by the functions `may_pass` (of the first test) and
`may_print` (of the whole rule). Both may say True too often, and False only where it is sure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Mapping
from functools import cached_property, lru_cache

from . import patterns
from .database import (
    BINTEST,
    DER,
    GUID,
    INDIR,
    INDIROFFADD,
    LESTRING16,
    OFFADD,
    OFFNEGATIVE,
    PSTRING,
    REGEX,
    SEARCH,
    STRING,
    TEXTTEST,
    Database,
    Record,
)
from .numeric import (
    QUADS,
    WIDTHS,
    Pairs,
    Test,
    byte_order,
    bytes_of,
    pairs_from,
    pairs_of,
    test_of,
)
from .tree import EQUAL, MOVED, Pattern, RuleNode, tree_of

WORD_BYTES = 4
"""Bytes that a rule is looked up by, where a file begins."""

MatchEnds = Mapping[Pattern, int]
"""Pattern -> where its first match in a text ends, the text's size if that isn't known, -1 if there
is none."""

Predicate = Callable[[bytes, MatchEnds | None], bool]
"""Tells something of a file's bytes and the patterns that match in them, None if not known."""

_ADD = 3
_ALWAYS_PLACED = frozenset((STRING, SEARCH, REGEX, PSTRING, GUID, *WIDTHS)) - QUADS
_TEXT_TYPES = (STRING, SEARCH, REGEX)
_MAX_TRIGGERS = 8
_FEW_PAIRS = 4
_ONE_BYTE_LENGTH = 1 << 7
_ANY_BYTE = bytes(range(256))


class Condition:
    """What one rule needs.

    :ivar rule: its number, by which libmagic's order is kept.
    :ivar binary: libmagic asks it of the bytes; `text`: of text.
    :ivar words: places and :data:`WORD_BYTES` bytes there, in small letters, of which it needs one.
    :ivar places: places and pairs of bytes there, of which it needs one; two zeros may lie behind
        the end of a file of fewer than `padded_bytes`.
    :ivar of_first_test: words and places are what its first test needs, which `may_pass` tells of.
    :ivar triggers: patterns of which it needs one to match; none where it needs something else.
    :param record: the first one of the rule.
    :param first_test_alone: regard no test below: the rule prints if the first passes.
    """

    def __init__(
        self, database: Database, rule: int, record: Record, first_test_alone: bool = False
    ) -> None:
        self._database = database
        self._record = record
        self._first_test_alone = first_test_alone
        self.rule = rule
        self.binary = bool(record.flag & BINTEST)
        self.text = bool(record.flag & TEXTTEST)
        # Take the cheapest to look up of what the rule needs.
        self.words = _first_words(record)
        few = ([], 0) if self.words else _few_pairs(record)
        self.of_first_test = few is not None
        self.places, self.padded_bytes = few or _best_places(list(self.node.path()))
        self.triggers: list[Pattern] = []
        if not self.words and not self.places:
            self.triggers = _triggers(self.node) or []

    @cached_property
    def looks_like_text(self) -> bool | None:
        """Whether it is asked only of files that look like text (True) or don't (False), or both."""
        return _looks_like_text(self._record)

    @cached_property
    def continues_below(self) -> float:
        """Bytes of a file, as far as libmagic reads it, below which it may go on with the next
        rules although this one printed: 0 if it never does, infinite if it always may."""
        if self._record.description and _may_lose_place(self._record):
            return math.inf
        return self._database.continuing.get(self.rule, 0)

    @cached_property
    def reads_end(self) -> bool:
        """Tell whether the rule looks at the file's end, at first or below."""
        return self.rule in self._database.reading_end

    @cached_property
    def loses_levels(self) -> bool:
        """Tell whether a test may not find where the match above ends, or which tests passed."""
        return self.rule in self._database.losing_levels

    @cached_property
    def ends_walk(self) -> bool:
        """Tell whether True of `may_print` is sure too, and libmagic's walk ends with this rule."""
        record = self._record
        return (
            bool(record.description)
            and not self.continues_below
            and not (self.binary and self.text)  # in the other walk it may not pass
            and record.relation == EQUAL
            and not record.flag & MOVED
            and _is_of_all_files(record)
            and is_exact(record)
        )

    @cached_property
    def node(self) -> RuleNode:
        """The rule as a tree; most are never looked at further than :func:`_first_words` does."""
        top = self._record
        # Behind a test of the file's end the next ones count from there: the first test alone is
        # followed.
        if self._first_test_alone or self.reads_end:
            node = tree_of(self._database, [top])
            node.has_effect = True
            return node
        # A test of bytes that has words prints whatever is below.
        if top.description and top.flag & BINTEST:
            return tree_of(self._database, [top])
        return self.whole_node

    @cached_property
    def whole_node(self) -> RuleNode:
        """The rule as a tree with all of its tests."""
        records = self._database.records(self.rule)
        if self.loses_levels:
            records = [_with_unknown_place(record) for record in records]
        return tree_of(self._database, records)

    @cached_property
    def may_pass(self) -> Predicate:
        """Tells whether the first test may pass: False is sure."""
        return _may_pass(tree_of(self._database, [self._record]))

    @cached_property
    def may_print(self) -> Predicate:
        """Tells whether the rule may print: False is sure."""
        return may_print(self.node)


def condition_of(database: Database, rule: int) -> Condition | None:
    """Return what a rule needs to print.

    None if it can't print, or begins at the file's end (`end_rules`).
    """
    record = database.first_record(rule)
    if record.flag & OFFNEGATIVE:
        return None
    condition = Condition(database, rule, record)
    if condition.words or condition.places or condition.node.matters:
        return condition
    return None


def condition_to_pass(database: Database, rule: int) -> Condition | None:
    """Return what a rule needs for its first test to pass, None if that is at the file's end."""
    record = database.first_record(rule)
    if record.flag & OFFNEGATIVE:
        return None
    return Condition(database, rule, record, first_test_alone=True)


def is_exact(record: Record) -> bool:
    """Tell whether :func:`place_test` is the very test."""
    if record.type in WIDTHS:
        return test_of(record) is not None
    if record.type not in (STRING, SEARCH) or record.modifiers & ~patterns.PLAIN:
        return False
    if record.type == STRING and record.range:
        return False  # since 5.44 so many bytes are compared, with all before
    return bool(record.length) and record.relation == EQUAL


def search_bytes(record: Record) -> int:
    """Return how many bytes a search with a range looks at; without modifiers one more (magiccheck)."""
    return record.range + len(record.word) - bool(record.modifiers)


def bytes_of_test(record: Record) -> bytes | None:
    """Return the bytes that are all that a test asks for at its place, None if it isn't so plain."""
    is_plain = record.type == STRING and not record.modifiers & ~patterns.PLAIN
    if is_plain and record.relation == EQUAL:
        return record.word
    return bytes_of(record)


def place_test(record: Record) -> Test | None:
    """Return a test as a function of a file's bytes and a place; None if it may pass anywhere.

    For strings and searches without modifiers, and for numbers, it is the very test; for others it
    may pass more. What would take long isn't tried.
    """
    if record.type in WIDTHS:
        return test_of(record)

    # Of texts, only equality is followed.
    if record.relation != EQUAL:
        return None
    if record.type == DER:
        return _is_der_sequence if record.value.startswith(b"seq\0") else None
    word = record.word
    if record.type == LESTRING16 and not record.modifiers:
        return _wide_word_test(word)

    # Words of one byte a character, at the place or within a range behind it.
    if record.type not in (STRING, SEARCH) or record.modifiers & ~patterns.UNDERSTOOD or not word:
        return None
    if record.modifiers & ~patterns.PLAIN:
        return _modified_word_test(record)
    if record.type == STRING:
        return lambda data, offset: data.startswith(word, offset)
    if not record.range:
        return lambda data, offset: data.find(word, offset) >= 0
    reach = search_bytes(record)
    return lambda data, offset: data.find(word, offset, offset + reach) >= 0


@lru_cache(None)
def may_print(node: RuleNode) -> Predicate:
    """Return a function that tells whether a test, or one below, may print."""
    may_pass = _may_pass(node)
    if node.has_effect:
        return may_pass
    below = [may_print(one) for one in node.below if one.matters]
    if len(below) == 1:  # which most have
        only = below[0]
        return lambda data, matches: may_pass(data, matches) and only(data, matches)
    return lambda data, matches: (
        may_pass(data, matches) and any(may(data, matches) for may in below)
    )


def _may_pass(node: RuleNode) -> Predicate:
    """Return a function that tells whether a test may pass."""
    record = node.record
    moved = record.flag & MOVED
    test = place_test(record)
    if test is not None and node.place_of_block_test is not None and record.type in WIDTHS:
        return _where_present(test, node.place_of_block_test, WIDTHS[record.type])
    if record.type in QUADS and moved:
        return _always  # wherever its place is, zeros may be read
    if test is not None and record.level == 1 and moved == OFFADD and _is_placed_search(node.top):
        return _behind_search(record, test, node.top)
    if record.level and record.type == SEARCH and is_exact(record):
        # Somewhere in a text is cheap to ask, and in a file of any size isn't.
        word = record.word
        reach = None if node.pattern is None else node.pattern.reach
        return lambda data, matches: matches is None or data.find(word, 0, reach) >= 0
    is_sought = record.type in (SEARCH, REGEX) and (record.level or test is None)
    if is_sought and node.pattern is not None:
        pattern = node.pattern
        return lambda data, matches: matches is None or matches[pattern] >= 0
    if test is None:
        return _always
    if record.type == DER and not record.level and not record.offset:
        return _der_sequence_with(node)
    offset = record.offset
    if not moved:
        word_there = bytes_of_test(record)
        if word_there is not None:
            return lambda data, matches: data.startswith(word_there, offset)
        return lambda data, matches: test(data, offset)
    if moved == INDIR and _is_added(record) and record.in_type in WIDTHS:
        return _at_named_place(record, test)
    return _always


def _always(data: bytes, matches: MatchEnds | None) -> bool:
    """Stand for a test of which nothing is known."""
    return True


def _where_present(test: Test, place: int, width: int) -> Predicate:
    """Return a test that may pass where the file hasn't all of its bytes."""
    end = place + width
    return lambda data, matches: len(data) < end or test(data, place)


def _may_lose_place(record: Record) -> bool:
    """Tell whether libmagic may find no place behind a test that passed, and leave the rule (moffset)."""
    return record.relation == ord("!") or record.type not in _ALWAYS_PLACED


def _looks_like_text(record: Record) -> bool | None:
    """Tell whether libmagic asks a test of files that look like text, or don't, or both (match)."""
    if record.type not in _TEXT_TYPES:
        return None
    looks = record.modifiers & (patterns.TEXT | patterns.BINARY)
    return {patterns.TEXT: True, patterns.BINARY: False}.get(looks)


def _is_of_all_files(record: Record) -> bool:
    """Tell whether a test is for files that look like text and for others, and of plain ASCII."""
    if record.type in WIDTHS:
        return True
    return _looks_like_text(record) is None and record.word.isascii()


def _is_added(record: Record) -> bool:
    """Tell whether a place is a number of the file, and one of the rule that is added to it."""
    return record.in_operator == _ADD or (record.in_operator == 0 and not record.in_offset)


def _is_placed_search(record: Record) -> bool:
    """Tell whether a test is a search at a known place that is followed to the letter."""
    is_first = not record.level and not record.flag & MOVED
    return record.type == SEARCH and is_exact(record) and is_first


def _behind_search(record: Record, test: Test, top: Record) -> Predicate:
    """Return a test at a place behind what the search above found."""
    word = top.word
    offset = top.offset
    end = offset + search_bytes(top) if top.range else None
    more = record.offset + (0 if top.modifiers & patterns.START else len(word))

    def may_pass(data: bytes, matches: MatchEnds | None) -> bool:
        at = data.find(word, offset, end)
        return at >= 0 and at + more >= 0 and test(data, at + more)

    return may_pass


def _with_unknown_place(record: Record) -> Record:
    """Return a test of which nobody knows where it looks, if it counts from where a match ends."""
    if record.flag & OFFADD:
        return record._replace(flag=record.flag | INDIROFFADD)
    return record


def _at_named_place(record: Record, test: Test) -> Predicate:
    """Return a test at the place that a number in the file names.

    A place beyond 32 bits fails since 5.44, as one beyond the file does; before, its lower 32 bits
    counted (do_ops).
    """
    offset = record.offset
    width = WIDTHS[record.in_type]
    more = record.in_offset
    order = byte_order(record.in_type)
    passes_absent = record.relation == ord("!")

    def may_pass(data: bytes, matches: MatchEnds | None) -> bool:
        number = data[offset : offset + width]
        place = int.from_bytes(number, order) + more
        if len(number) < width:
            return passes_absent
        if 0 <= place < 1 << 32:
            return test(data, place)
        return passes_absent or test(data, place & (1 << 32) - 1)

    return may_pass


def _wide_word_test(word: bytes) -> Test:
    """Return the test of a word of 16-bit characters, of which the lower bytes are compared (mcopy).

    A zero may count as a blank, and behind the end of the file any byte may be.
    """
    wanted = [(character, 0 if character == ord(" ") else character) for character in word]

    def may_pass(data: bytes, offset: int) -> bool:
        lower_bytes = data[offset : offset + 2 * len(word) : 2]
        return all(byte in allowed for byte, allowed in zip(lower_bytes, wanted, strict=False))

    return may_pass


def _modified_word_test(record: Record) -> Test | None:
    """Return the test of a word with modifiers at its place; elsewhere a matcher seeks it."""
    if record.type != STRING and record.range != 1:
        return None
    expression = patterns.of_word(record.word, record.modifiers)
    return lambda data, offset: _compiled(expression).match(data, offset) is not None


@lru_cache(None)
def _compiled(expression: str) -> re.Pattern[bytes]:
    """Compile an expression when a file needs it first."""
    return re.compile(expression.encode())


_DER_TAGS = {b"int": 2, b"obj_id": 6, b"seq": 16, b"set": 17}


def _is_der_sequence(data: bytes, offset: int) -> bool:
    return _may_be_der_tag(data, offset, (16,))


def _may_be_der_tag(data: bytes, offset: int, tags: Container[int]) -> bool:
    """Tell whether a DER tag may be one of these.

    Five bits hold it; if all are set it is in the next bytes, as 32 bits that overflow: five more.
    """
    tag = data[offset : offset + 6]
    if not tag:
        return False
    return tag[0] & 31 in tags or (tag[0] & 31 == 31 and len(tag) == 6 and min(tag[1:]) >= 128)


def _der_sequence_with(node: RuleNode) -> Predicate:
    """Return the test of a DER sequence and of the tag of its first element.

    One of the tests below must know that tag.
    """
    names = [
        [tag for name, tag in _DER_TAGS.items() if one.record.value.startswith(name)]
        for one in node.below
    ]
    is_known = all(names) and all(one.record.type == DER for one in node.below)
    tags = {tag for name in names for tag in name} if is_known and names else set(range(32))

    def may_pass(data: bytes, matches: MatchEnds | None) -> bool:
        if not _is_der_sequence(data, 0):
            return False
        # A length of one byte stands between. A byte from 128 on begins a longer one, or goes on
        # with a tag of several bytes.
        return data[1:2] >= b"\x80" or _may_be_der_tag(data, 2, tags)

    return may_pass


def _first_words(record: Record) -> list[tuple[int, bytes]]:
    """Return places, and bytes there in small letters, of which a first test needs one."""
    if record.offset or record.flag & MOVED or record.relation != EQUAL:
        return []
    word = bytes_of_test(record) or b""
    places = [0]
    is_here = record.type == STRING or (record.type == SEARCH and record.range == 1)
    is_understood = not record.modifiers & ~patterns.UNDERSTOOD
    if record.type == SEARCH and record.range == 1 and not record.modifiers:
        word = record.word
        places = [0, 1]  # it may begin at the next byte too
    elif is_here and is_understood:
        word = b"" if _has_open_blank(record) else record.word
    if len(word) < WORD_BYTES:
        return []
    return [(place, word[:WORD_BYTES].lower()) for place in places]


def _has_open_blank(record: Record) -> bool:
    """Tell whether one of the first bytes is a blank that stands for any number of them."""
    if not record.modifiers & (patterns.COMPACT | patterns.OPTIONAL_SPACE):
        return False
    return any(character in patterns.SPACES for character in record.word[:WORD_BYTES])


_PlacesAndSize = tuple[list[tuple[int, Pairs]], int]
"""Places with their pairs, and the bytes of a file below which it may do without."""


def _few_pairs(record: Record) -> _PlacesAndSize | None:
    """Return the place of a first test where few pairs of bytes will do, None if there is none."""
    if record.flag & MOVED or record.type in QUADS or record.type == SEARCH:
        return None
    place = _place_and_pairs(record)
    if not place or len(place[1]) > _FEW_PAIRS or 0 in place[1]:
        return None
    return [place], 0


def _best_places(path: list[Record]) -> _PlacesAndSize:
    """Return the place where the fewest pairs of bytes will do, or two of which one is needed.

    :param path: tests that must all pass.
    """
    top = path[0]
    is_plain_search = top.type == SEARCH and top.range == 1 and not top.modifiers
    if is_plain_search and top.length and top.relation == EQUAL:
        # It may begin at the next byte too.
        allowed = pairs_from(*patterns.first_pairs(top.word, 0) or (_ANY_BYTE, _ANY_BYTE))
        return [(top.offset, allowed), (top.offset + 1, allowed)], 0
    pairs_at: dict[int, Pairs] = {}
    padded_bytes: dict[int, int] = {}
    for record in path:
        place = None if record.flag & MOVED else _place_and_pairs(record)
        if place is None:
            continue
        offset, allowed = place
        if offset in pairs_at:
            pairs_at[offset] = sorted({*pairs_at[offset]} & {*allowed})
        else:
            pairs_at[offset] = allowed
        if record.type in QUADS and 0 in allowed:
            padded_bytes[offset] = record.offset + WIDTHS[record.type]
    if not pairs_at:
        return [], 0
    best = min(pairs_at.items(), key=_rarity)
    return [best], padded_bytes.get(best[0], 0)


def _rarity(place: tuple[int, Pairs]) -> tuple[bool, int]:
    """Order places by how many files have one of the pairs: two zeros are common."""
    return 0 in place[1], len(place[1])


def _place_and_pairs(record: Record) -> tuple[int, Pairs] | None:
    """Return a place, and the pairs of bytes there of which a test needs one; None if not known."""
    if record.type in WIDTHS:
        return pairs_of(record)
    if record.relation != EQUAL:
        return None
    offset = record.offset
    if record.type == GUID:
        return offset, pairs_from(record.value[:1], record.value[1:2])
    if record.type == DER and not record.level and record.value.startswith(b"seq\0"):
        # The tag is the low five bits, or in the next bytes if all are set.
        tags = bytes(byte for byte in range(256) if byte & 31 in (16, 31))
        return offset, pairs_from(tags, _ANY_BYTE)
    if record.type == LESTRING16 and record.length and record.value[0]:
        return offset, pairs_from(record.value[:1], _ANY_BYTE)
    if record.type == PSTRING and record.length and record.value[0]:
        # The first character stands behind a length of one byte.
        if record.modifiers & ~patterns.PLAIN == _ONE_BYTE_LENGTH:
            return offset, pairs_from(_ANY_BYTE, record.value[:1])
        return None
    if record.type == STRING or (record.type == SEARCH and record.range == 1 and record.modifiers):
        first = patterns.first_pairs(record.word, record.modifiers)
        return (offset, pairs_from(*first)) if first else None
    return None


def _triggers(node: RuleNode) -> list[Pattern] | None:
    """Return patterns of which one must match before the rule prints, None if none need to.

    The rarer of a test's own pattern and those below it are taken.
    """
    own = None if node.pattern is None else [node.pattern]
    if node.has_effect:
        return own
    below = [_triggers(one) for one in node.below if one.matters]
    triggers = [pattern for one in below for pattern in one or ()]
    if not triggers or not all(below) or len(triggers) > _MAX_TRIGGERS:
        return own
    if own is None or min(one.weight for one in triggers) >= own[0].weight:
        return triggers
    return own
