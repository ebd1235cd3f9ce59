"""Texts that can be told without libmagic, on made rules."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from support.magic_rules import Ends, binary, database, record, textual

from hpc_remetrics.filetype.libmagic import patterns
from hpc_remetrics.filetype.libmagic.conditions import condition_of
from hpc_remetrics.filetype.libmagic.database import (
    CLEAR,
    DEFAULT,
    INDIRECT,
    NAME,
    OFFADD,
    REGEX,
    SEARCH,
    STRING,
    USE,
)
from hpc_remetrics.filetype.libmagic.outcomes import NotKnownError, Outcomes, _or

BYTE, LEQUAD = 1, 25


def printed(text: bytes, *rules, looks: bool = True) -> bytes:
    made = database(*rules)
    conditions = [condition_of(made, rule) for rule in range(made.rules)]
    return Outcomes(text, Ends(text), looks).of([one for one in conditions if one is not None])


C = [
    textual(SEARCH, b"#include", range=8192),
    record(REGEX, b"^#include", b"C", level=1),
    record(REGEX, b"^class[[:space:]]+", level=2),
    record(STRING, b"++", b"++", level=3, flag=OFFADD | 0x10),
    record(CLEAR, b"", b"source text", level=2, relation="x", flag=OFFADD),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"a\n#include <b>\nx\n", b"C source text"), (b"a #include\n", b""), (b"a\n", b"")],
)
def test_what_a_rule_prints_of_a_text(text, words):
    assert printed(text, C) == words


LATER = [textual(SEARCH, b"x", b"later", range=99)]


def test_the_first_rule_that_prints_ends_the_walk():
    assert printed(b"a x\n", [textual(SEARCH, b"a", b"first", range=99)], LATER) == b"first"
    assert printed(b"b x\n", [textual(SEARCH, b"a", b"first", range=99)], LATER) == b"later"
    assert printed(b"b\n", [textual(SEARCH, b"a", b"first", range=99)], LATER) == b""


def test_words_are_joined_with_a_blank_or_without():
    below = record(STRING, b"b", b"and b", level=1, offset=1)
    assert printed(b"ab\n", [textual(STRING, b"a", b"an a"), below]) == b"an a and b"
    assert printed(b"ac\n", [textual(STRING, b"a", b"an a"), below]) == b"an a"
    joined = below._replace(flag=0x10)
    assert printed(b"ab\n", [textual(STRING, b"a", b"an a"), joined]) == b"an aand b"


def test_the_first_test_that_prints_decides_about_the_blank():
    """Some tests print nothing, as in the rule for ADIF, and those below them do."""
    first = textual(STRING, b"a", b"an a")
    silent = record(STRING, b"b", level=1, offset=1)
    below = record(STRING, b"c", b", and c", level=2, offset=2)
    assert printed(b"abc\n", [first, silent, below]) == b"an a , and c"
    assert printed(b"abc\n", [first, silent, below._replace(flag=0x10)]) == b"an a, and c"
    quiet = textual(STRING, b"a")
    assert printed(b"abc\n", [quiet, silent, below]) == b", and c"
    assert printed(b"abc\n", [quiet, silent, below._replace(flag=0x10)]) == b", and c"


def test_default_passes_if_no_test_beside_it_did():
    default = record(DEFAULT, b"", b"other", level=1, relation="x")
    rule = [textual(STRING, b"a"), record(STRING, b"b", b"a b", level=1, offset=1), default]
    assert printed(b"ab\n", rule) == b"a b"
    assert printed(b"ac\n", rule) == b"other"
    cleared = [*rule[:2], record(CLEAR, b"", level=1, relation="x"), default]
    assert printed(b"ab\n", cleared) == b"a b other"


UNKNOWN = record(STRING, b"b", b"maybe", level=1, relation="<", offset=1)
"""A test of which nothing is known."""


def test_default_is_not_known_behind_a_test_that_is_not():
    default = record(DEFAULT, b"", b"other", level=1, relation="x")
    fails = record(STRING, b"z", b"a z", level=1, offset=1)
    for rest in ([default], [fails, default]):
        with pytest.raises(NotKnownError):
            printed(b"ab\n", [textual(STRING, b"a", b"an a"), UNKNOWN, *rest])


@pytest.mark.parametrize(
    "below",
    [
        UNKNOWN,
        record(STRING, b"b", b"value %s", level=1, offset=1),
        record(STRING, b"b", b"price $", level=1, offset=1),
        record(STRING, b"b", b"caf\xc3\xa9", level=1, offset=1),
        record(STRING, b"c", b"no c", level=1, offset=1, relation="!"),
        record(LEQUAD, 5, b"quad", level=1, relation="x"),
        record(INDIRECT, b"", level=1),
        record(DEFAULT, b"", b"other", level=1, relation="x", offset=9),
    ],
)
def test_what_is_not_known_is_asked_of_libmagic(below):
    with pytest.raises(NotKnownError):
        printed(b"ab\n", [textual(STRING, b"a", b"an a"), below])


def test_a_rule_is_asked_of_files_that_look_like_text_or_not():
    rule = [textual(STRING, b"a", b"an a", modifiers=patterns.TEXT)]
    assert printed(b"ab\n", rule) == b"an a"
    assert printed(b"ab\n", rule, looks=False) == b""


def test_a_word_with_modifiers_needs_its_room():
    rule = [textual(STRING, b"a b", b"an a", modifiers=patterns.OPTIONAL_SPACE)]
    assert printed(b"ab\n", rule) == b"an a"
    assert printed(b"ab", rule) == b""


def test_a_match_at_the_last_byte_is_not_known():
    rule = [textual(REGEX, b"ab", b"an ab")]
    assert printed(b"abc", rule) == b"an ab"
    with pytest.raises(NotKnownError):
        printed(b"cab", rule)


def test_a_block_that_a_rule_calls_is_followed():
    made = database(
        [textual(STRING, b"a", b"an a"), record(USE, b"block", level=1)],
        blocks=[[record(NAME, b"block"), record(STRING, b"b", b"b", level=1, offset=1)]],
    )
    one = condition_of(made, 0)
    with pytest.raises(NotKnownError):  # its places aren't known
        Outcomes(b"ab\n", Ends(b"ab\n"), True).of([one])


def printed_by_bytes(text: bytes, *rules) -> bytes:
    made = database(*rules)
    found = [condition_of(made, rule) for rule in range(made.rules)]
    return Outcomes(text, Ends(text), True).of(found)


def test_tests_below_one_for_bytes_that_has_words_print_too():
    below = record(BYTE, 0x62, b"b", level=1, offset=1)
    assert printed_by_bytes(b"ab\n", [binary(BYTE, 0x61, b"a"), below]) == b"a b"
    assert printed_by_bytes(b"ac\n", [binary(BYTE, 0x61, b"a"), below]) == b"a"


CALLED = [
    record(NAME, b"block"),
    record(BYTE, 5, level=1, offset=3),
    record(BYTE, 6, b"six", level=2, offset=4),
]


def test_what_a_rule_prints_below_a_call_is_not_known():
    default = record(DEFAULT, b"", b"other", level=2, relation="x")
    for rest, is_known in (([], True), ([default], False)):
        rule = [textual(STRING, b"a", b"an a"), record(USE, b"block", level=1), *rest]
        one = condition_of(database(rule, blocks=[CALLED]), 0)
        with contextlib.nullcontext() if is_known else pytest.raises(NotKnownError):
            assert Outcomes(b"a..\1\n", Ends(b""), True).of([one]) == b"an a"


def test_before_5_40_a_call_of_a_block_makes_places_and_defaults_unknown():
    call = record(USE, b"block", level=1)
    block = [record(NAME, b"block"), record(BYTE, 9, level=1)]
    behind = record(BYTE, ord("c"), b"c", level=1, flag=OFFADD)
    rule = [textual(SEARCH, b"ab", range=1), call, behind]
    for version, may in ((539, True), (540, False)):
        made = condition_of(database(rule, blocks=[block], version=version), 0)
        assert made.loses_levels is (version == 539)
        assert made.may_print(b"abx", None) is may
        assert made.may_print(b"abc", None)
        with pytest.raises(NotKnownError) if may else contextlib.nullcontext():
            Outcomes(b"abx", Ends(b"abx"), True).of([made])


def test_what_two_rules_print_alike_is_known():
    """The first may pass, the second does."""
    first = [textual(STRING, b"b", b"same", relation="<")]
    assert printed(b"ab\n", first, [textual(STRING, b"a", b"same")]) == b"same"
    for others in ([], [[textual(STRING, b"a", b"other")]], [[textual(STRING, b"x", b"same")]]):
        with pytest.raises(NotKnownError):
            printed(b"ab\n", first, *others)


def test_a_rule_that_may_print_nothing_leaves_the_next_in_question():
    may_print = [textual(STRING, b"a"), UNKNOWN]
    with pytest.raises(NotKnownError):
        printed(b"ab\n", may_print, [textual(STRING, b"a", b"next")])
    assert printed(b"xb\n", may_print, [textual(STRING, b"x", b"next")]) == b"next"


@pytest.mark.parametrize(("offset", "is_known"), [(3, True), (4, False)])
def test_a_default_behind_the_text_is_not_known(offset, is_known):
    default = record(DEFAULT, b"", b"other", level=1, relation="x", offset=offset)
    with contextlib.nullcontext() if is_known else pytest.raises(NotKnownError):
        assert printed(b"ab\n", [textual(STRING, b"a", b"an a"), default]) == b"an a other"


@pytest.mark.parametrize(("offset", "is_known"), [(0, True), (1, False)])
def test_a_default_behind_a_match_of_which_the_end_is_not_known(offset, is_known):
    default = record(DEFAULT, b"", b"other", level=1, relation="x", offset=offset, flag=OFFADD)
    with contextlib.nullcontext() if is_known else pytest.raises(NotKnownError):
        assert printed(b"abc\n", [textual(REGEX, b"ab", b"an ab"), default]) == b"an ab other"


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        (b"abb\n", 2, b"a b"),
        (b"aab", 2, b""),  # libmagic doesn't show the last byte
        (b"ab\n", 2, b""),
        (b"ab\n", 3, b""),
        (b"ab\n", 4, None),
    ],
)
def test_an_expression_that_is_sought_from_a_place(text, offset, words):
    rule = [textual(BYTE, 0x61), record(REGEX, b"b", b"a b", level=1, offset=offset)]
    if words is None:
        with pytest.raises(NotKnownError):
            printed(text, rule)
    else:
        assert printed(text, rule) == words


def test_where_a_search_ends():
    behind = record(BYTE, ord("."), b"a dot", level=1, flag=OFFADD)
    rule = [textual(SEARCH, b"ab", range=9), behind]
    assert printed(b"xab.\n", rule) == b"a dot"
    assert printed(b"x.ab\n", rule) == b""
    # With START the next test counts from where the match begins.
    at_start = rule[0]._replace(modifiers=patterns.START)
    two_on = behind._replace(offset=2)
    assert printed(b"xab.\n", [at_start, two_on]) == b"a dot"
    assert printed(b"xab.\n", [at_start, behind]) == b""


def test_a_search_reaches_as_far_as_its_range():
    rule = [textual(SEARCH, b"ab", b"found", range=2)]
    assert printed(b"..ab\n", rule) == b"found"
    assert printed(b"...ab\n", rule) == b""
    assert printed(b"........ab\n", [textual(SEARCH, b"ab", b"found")]) == b"found"


def test_where_a_word_and_a_number_end():
    behind = record(BYTE, ord("."), b"a dot", level=1, flag=OFFADD)
    for first in (textual(STRING, b"ab"), textual(10, 0x6261)):
        assert printed(b"ab.\n", [first, behind]) == b"a dot"
        assert printed(b"a.b\n", [first, behind]) == b""
    loose = textual(STRING, b"ab", modifiers=patterns.IGNORE_LOWER)
    assert printed(b"AB.\n", [loose, behind]) == b"a dot"


@pytest.mark.parametrize(
    "first",
    [
        textual(STRING, b"a", b"an a", modifiers=patterns.IGNORE_LOWER, range=1),
        textual(STRING, b"\xc3\xa9", b"an e", modifiers=patterns.IGNORE_LOWER),
        textual(STRING, b"a", b"a\ttab"),
        textual(STRING, b"a", b"value %s"),
    ],
)
def test_what_is_not_known_of_a_first_test(first):
    with pytest.raises(NotKnownError):
        printed("aé\n".encode() if first.word == b"a" else "é\n".encode(), [first])


def test_or_of_what_may_not_be_known():
    for one, other in itertools.product((True, False, None), repeat=2):
        possible = {
            (one if one is not None else first) or (other if other is not None else second)
            for first in (True, False)
            for second in (True, False)
        }
        assert _or(one, other) is (possible.pop() if len(possible) == 1 else None)
