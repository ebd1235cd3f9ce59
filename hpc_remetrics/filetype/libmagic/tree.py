r"""A rule of libmagic as a tree of tests, and the pattern that must match before a test passes.

libmagic's rule for Python source begins so::

    0    search/4096   def\ __init__
    >&0  search/64     self            Python script text executable

A test of level 1 hangs below the one of level 0 that must pass before it is asked. Each search or
regular expression gives a :class:`Pattern` for a matcher that seeks hundreds at once::

    RuleNode  search "def __init__"  Pattern("\x64\x65\x66...", reach=4096 + 12)
    └─ RuleNode  search "self"       Pattern("\x73\x65\x6c\x66", reach=4096 + 12 + 64 + 4)

The rule prints where both match. That a pattern matches somewhere within its reach is less than
libmagic asks for, so a file that has no match is surely not met by the rule.
"""

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
    OFFPOSITIVE,
    REGEX,
    SEARCH,
    STRING,
    USE,
    Database,
    Record,
)
from .numeric import WIDTHS, may_be_error

MOVED = INDIR | OFFADD | INDIROFFADD | OFFNEGATIVE
"""Flags of tests whose place depends on the file."""

EQUAL = ord("=")

REGEX_BYTES = 8192
"""Bytes in which libmagic seeks a regular expression (FILE_REGEX_MAX)."""

NEAR = REGEX_BYTES
"""Bytes of a text that are searched with the strict form of patterns."""

_MIN_WORD = 4
"""Characters of a word that is sought in place of a pattern."""

_MAX_NESTING = 4
_MAX_BLOCK_RECORDS = 40


class Pattern:
    r"""An expression that must match within the first `reach` bytes, or anywhere for None.

    >>> Pattern("", r"[\x09\x20]*\x73\x65\x63\x74\x0d?", None, False).word
    '\\x73\\x65\\x63\\x74'

    Two are equal if they are the same object: :func:`pattern_of` makes no second one.

    :ivar strict: for a text of :data:`NEAR` bytes at most that holds no zeros; `loose`: for others.
    :ivar exact: a match of `strict` that ends before the last byte is one of libmagic's.
    """

    def __init__(self, strict: str, loose: str, reach: int | None, exact: bool) -> None:
        self.strict = strict
        self.loose = loose
        self.reach = reach
        self.exact = exact

    @cached_property
    def weight(self) -> int:
        """How many characters it names: the more, the rarer it is."""
        return re.sub(r"\[[^]]*\]", "", self.loose).count("\\x")

    @cached_property
    def word(self) -> str:
        """The longest run of characters that each match of `loose` has; `loose` if that is short.

        An engine is ready for words in a twentieth of the time that repeats and sets take it.
        """
        if re.search(r"[|(]", self.loose):
            return self.loose
        runs = re.findall(r"(?:\\x[0-9a-f]{2}(?![?*{]))+", re.sub(r"\[[^]]*\]", "-", self.loose))
        longest = max(runs, key=len, default="")
        return longest if len(longest) >= _MIN_WORD * len(r"\x00") else self.loose

    @property
    def is_near(self) -> bool:
        """Tell whether what libmagic searches is within the first :data:`NEAR` bytes."""
        return self.reach is not None and self.reach <= NEAR


@lru_cache(None)
def pattern_of(strict: str, loose: str, reach: int | None, exact: bool = False) -> Pattern:
    """Return the one pattern with these attributes."""
    return Pattern(strict, loose, reach, exact)


def pattern_of_other_than(characters: bytes) -> Pattern:
    """Return a pattern that matches at any byte but these."""
    others = "".join(f"\\x{one:02x}" for one in range(256) if one not in characters)
    return pattern_of(f"[{others}]", f"[{others}]", None)


