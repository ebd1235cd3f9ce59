"""Rules as trees of tests, and the pattern that must match before a test passes, on made rules."""

from __future__ import annotations

import re

import pytest
from support.magic_rules import binary, database, record, textual

from hpc_remetrics.filetype.libmagic import patterns
from hpc_remetrics.filetype.libmagic.database import (
    CLEAR,
    DEFAULT,
    INDIR,
    INDIRECT,
    NAME,
    OFFADD,
    REGEX,
    SEARCH,
    STRING,
    UNSIGNED,
    USE,
    Record,
)
from hpc_remetrics.filetype.libmagic.tree import (
    Pattern,
    RuleNode,
    pattern_of,
    pattern_of_other_than,
    tree_of,
)

BYTE, LESHORT = 1, 10
DIVIDE = 6


def tree(*records: Record, blocks=()) -> RuleNode:
    """Return a rule as a tree."""
    return tree_of(database(list(records), blocks=list(blocks)), list(records))


def levels_of(node: RuleNode) -> list:
    """Return what tests print, those below as a list behind each."""
    return [node.record.description, *map(levels_of, node.below)]


@pytest.mark.parametrize(
    ("loose", "weight"),
    [
        (r"\x61\x62\x63\x64", 4),
        (r"[\x09\x20]\x61\x62*[\x65\x66]\x67", 3),
        (r"\x61|\x62", 2),
        (r"[\x61]", 0),
    ],
)
def test_characters_that_a_pattern_names(loose, weight):
    assert Pattern("", loose, None, False).weight == weight


def test_one_pattern_of_each_kind():
    one = pattern_of("a", "b", 8192)
    assert (one.strict, one.loose, one.reach, one.exact) == ("a", "b", 8192, False)
    assert pattern_of("a", "b", 8192) is one
    assert pattern_of("a", "b", 8192, True).exact
    assert one.is_near
    assert not pattern_of("a", "b", 8193).is_near
    assert not pattern_of("a", "b", None).is_near


def test_a_pattern_of_other_bytes():
    pattern = pattern_of_other_than(b"ab\xff")
    assert pattern.strict == pattern.loose
    matching = re.findall(pattern.strict.encode(), bytes(range(256)), re.DOTALL)
    assert set(range(256)) - {match[0] for match in matching} == set(b"ab\xff")


def test_tests_hang_below_the_last_one_of_the_level_above():
    made = tree(
        binary(BYTE, 1, b"0"),
        record(BYTE, 1, b"1a", level=1),
        record(BYTE, 1, b"2a", level=2),
        record(BYTE, 1, b"2b", level=2),
        record(BYTE, 1, b"1b", level=1),
        record(BYTE, 1, b"3", level=3),  # a level is left out
        record(BYTE, 1, b"1c", level=1),
    )
    assert levels_of(made) == [
        b"0",
        [b"1a", [b"2a"], [b"2b"]],
        [b"1b", [b"3"]],
        [b"1c"],
    ]


@pytest.mark.parametrize(
    ("made", "has_effect"),
    [
        (record(BYTE, 1), False),
        (record(BYTE, 1, b"words"), True),
        (record(INDIRECT), True),
        (record(NAME, b"name"), True),
        (record(USE, b"missing"), True),  # what it does isn't known
        (record(REGEX, b"a**"), True),  # an error
        (record(REGEX, b"ab"), False),
        (record(BYTE, 1, mask=1 << 8, operator=DIVIDE), True),  # a division by zero
        (record(BYTE, 1, mask=2, operator=DIVIDE), False),
    ],
)
def test_what_a_test_does_beside_passing(made, has_effect):
    node = tree(binary(BYTE, 1), made._replace(level=1)).below[0]
    assert node.has_effect is has_effect
    assert node.matters is has_effect


def test_a_test_matters_if_one_below_does():
    silent = record(BYTE, 1, level=1)
    prints = record(BYTE, 1, b"words", level=2)
    assert tree(binary(BYTE, 1), silent, prints).below[0].matters
    assert not tree(binary(BYTE, 1), silent, prints).below[0].has_effect
    assert not tree(binary(BYTE, 1), silent).matters


