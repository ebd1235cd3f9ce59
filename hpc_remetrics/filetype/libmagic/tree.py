"""A rule of libmagic as a tree of tests, each with the pattern that must match somewhere for it to
pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache

from . import patterns
from .database import (
    BINTEST,
    DEFAULT,
    INDIR,
    INDIRECT,
    INDIROFFADD,
    NAME,
    OFFADD,
    OFFNEGATIVE,
    REGEX,
    SEARCH,
    STRING,
    USE,
    Base,
    Record,
)
from .numeric import WIDTHS, divides_by_zero

MOVED = INDIR | OFFADD | INDIROFFADD | OFFNEGATIVE
"""Flags of tests whose place depends on the file."""

EQUAL = ord("=")
REGEX_BYTES = NEAR = 8192  # FILE_REGEX_MAX
_MOST_NESTED, _MOST_BLOCK = 4, 40


class Pattern:
    """An expression that must match within the first `reach` bytes, or anywhere for None.

    Two are one if they are the same object: :func:`pattern` makes no second one.

    :ivar strict: of a text of :data:`NEAR` bytes at most that holds no zeros; `loose`: of others.
    :ivar exact: a match of `strict` that ends before the last byte is one of libmagic's.
    """

    def __init__(self, strict: str, loose: str, reach: int | None, exact: bool) -> None:
        self.strict, self.loose, self.reach, self.exact = strict, loose, reach, exact

    @cached_property
    def weight(self) -> int:
        """How many characters it names: the more, the rarer it is."""
        return re.sub(r"\[[^]]*\]", "", self.loose).count("\\x")

    @property
    def is_near(self) -> bool:
        """Tell whether what libmagic searches is within the first :data:`NEAR` bytes."""
        return self.reach is not None and self.reach <= NEAR


@lru_cache(None)
def pattern(strict: str, loose: str, reach: int | None, exact: bool = False) -> Pattern:
    """Return the pattern that is this."""
    return Pattern(strict, loose, reach, exact)


class Node:
    """A test, the pattern it needs if it needs one, and the tests of the next level below it."""

    def __init__(self, record: Record, top: Record, above: Record | None = None) -> None:
        self.record, self.top = record, top
        self.pattern = _pattern_of(record, top, above)
        self.below: list[Node] = []
        self.followed = False  # a call whose block is below

    @cached_property
    def fails(self) -> bool:
        """Tell whether asking the test can be an error, which ends everything."""
        record = self.record
        return (
            _expression(record, False) is None if record.type == REGEX else divides_by_zero(record)
        )

    @cached_property
    def effects(self) -> bool:
        """Tell whether libmagic prints, or does what isn't followed here, as soon as the test
        passes."""
        record = self.record
        return (
            bool(record.description)
            or record.type in (INDIRECT, NAME)
            or (record.type == USE and not self.followed)
            or self.fails
        )

    @cached_property
    def matters(self) -> bool:
        """Tell whether the test, or one below, has effects."""
        return self.effects or any(one.matters for one in self.below)

    @cached_property
    def asked(self) -> list[Node]:
        """The tests of the next level that matter, and those on whose outcome one of them
        depends."""
        defaults = [
            at for at, one in enumerate(self.below) if one.matters and one.record.type == DEFAULT
        ]
        return [
            one for at, one in enumerate(self.below) if one.matters or at < max(defaults, default=0)
        ]

    @cached_property
    def expression(self) -> re.Pattern[bytes] | None:
        """A regular expression that matches where libmagic's does, and nowhere else; None if that
        would take long."""
        record = self.record
        if (
            record.type != REGEX
            or record.relation != EQUAL
            or record.range
            or record.modifiers & patterns.LINES
        ):
            return None
        ignores_case = record.modifiers & (patterns.IGNORE_LOWER | patterns.IGNORE_UPPER)
        return patterns.for_python(record.value, bool(ignores_case))

    def path(self) -> Iterator[Record]:
        """Yield the tests that must all pass before anything is printed."""
        yield self.record
        if not self.effects:
            mattering = [one for one in self.below if one.matters]
            if len(mattering) == 1:
                yield from mattering[0].path()


def tree(base: Base, records: list[Record]) -> Node:
    """Return a rule as a tree."""
    return _grown(base, records, records[0], 0)


def _grown(base: Base, records: list[Record], top: Record, nested: int) -> Node:
    root = Node(records[0], top)
    line = [root]
    for record in records[1:]:
        # A level may be left out: libmagic then never comes to the test, unless one of that level
        # passed.
        del line[max(record.level, 1) :]
        node = Node(record, top, line[-1].record)
        if record.type == USE:
            _follow(base, node, top, nested)
        line[-1].below.append(node)
        line.append(node)
    return root


def _follow(base: Base, node: Node, top: Record, nested: int) -> None:
    """Put the block that a test calls below it, if it is small: its tests are at places that aren't
    known."""
    block = base.block(node.record.value) if nested < _MOST_NESTED else []
    if not block or len(block) > _MOST_BLOCK or block[0].description:
        return
    moved = [one._replace(flag=one.flag | INDIROFFADD) for one in block]
    node.below += _grown(base, moved, top, nested + 1).below
    node.followed = True


def _base_of(record: Record, top: Record) -> int | None:
    """Return from where on, at most, the place of a test counts; None if that isn't known."""
    if not record.flag & MOVED:
        return 0
    if record.flag & MOVED != OFFADD or record.level != 1 or top.flag & MOVED:
        return None
    # Behind what the first test matched.
    if top.type in (STRING, *WIDTHS):
        return top.offset + patterns.STRING_BYTES
    if top.type == REGEX:
        return top.offset + REGEX_BYTES
    bounded = top.type == SEARCH and top.range and not top.modifiers & ~patterns.PLAIN
    return top.offset + top.range + top.length if bounded else None