class RuleNode:
    """A test of a rule, and the tests of the next level below it.

    :ivar top: the first test of the rule.
    :param above: the test of the level above.
    :ivar is_followed: a call whose block is below, in place of the tests that the rule has below
        the call. Such a test is asked only where the block has printed already (mget, magiccheck),
        so it isn't the first to print.
    :ivar has_more: a call that has such tests.
    :ivar place_of_block_test: where a test of a called block looks, None if that isn't known. Bytes
        that the file hasn't there may be any, since libmagic seeks the end as if the block began
        the file (mget).
    """

    def __init__(self, record: Record, top: Record, above: Record | None = None) -> None:
        self.record = record
        self.top = top
        self._above = above
        self.below: list[RuleNode] = []
        self.is_followed = False
        self.has_more = False
        self.place_of_block_test: int | None = None

    @cached_property
    def pattern(self) -> Pattern | None:
        """What must match somewhere for the test to pass, None if nothing is known to."""
        return _pattern_of_test(self.record, self.top, self._above)

    @cached_property
    def fails(self) -> bool:
        """Tell whether asking the test can be an error, which ends libmagic's walk."""
        if self.record.type == REGEX:
            return _expression(self.record, False) is None
        return may_be_error(self.record)

    @cached_property
    def has_effect(self) -> bool:
        """Tell whether libmagic prints, or does what isn't followed here, when the test passes."""
        record = self.record
        return (
            bool(record.description)
            or record.type in (INDIRECT, NAME)
            or (record.type == USE and not self.is_followed)
            or self.fails
        )

    @cached_property
    def matters(self) -> bool:
        """Tell whether the test, or one below, has an effect."""
        return self.has_effect or any(node.matters for node in self.below)

    @cached_property
    def asked(self) -> list[RuleNode]:
        """The tests of the next level that matter, and those on whose outcome one depends.

        `default` passes if no test beside it did.
        """
        asked = []
        default_follows = False
        for node in reversed(self.below):
            if node.matters or default_follows:
                asked.append(node)
            if node.matters and node.record.type == DEFAULT:
                default_follows = True
        return asked[::-1]

    @cached_property
    def expression(self) -> re.Pattern[bytes] | None:
        """A regular expression that matches where libmagic's does, None if that would take long."""
        record = self.record
        is_plain = record.type == REGEX and record.relation == EQUAL and not record.range
        if not is_plain or record.modifiers & patterns.LINES:
            return None
        return patterns.for_python(record.value, patterns.ignores_case(record.modifiers))

    def path(self) -> Iterator[Record]:
        """Yield the tests that must all pass before anything is printed."""
        yield self.record
        if not self.has_effect:
            mattering = [node for node in self.below if node.matters]
            if len(mattering) == 1:
                yield from mattering[0].path()


def tree_of(database: Database, records: list[Record]) -> RuleNode:
    """Return a rule as a tree.

    :param records: all of the rule, or its first ones alone.
    """
    return _grow(database, records, records[0], 0, None)


def _grow(
    database: Database, records: list[Record], top: Record, nesting: int, base: int | None
) -> RuleNode:
    """Return the tree of a rule, or of a block.

    :param base: the place of a block in the file, None if that isn't known.
    """
    root = RuleNode(records[0], top)
    line = [root]  # the last test of each level
    for record in records[1:]:
        # A level may be left out: libmagic then never comes to the test, unless one of that level
        # passed.
        del line[max(record.level, 1) :]
        is_fixed = not record.flag & (MOVED | OFFPOSITIVE)
        node = RuleNode(_moved(record) if nesting else record, top, line[-1].record)
        if is_fixed and base is not None:
            node.place_of_block_test = base + record.offset
        if record.type == USE:
            place = node.place_of_block_test if nesting else record.offset
            _follow(database, node, top, nesting, place if is_fixed else None)
        above = line[-1]
        if above.is_followed and above.record.relation == EQUAL:
            above.has_more = True
        else:
            above.below.append(node)
        line.append(node)
    return root


def _follow(
    database: Database, node: RuleNode, top: Record, nesting: int, place: int | None
) -> None:
    """Put the block that a test calls below it, if it is small.

    :param place: where the test looks, and the places of the block count from; None if not known.
    """
    called = node.record.value
    block = database.named_block(called) if nesting < _MAX_NESTING else []
    if not block or len(block) > _MAX_BLOCK_RECORDS or block[0].description:
        return
    # A call with `^` swaps the bytes of numbers.
    base = None if called.startswith(b"^") else place
    node.below += _grow(database, block, top, nesting + 1, base).below
    node.is_followed = True