def asked(*below: Record) -> list[int]:
    """Return the places of the tests of level 1 that are asked."""
    made = tree(binary(BYTE, 1), *(one._replace(level=1) for one in below))
    return [made.below.index(node) for node in made.asked]


def test_what_decides_about_a_default_is_asked():
    silent = record(BYTE, 1)
    prints = record(BYTE, 1, b"words")
    default = record(DEFAULT, b"", b"other", relation="x")
    assert asked(silent, prints, silent) == [1]
    assert asked(silent, silent) == []
    assert asked(silent, default, silent) == [0, 1]
    assert asked(silent, default, silent, default, silent) == [0, 1, 2, 3]
    # A default that prints nothing, and one behind all else.
    assert asked(silent, record(DEFAULT, b"", relation="x"), prints) == [2]
    assert asked(default, silent, prints) == [0, 2]
    assert asked(silent, record(CLEAR, b"", b"cleared", relation="x")) == [1]


@pytest.mark.parametrize(
    ("made", "matching"),
    [
        (record(REGEX, b"^ab"), b"x\nab"),
        (record(REGEX, b"ab", modifiers=patterns.IGNORE_LOWER), b"xAB"),
        (record(REGEX, b"ab", relation="!"), None),
        (record(REGEX, b"ab", range=9), None),
        (record(REGEX, b"ab", modifiers=patterns.LINES), None),
        (record(REGEX, b"a+b+"), None),  # it may take long
        (record(SEARCH, b"ab"), None),
    ],
)
def test_an_expression_that_matches_where_libmagics_does(made, matching):
    expression = tree(made).expression
    assert (expression is None) is (matching is None)
    assert matching is None or expression.search(matching)
    assert expression is None or not expression.search(b"ac")


def test_the_tests_that_must_all_pass():
    first = binary(BYTE, 1)
    second = record(BYTE, 2, level=1)
    third = record(BYTE, 3, b"three", level=2)
    other = record(BYTE, 4, b"four", level=1)
    silent = record(BYTE, 5, level=1)
    assert [*tree(first, second, third, silent).path()] == [first, second, third]
    assert [*tree(first, second, third, other).path()] == [first]
    assert [*tree(binary(BYTE, 1, b"one"), other).path()] == [binary(BYTE, 1, b"one")]


# Blocks that rules call


def block(*below: Record, words: bytes = b"") -> list[Record]:
    return [record(NAME, b"block", words), *below]


def test_a_block_takes_the_place_of_a_call():
    call = record(USE, b"block", level=1, offset=10)
    inside = record(BYTE, 5, b"five", level=1, offset=3)
    node = tree(binary(BYTE, 1), call, blocks=[block(inside)]).below[0]
    assert node.is_followed
    assert not node.has_effect
    assert not node.has_more
    assert [one.record.description for one in node.below] == [b"five"]
    assert node.below[0].place_of_block_test == 13
    assert node.place_of_block_test is None


@pytest.mark.parametrize(
    ("records", "is_followed"),
    [
        (block(*[record(BYTE, 5, b"five", level=1)] * 39), True),
        (block(*[record(BYTE, 5, b"five", level=1)] * 40), False),  # too long
        (block(record(BYTE, 5, level=1), words=b"words"), False),
    ],
)
def test_only_a_small_block_is_followed(records, is_followed):
    node = tree(binary(BYTE, 1), record(USE, b"block", level=1), blocks=[records]).below[0]
    assert node.is_followed is is_followed
    assert node.has_effect is not is_followed


@pytest.mark.parametrize(
    ("call", "inside", "place"),
    [
        (record(USE, b"block", offset=10), record(BYTE, 5), 13),
        (record(USE, b"^block", offset=10), record(BYTE, 5), None),  # it swaps bytes
        (record(USE, b"block", offset=10, flag=OFFADD), record(BYTE, 5), None),
        (record(USE, b"block", offset=10, flag=INDIR), record(BYTE, 5), None),
        (record(USE, b"block", offset=10), record(BYTE, 5, flag=OFFADD), None),
        (record(USE, b"block", offset=10), record(BYTE, 5, flag=INDIR), None),
    ],
)
def test_the_place_of_a_test_in_a_block(call, inside, place):
    inside = inside._replace(level=1, offset=3)
    node = tree(binary(BYTE, 1), call._replace(level=1), blocks=[block(inside)]).below[0]
    assert node.below[0].place_of_block_test == place
    # Elsewhere the place of such a test isn't known.
    assert node.below[0].pattern is None