def _pattern_of(record: Record, top: Record, above: Record | None) -> Pattern | None:
    """Return what must match somewhere in the file if a test passes."""
    if (
        record.type == STRING
        and not record.level
        and record.flag & MOVED
        and record.relation == EQUAL
    ):
        return _pattern_of_word(record.word, record.modifiers, None)
    if record.relation != EQUAL or record.type not in (REGEX, SEARCH):
        return None
    base = _base_of(record, top)
    begin = None if base is None else base + record.offset
    if record.type == REGEX:
        return _pattern_of_expression(record, begin, above)
    word, spaced = record.word, record.modifiers & (patterns.COMPACT | patterns.OPTIONAL_SPACE)
    if spaced and top.flag & BINTEST and not word[:1].isspace():
        # What stands before a blank, which may stand for any number of them, has a known length.
        word, spaced = word.split()[0], 0
    reach = (
        None if begin is None or spaced or not record.range else begin + record.range + len(word)
    )
    return _pattern_of_word(word, record.modifiers, reach)


def _pattern_of_word(word: bytes, modifiers: int, reach: int | None) -> Pattern | None:
    try:
        expression = patterns.of_word(word, modifiers)
    except ValueError:
        return None
    return pattern(expression, expression, reach)


def _pattern_of_expression(
    record: Record, begin: int | None, above: Record | None
) -> Pattern | None:
    # What is searched ends where the file does, unless it is limited.
    strict, loose = _expression(record, not record.range), _expression(record, False)
    if strict is None or loose is None:
        return None
    exact = begin == 0 and not record.range and patterns.is_kept(record.value)
    if (
        above is not None
        and above.type == REGEX
        and record.flag & MOVED == OFFADD
        and not record.offset
    ):
        # It is searched from where a match of the expression above ends: there, or at the beginning
        # of a line.
        behind = _expression(above, False)
        strict, loose = (
            _begun(one, behind, record, end)
            for one, end in ((strict, not record.range), (loose, False))
        )
    return pattern(strict, loose, None if begin is None else begin + REGEX_BYTES, exact)


def _begun(expression: str, behind: str | None, record: Record, at_end: bool) -> str:
    """Return an expression moved behind another one, with what it asks of the beginning of a
    line."""
    value = record.value.partition(b"\0")[0]
    begins = value[:1] == b"^" and b"|" not in value and b"^" not in value[1:]
    if behind is None or not begins:
        return expression
    of_line = _expression(record._replace(flag=record.flag & ~MOVED), at_end)
    return f"(?:{of_line})|(?:{behind})(?:{expression})"


def _expression(record: Record, at_end: bool) -> str | None:
    """Translate a regular expression; None if it isn't understood, or refused by libmagic."""
    ignores_case = record.modifiers & (patterns.IGNORE_LOWER | patterns.IGNORE_UPPER)
    at_start = not record.offset and not record.flag & MOVED
    try:
        expression = patterns.of_expression(record.value, at_start, at_end)
    except ValueError:
        return None
    return f"(?i:{expression})" if ignores_case else expression