def _moved(record: Record) -> Record:
    """Return a test of a block, of which the place isn't known to be that of the record."""
    return record._replace(flag=record.flag | INDIROFFADD)


def _max_base(record: Record, above: Record | None) -> int | None:
    """Return from where on, at most, the offset of a test counts; None if that isn't known."""
    if not record.flag & MOVED:
        return 0
    if above is None or record.flag & MOVED != OFFADD or above.flag & MOVED:
        return None
    # It counts from behind what the test above matched.
    if above.type in (STRING, *WIDTHS):
        return above.offset + patterns.STRING_BYTES
    if above.type == REGEX:
        return above.offset + REGEX_BYTES
    if above.type == SEARCH and above.range and not above.modifiers & ~patterns.PLAIN:
        return above.offset + above.range + above.length
    return None


def _pattern_of_test(record: Record, top: Record, above: Record | None) -> Pattern | None:
    """Return what must match somewhere in the file if a test passes, None if nothing is known to."""
    if record.relation != EQUAL:
        return None
    if record.type == STRING and not record.level and record.flag & MOVED:
        return _pattern_of_word(record.word, record.modifiers, None)
    if record.type not in (REGEX, SEARCH):
        return None
    base = _max_base(record, above)
    begin = None if base is None else base + record.offset
    if record.type == REGEX:
        return _pattern_of_expression(record, begin, above)
    return _pattern_of_search(record, begin, top)


def _pattern_of_search(record: Record, begin: int | None, top: Record) -> Pattern | None:
    word = record.word
    spaced = record.modifiers & (patterns.COMPACT | patterns.OPTIONAL_SPACE)
    if spaced and top.flag & BINTEST and not word[:1].isspace():
        # What stands before a blank, which may stand for any number of them, has a known length.
        word = word.split()[0]
        spaced = 0
    is_bounded = begin is not None and record.range and not spaced
    reach = begin + record.range + len(word) if is_bounded and begin is not None else None
    return _pattern_of_word(word, record.modifiers, reach)


def _pattern_of_word(word: bytes, modifiers: int, reach: int | None) -> Pattern | None:
    try:
        expression = patterns.of_word(word, modifiers)
    except ValueError:
        return None
    return pattern_of(expression, expression, reach)


def _pattern_of_expression(
    record: Record, begin: int | None, above: Record | None
) -> Pattern | None:
    # What is searched ends where the file does, unless it is limited.
    at_end = not record.range
    strict = _expression(record, at_end)
    loose = _expression(record, False)
    if strict is None or loose is None:
        return None
    exact = begin == 0 and not record.range and patterns.keeps_repeats(record.value)
    follows_match = record.flag & MOVED == OFFADD and not record.offset
    if above is not None and above.type == REGEX and follows_match:
        # It is searched from where a match of the expression above ends: there, or at the beginning
        # of a line.
        behind = _expression(above, False)
        strict = _behind(strict, behind, record, at_end)
        loose = _behind(loose, behind, record, False)
    return pattern_of(strict, loose, None if begin is None else begin + REGEX_BYTES, exact)


def _behind(expression: str, behind: str | None, record: Record, at_end: bool) -> str:
    """Return an expression that begins with `^`, moved behind the match of another one."""
    value = record.string
    has_anchor = value[:1] == b"^" and b"|" not in value and b"^" not in value[1:]
    if behind is None or not has_anchor:
        return expression
    of_line = _expression(record._replace(flag=record.flag & ~MOVED), at_end)
    return f"(?:{of_line})|(?:{behind})(?:{expression})"


def _expression(record: Record, at_end: bool) -> str | None:
    """Translate a regular expression; None if it isn't understood, or refused by libmagic."""
    at_start = not record.offset and not record.flag & MOVED
    try:
        expression = patterns.of_expression(record.value, at_start, at_end)
    except ValueError:
        return None
    return f"(?i:{expression})" if patterns.ignores_case(record.modifiers) else expression