def test_a_search_in_a_block_is_anywhere():
    inside = record(SEARCH, b"abcd", b"a", level=1, range=9)
    node = tree(binary(BYTE, 1), record(USE, b"block", level=1), blocks=[block(inside)]).below[0]
    assert node.below[0].pattern is pattern_of(r"\x61\x62\x63\x64", r"\x61\x62\x63\x64", None)


def test_tests_below_a_call_are_asked_only_where_its_block_printed():
    call = record(USE, b"block", level=1)
    more = record(BYTE, 7, b"seven", level=2)
    inside = record(BYTE, 5, b"five", level=1)
    node = tree(binary(BYTE, 1), call, more, blocks=[block(inside)]).below[0]
    assert node.has_more
    assert levels_of(node) == [b"", [b"five"]]
    # A call that must not print passes where the block prints nothing.
    unless = tree(
        binary(BYTE, 1), call._replace(relation=ord("!")), more, blocks=[block(inside)]
    ).below[0]
    assert not unless.has_more
    assert levels_of(unless) == [b"", [b"five"], [b"seven"]]


# Patterns


def pattern(made: Record, above: Record | None = None, top: Record | None = None) -> Pattern | None:
    """Return the pattern of a test."""
    return RuleNode(made, top or above or made, above).pattern


A_REGEX = record(REGEX, b"ab")
NEXT = {"level": 1, "flag": OFFADD}


@pytest.mark.parametrize(
    ("above", "begin"),
    [
        (record(STRING, b"ab", offset=7), 7 + 128),
        (record(BYTE, 5, offset=7), 7 + 128),
        (record(REGEX, b"ab", offset=7), 7 + 8192),
        (record(SEARCH, b"ab", offset=7, range=50), 7 + 50 + 2),
        (record(SEARCH, b"ab", offset=7, range=50, modifiers=patterns.TEXT), 7 + 50 + 2),
        (record(SEARCH, b"ab", offset=7, range=50, modifiers=patterns.COMPACT), None),
        (record(SEARCH, b"ab", offset=7), None),
        (record(DEFAULT, offset=7), None),
        (record(STRING, b"ab", offset=7, flag=INDIR), None),
        (record(STRING, b"ab", offset=7, flag=OFFADD), None),
        (None, None),
    ],
)
def test_how_far_a_test_behind_a_match_reaches(above, begin):
    found = pattern(record(SEARCH, b"xyz", range=20, offset=5, **NEXT), above)
    assert found.reach == (None if begin is None else begin + 5 + 20 + 3)
    found = pattern(record(REGEX, b"xyz", offset=5, **NEXT), above)
    assert found.reach == (None if begin is None else begin + 5 + 8192)


def test_a_place_that_the_file_names_is_not_known():
    above = record(STRING, b"ab", offset=7)
    for flag in (INDIR, INDIR | OFFADD):
        made = record(SEARCH, b"xyz", range=20, level=1, flag=flag)
        assert pattern(made, above).reach is None


@pytest.mark.parametrize(
    ("made", "strict", "reach"),
    [
        # A first test for a word is sought where its place isn't known.
        (record(STRING, b"ab", flag=INDIR), r"\x61\x62", None),
        (record(SEARCH, b"ab", range=9, offset=3), r"\x61\x62", 3 + 9 + 2),
        (record(SEARCH, b"ab", offset=3), r"\x61\x62", None),
        # Blanks may be more than they are in the word.
        (binary(SEARCH, b"ab c", range=9, modifiers=patterns.COMPACT), r"\x61\x62", 9 + 2),
        (binary(SEARCH, b"ab c", range=9, modifiers=patterns.OPTIONAL_SPACE), r"\x61\x62", 9 + 2),
        (binary(SEARCH, b" a", range=9, modifiers=patterns.OPTIONAL_SPACE),
         r"[\x09\x0a\x0b\x0c\x0d\x20]*\x61", None),
        (textual(SEARCH, b"a c", range=9, modifiers=patterns.OPTIONAL_SPACE),
         r"\x61[\x09\x0a\x0b\x0c\x0d\x20]*\x63", None),
        (record(REGEX, b"ab"), r"\x61\x62", 8192),
        (record(REGEX, b"ab", modifiers=patterns.IGNORE_LOWER), r"(?i:\x61\x62)", 8192),
        (record(REGEX, b"^ab"), r"(?m:^)\x61\x62", 8192),
        (record(REGEX, b"^ab", offset=1), r"\x61\x62", 8193),
        (record(REGEX, b"^ab", flag=OFFADD), r"\x61\x62", None),
        (record(REGEX, b"ab$"), r"\x61\x62(?:(?m:$)|[^\n]\z)", 8192),
        (record(REGEX, b"ab$", range=9), r"\x61\x62", 8192),  # it ends somewhere
    ],
)  # fmt: skip
def test_what_must_match(made, strict, reach):
    found = pattern(made)
    assert (found.strict, found.reach) == (strict, reach)


@pytest.mark.parametrize(
    "made",
    [
        record(STRING, b"ab"),
        record(STRING, b"ab", level=1, flag=INDIR),
        record(BYTE, 1, flag=INDIR),
        record(SEARCH, b"ab", range=9, relation="!"),
        record(SEARCH, b"ab", range=9, modifiers=1 << 20),
        record(STRING, b"ab", flag=INDIR, modifiers=1 << 20),
        record(REGEX, b"a**"),
        record(REGEX, b"ab", relation="!"),
    ],
)
def test_what_has_no_pattern(made):
    assert pattern(made) is None


def test_the_loose_form_of_an_expression_has_no_end():
    found = pattern(record(REGEX, b"^ab$"))
    assert found.loose == r"(?m:^)\x61\x62"


@pytest.mark.parametrize(
    ("made", "exact"),
    [
        (record(REGEX, b"ab"), True),
        (record(REGEX, b"ab", offset=1), False),
        (record(REGEX, b"ab", flag=OFFADD), False),
        (record(REGEX, b"ab", range=9), False),
        (record(REGEX, b"a{5}"), False),  # the translation asks for fewer
        (record(REGEX, b"a{4}"), True),
        (record(SEARCH, b"ab"), False),
    ],
)
def test_a_match_that_is_one_of_libmagics(made, exact):
    assert pattern(made).exact is exact


BEHIND = r"(?:(?m:^)\x63)|(?:\x61\x62)(?:\x63)"
"""What begins a line, or follows a match of the expression above."""


@pytest.mark.parametrize(
    ("value", "fields", "above", "strict"),
    [
        (b"^c", NEXT, A_REGEX, BEHIND),
        (b"^c", NEXT, record(REGEX, b"ab$"), r"(?:(?m:^)\x63)|(?:\x61\x62)(?:\x63)"),
        (b"c", NEXT, A_REGEX, r"\x63"),
        (b"^c|d", NEXT, A_REGEX, r"\x63|\x64"),
        (b"^c^d", NEXT, A_REGEX, r"\x63\x64"),
        (b"^c", NEXT, record(SEARCH, b"ab", range=9), r"\x63"),
        (b"^c", NEXT | {"offset": 1}, A_REGEX, r"\x63"),
        (b"^c", {"level": 1}, A_REGEX, r"(?m:^)\x63"),
        (b"^c", {"level": 1, "flag": OFFADD | INDIR}, A_REGEX, r"\x63"),
        (b"^c", NEXT, record(REGEX, b"a**"), r"\x63"),  # of which nothing is known
        (b"^c", NEXT | {"flag": OFFADD | UNSIGNED}, A_REGEX, BEHIND),
    ],
)
def test_an_expression_that_begins_a_line_behind_a_match(value, fields, above, strict):
    found = pattern(record(REGEX, value, **fields), above)
    assert found.strict == strict
    assert found.loose == strict
