"""Conditions and texts of rules, on made rules; the judge of real ones is libmagic."""

import math

import pytest
from support.magic_rules import Ends, binary, database, record, textual

from hpc_remetrics.filetype.libmagic import patterns
from hpc_remetrics.filetype.libmagic.conditions import (
    Condition,
    condition_of,
    condition_to_pass,
    is_exact,
    search_bytes,
)
from hpc_remetrics.filetype.libmagic.database import (
    DEFAULT,
    DER,
    GUID,
    INDIR,
    LESTRING16,
    NAME,
    OFFADD,
    OFFNEGATIVE,
    OFFPOSITIVE,
    PSTRING,
    REGEX,
    SEARCH,
    STRING,
    UNSIGNED,
    USE,
)

BYTE, LESHORT, BELONG, LEQUAD = 1, 10, 8, 25


def condition(*rule, blocks=()) -> Condition | None:
    return condition_of(database(list(rule), blocks=list(blocks)), 0)


def modified(type_, word, modifiers, words=b"", make=binary, **fields):
    return make(type_, word, words, modifiers=modifiers, **fields)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (binary(STRING, b"\x89PNG\r\n", b"a"), [(0, b"\x89png")]),
        (binary(STRING, b"abc", b"a"), []),
        (binary(STRING, b"abcd", b"a", offset=1), []),
        (binary(STRING, b"abcd", b"a", relation="!"), []),
        (binary(SEARCH, b"abcd", b"a", range=1), [(0, b"abcd"), (1, b"abcd")]),
        (modified(SEARCH, b"abcd", patterns.TEXT, b"a", range=1), [(0, b"abcd")]),
        (binary(SEARCH, b"abcd", b"a", range=2), []),
        (modified(STRING, b"ABcd", patterns.IGNORE_LOWER, b"a"), [(0, b"abcd")]),
        (modified(STRING, b"#! /bin", patterns.OPTIONAL_SPACE, b"a"), []),
        (modified(STRING, b"#!/bi n", patterns.OPTIONAL_SPACE, b"a"), [(0, b"#!/b")]),
        (modified(STRING, b"#! /bin", 0, b"a"), [(0, b"#! /")]),
        (binary(BELONG, 0x41424344, b"a"), [(0, b"abcd")]),
        (binary(LESHORT, 0x4142, b"a"), []),
        (binary(STRING, b"abcd", b"a", flag=INDIR), []),
        (modified(STRING, b"#!/b in", patterns.OPTIONAL_SPACE, b"a"), [(0, b"#!/b")]),
        (modified(STRING, b"#!/ bin", patterns.OPTIONAL_SPACE, b"a"), []),
        (modified(STRING, b"#!/ bin", patterns.COMPACT, b"a"), []),
        (modified(STRING, b"abcd", 1 << 20, b"a"), []),
        (modified(SEARCH, b"abcd", 1 << 20, b"a", range=1), []),
        (modified(REGEX, b"abcd", patterns.TEXT, b"a", range=1), []),
        (binary(GUID, b"abcd", b"a"), []),
    ],
)
def test_the_words_that_a_rule_needs(first, words):
    assert condition(first).words == words


@pytest.mark.parametrize(
    ("first", "places"),
    [
        (binary(LESHORT, 0x0201, b"a", offset=7), [(7, [0x0201])]),
        (binary(STRING, b"ab", b"a"), [(0, [0x6261])]),
        (binary(GUID, b"\1\2\3", b"a", offset=16), [(16, [0x0201])]),
        (binary(LESTRING16, b"a", b"a"), [(0, [0x61 + 256 * b for b in range(256)])]),
        (modified(PSTRING, b"a", 1 << 7, b"a"), [(0, [b + 256 * 0x61 for b in range(256)])]),
        (modified(PSTRING, b"a", 1 << 8, b"a"), []),
        (binary(SEARCH, b"ab", b"a", range=1), [(0, [0x6261]), (1, [0x6261])]),
        (binary(STRING, b"ab", b"a", relation="!"), []),
        (binary(SEARCH, b"ab", b"a", range=2), []),
        (modified(SEARCH, b"ab", patterns.TEXT, b"a", range=1), [(0, [0x6261])]),
        (modified(SEARCH, b"ab", patterns.TEXT, b"a", range=2), []),
        (modified(REGEX, b"ab", patterns.TEXT, b"a", range=1), []),
        (binary(SEARCH, b"ab", b"a", range=1, relation="!"), []),
        (binary(SEARCH, b"", b"a", range=1), []),
        (binary(GUID, b"\1\2\3", b"a", relation="!"), []),
        (binary(GUID, b"\1\2\3", b"a", flag=INDIR), []),
        (binary(DER, b"int", b"a"), []),
        (binary(LESTRING16, b"", b"a"), []),
        (modified(PSTRING, b"a", 1 << 7 | patterns.TEXT, b"a"), [(0, [b + 256 * 0x61 for b in range(256)])]),
        (modified(PSTRING, b"", 1 << 7, b"a"), []),
    ],
)  # fmt: skip
def test_the_places_that_a_rule_needs(first, places):
    found = condition(first)
    assert found.places == places
    assert found.padded_bytes == 0
    assert found.words == []


@pytest.mark.parametrize(
    ("first", "is_few"),
    [
        (binary(LESHORT, 0x4140, mask=0xFFFC), True),  # four pairs
        (binary(LESHORT, 0x4140, mask=0xFFF8), False),
        (binary(LESHORT, 0), False),  # zeros are common
        (binary(LESHORT, 1), True),
        (binary(LESHORT, 1, flag=INDIR), False),
        (binary(LEQUAD, 0x4140), False),
        (binary(STRING, b"ab"), True),
        (binary(SEARCH, b"ab", range=1), False),
        (modified(SEARCH, b"ab", patterns.TEXT, range=1), False),
    ],
)
def test_rules_that_are_found_by_their_first_test(first, is_few):
    """Below is another that is rarer."""
    found = condition(first, record(STRING, b"wxyz", b"a", level=1, offset=90))
    assert found.of_first_test is is_few
    if is_few:
        assert found.places[0][0] == first.offset


def test_what_is_found_by_words_or_places_needs_no_pattern():
    below = record(SEARCH, b"wxyz", b"a", level=1, range=5)
    assert condition(binary(STRING, b"abcd"), below).triggers == []
    assert condition(binary(LESHORT, 1), below).triggers == []
    assert condition(binary(BYTE, 1, relation="x"), below).triggers != []


def test_tests_below_are_read_where_they_decide():
    below = record(BYTE, 5, b"five", level=1)
    assert condition(binary(STRING, b"ab"), below).node.below
    # A rule for bytes that has words prints whatever is below; one for text is described by all.
    assert not condition(binary(STRING, b"ab", b"words"), below).node.below
    assert condition(textual(STRING, b"ab", b"words"), below).node.below
    # Behind a test of the end the next ones count from there.
    of_end = record(BYTE, 5, b"five", level=1, offset=4, flag=OFFNEGATIVE)
    found = condition(binary(STRING, b"ab"), of_end)
    assert found.reads_end
    assert found.node.has_effect
    assert not found.node.below
    assert not condition(binary(STRING, b"ab"), below).reads_end


def test_a_rule_that_is_found_cheaply_is_kept_unread():
    for first in (binary(STRING, b"abcd"), binary(LESHORT, 1), binary(BYTE, 1, b"a", relation="x")):
        assert condition(first) is not None
    assert condition(binary(BYTE, 1, relation="x")) is None


def test_the_rarest_place_of_the_way_is_taken():
    common = binary(LESHORT, 0, offset=3)
    rare = record(LESHORT, 0x1234, b"a", level=1, offset=9)
    assert condition(common, rare).places == [(9, [0x1234])]
    assert not condition(common, rare).of_first_test
    two_ways = record(LESHORT, 0x5678, b"b", level=1, offset=9)
    assert condition(common, rare, two_ways).places == [(3, [0])]
    # Two tests of one place: both must pass.
    low = binary(BYTE, 5, relation="<", flag=UNSIGNED, offset=3)
    lower = record(BYTE, 3, b"a", level=1, relation="<", flag=UNSIGNED, offset=3)
    ((offset, pairs),) = condition(low, lower).places
    assert offset == 3
    assert {pair & 0xFF for pair in pairs} == {0, 1, 2}


def test_zeros_may_lie_behind_the_end_for_64_bits():
    found = condition(binary(LEQUAD, 0, b"a", offset=3))
    assert found.places == [(3, [0])]
    assert found.padded_bytes == 11
    assert condition(binary(LEQUAD, 1 << 40, b"a", offset=3)).padded_bytes == 0


def test_a_rule_that_prints_nothing_needs_nothing():
    assert condition(binary(LEQUAD, 7, relation=">"), record(BYTE, 1, level=1)) is None
    assert condition(binary(SEARCH, b"ab", range=9)) is None


def test_rules_of_the_end_are_kept_apart():
    made = database([binary(STRING, b"abcd", b"a", flag=OFFNEGATIVE, offset=4)])
    assert condition_of(made, 0) is None
    assert condition_to_pass(made, 0) is None


@pytest.mark.parametrize(
    ("rule", "sought"),
    [
        ([textual(SEARCH, b"ab", b"a", range=9)], [(r"\x61\x62", 11)]),
        ([textual(SEARCH, b"ab", b"a", range=9, offset=3)], [(r"\x61\x62", 14)]),
        ([textual(SEARCH, b"ab", b"a", range=0)], [(r"\x61\x62", None)]),
        ([textual(REGEX, b"^ab", b"a")], [(r"(?m:^)\x61\x62", 8192)]),
        ([textual(REGEX, b"^ab", b"a", offset=1)], [(r"\x61\x62", 8193)]),
        # The rarer one is taken: the test's own, or those below.
        (
            [textual(SEARCH, b"ab", range=9), record(SEARCH, b"xyz", b"a", level=1, range=5)],
            [(r"\x78\x79\x7a", 8)],
        ),
        (
            [textual(SEARCH, b"abcd", range=9), record(SEARCH, b"xyz", b"a", level=1, range=5)],
            [(r"\x61\x62\x63\x64", 13)],
        ),
        (
            [
                textual(SEARCH, b"ab", range=9),
                record(SEARCH, b"xyz", b"a", level=1, range=5, flag=OFFADD, offset=1),
            ],
            [(r"\x78\x79\x7a", 20)],
        ),
        # Below the second level too it counts from behind the test above, if that is at a place.
        (
            [
                textual(BYTE, 1, relation="x"),
                record(SEARCH, b"ab", level=1, range=9),
                record(REGEX, b"xyz", b"a", level=2, flag=OFFADD, offset=1),
            ],
            [(r"\x78\x79\x7a", 8192 + 12)],
        ),
        (
            [
                textual(BYTE, 1, relation="x"),
                record(SEARCH, b"ab", level=1, range=9, flag=OFFADD),
                record(REGEX, b"xyz", b"a", level=2, flag=OFFADD, offset=1),
            ],
            [(r"\x78\x79\x7a", None)],
        ),
        (
            [
                textual(SEARCH, b"ab", range=9),
                record(SEARCH, b"xyz", b"a", level=1, range=5),
                record(BYTE, 1, b"b", level=1),
            ],
            [(r"\x61\x62", 11)],
        ),
        # Of as many characters those below.
        (
            [textual(SEARCH, b"abc", range=9), record(SEARCH, b"xyz", b"a", level=1, range=5)],
            [(r"\x78\x79\x7a", 8)],
        ),
        (
            [textual(SEARCH, b"abc", b"words", range=9), record(SEARCH, b"wxyz", b"a", level=1, range=5)],
            [(r"\x61\x62\x63", 12)],
        ),
        # Each of several may print.
        (
            [
                textual(BYTE, 1, relation="x"),
                record(SEARCH, b"wxyz", b"a", level=1, range=5),
                record(SEARCH, b"ab", level=1, range=5),
                record(SEARCH, b"stuv", b"b", level=1, range=6),
            ],
            [(r"\x77\x78\x79\x7a", 9), (r"\x73\x74\x75\x76", 10)],
        ),
        # The commonest of those below counts.
        (
            [
                textual(SEARCH, b"abc", range=9),
                record(SEARCH, b"wxyz", b"a", level=1, range=5),
                record(SEARCH, b"st", b"b", level=1, range=6),
            ],
            [(r"\x61\x62\x63", 12)],
        ),
    ],
)  # fmt: skip
def test_the_patterns_that_a_rule_needs(rule, sought):
    assert [(one.strict, one.reach) for one in condition(*rule).triggers] == sought


@pytest.mark.parametrize(("words", "are_sought"), [(8, 8), (9, 1)])
def test_few_patterns_are_sought(words, are_sought):
    """Of many tests below one that has a pattern, that pattern alone is."""
    below = [record(SEARCH, b"word%d" % word, b"a", level=1, range=5) for word in range(words)]
    found = condition(textual(SEARCH, b"ab", range=9), *below)
    assert len(found.triggers) == are_sought


@pytest.mark.parametrize(
    ("rule", "data", "prints"),
    [
        ([binary(STRING, b"abcd", b"a")], b"abcde", True),
        ([binary(STRING, b"abcd", b"a")], b"abce", False),
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3)], b"abc\5", True),
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3)], b"abc\6", False),
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3)], b"xbc\5", False),
        # Behind a search: from the end of the match, or with START from its beginning.
        (
            [binary(SEARCH, b"ab", range=9), record(BYTE, 5, b"a", level=1, offset=1, flag=OFFADD)],
            b"xab.\5",
            True,
        ),
        (
            [binary(SEARCH, b"ab", range=9), record(BYTE, 5, b"a", level=1, offset=1, flag=OFFADD)],
            b"xab\5.",
            False,
        ),
        (
            [
                modified(SEARCH, b"ab", patterns.START, range=9),
                record(BYTE, 5, b"a", level=1, offset=2, flag=OFFADD),
            ],
            b"xab\5",
            True,
        ),
        # At a place that a number of the file names.
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1, in_offset=2, in_operator=3)],
         b"x\1.\5", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1, in_offset=2, in_operator=3)],
         b"x\1\5.", False),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=9, in_type=1, in_operator=3)], b"xy", False),
        # Some versions cut a place beyond 32 bits, to the byte at 1 here.
        ([binary(BYTE, 5, b"a", flag=INDIR, in_type=BELONG, in_offset=2, in_operator=3)],
         b"\xff\xff\xff\xff", False),
        ([binary(BYTE, 0xFF, b"a", flag=INDIR | UNSIGNED, in_type=BELONG, in_offset=2, in_operator=3)],
         b"\xff\xff\xff\xff", True),
        ([binary(BYTE, 5, b"a", flag=INDIR | UNSIGNED, in_type=BELONG, in_offset=2, in_operator=3,
                 relation="!")], b"\xff\xff\xff\xff", True),
        ([binary(BYTE, 0xFF, b"a", flag=INDIR | UNSIGNED, in_type=BELONG, in_offset=2, in_operator=3,
                 relation="!")], b"\xff\xff\xff\xff", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=9, in_type=1, in_operator=3, relation="!")],
         b"xy", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, in_type=1, in_operator=5, in_offset=2)], b"xy", True),
        # A place of zero is one, and one below it is none.
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1, in_operator=3, relation="!")],
         b"\5\0", False),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1, in_operator=3, in_offset=-1)],
         b"\5\0", False),
        # Nothing is added: the same without an operator.
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1)], b"\5\0", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1)], b"\6\0", False),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=1, in_offset=1)], b"\6\0", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=9)], b"\6\0", True),
        ([binary(BYTE, 5, b"a", flag=INDIR | OFFADD, offset=1, in_type=1)], b"\6\0", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=LESHORT, in_operator=3)],
         b"\5\0\0", True),
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=LESHORT, in_operator=3)],
         b"\5\0", False),  # half of the number is missing
        ([binary(BYTE, 5, b"a", flag=INDIR, offset=1, in_type=7, in_operator=3)],
         b".\0\3\5", True),
        # Wherever zeros may be read, 64 bits may pass.
        ([binary(LEQUAD, 5, b"a", flag=INDIR, in_type=1, in_operator=3)], b"\0" + bytes(20), True),
        # Several tests below: one is enough, and none is without the first.
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3),
          record(BYTE, 6, b"b", level=1, offset=3)], b"ab.\6", True),
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3),
          record(BYTE, 6, b"b", level=1, offset=3)], b"ab.\7", False),
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3),
          record(BYTE, 6, b"b", level=1, offset=3)], b"xb.\6", False),
        # A place behind a search, before its match, and before the file.
        ([binary(SEARCH, b"ab", range=9), record(BYTE, 5, b"a", level=1, offset=-3, flag=OFFADD)],
         b"\5ab", True),
        ([binary(SEARCH, b"ab", range=9), record(BYTE, 5, b"a", level=1, offset=-3, flag=OFFADD)],
         b"ab\5", False),
        ([binary(SEARCH, b"ab", range=9), record(BYTE, 5, b"a", level=1, flag=OFFADD)],
         b"ab\5", True),
        ([binary(SEARCH, b"ab", offset=1), record(BYTE, 5, b"a", level=1, flag=OFFADD)],
         b"ab\6" + bytes(99) + b"ab\5", True),
        ([binary(SEARCH, b"ab", range=2), record(BYTE, 5, b"a", level=1, flag=OFFADD)],
         b"..ab\5", True),
        ([binary(SEARCH, b"ab", range=2), record(BYTE, 5, b"a", level=1, flag=OFFADD)],
         b"...ab\5", False),
        # Behind any other match nothing is known of the place.
        ([binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, flag=OFFADD)], b"ab\6", True),
        ([binary(SEARCH, b"ab", range=9), record(BYTE, 7, level=1, relation="x"),
          record(BYTE, 5, b"a", level=2, flag=OFFADD)], b"ab\6", True),
        ([binary(SEARCH, b"ab", range=9, flag=INDIR), record(BYTE, 5, b"a", level=1, flag=OFFADD)],
         b"ab\6", True),
        # A search below the first test is asked of texts alone, where it is cheap.
        ([binary(BYTE, 1), record(SEARCH, b"ab", b"a", level=1, range=4)], b"\1......", True),
        # A search without a range is of all that follows.
        ([binary(SEARCH, b"ab", b"a", offset=1)], b"...ab", True),
        ([binary(SEARCH, b"ab", b"a", offset=1)], b"ab...", False),
        ([binary(STRING, b"ab", b"a", relation="<")], b"xx", True),
        ([binary(STRING, b"ab", b"a", relation="!")], b"ab", True),
        ([binary(STRING, b"", b"a")], b"xx", True),
        ([modified(STRING, b"ab", 1 << 20, b"a")], b"xx", True),
        ([modified(LESTRING16, b"ab", patterns.TEXT, b"a")], b"xxxx", True),
        ([modified(SEARCH, b"ab", patterns.IGNORE_LOWER, b"a", range=1, offset=1)], b".AB", True),
        ([modified(SEARCH, b"ab", patterns.IGNORE_LOWER, b"a", range=1, offset=1)], b"..AB", False),
        # A search of a range: one more place without modifiers.
        ([binary(SEARCH, b"ab", b"a", range=2)], b"..ab", True),
        ([binary(SEARCH, b"ab", b"a", range=2)], b"...ab", False),
        ([modified(SEARCH, b"ab", patterns.TEXT, b"a", range=2)], b".ab", True),
        ([modified(SEARCH, b"ab", patterns.TEXT, b"a", range=2)], b"..ab", False),
        ([modified(STRING, b"AB", patterns.IGNORE_UPPER, b"a")], b"ab", True),
        ([modified(STRING, b"AB", patterns.IGNORE_UPPER, b"a")], b"ac", False),
        # A word of 16-bit characters: a zero may be a blank, behind the end any byte may be.
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xa\0 \0b\0", True),
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xa\0\0\1b\0", True),
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xa?", True),
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xa?\0", True),
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xab", True),
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xa?b", False),
        ([binary(LESTRING16, b"a b", b"a", offset=1)], b"xa? ?c", False),
        # A DER sequence: tag 16, and the tag of its first element.
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x30\x05\x02", True),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x30\x05\x03", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x30\x85\x03", True),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x31\x05\x02", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x1f\xff\xff\xff\xff\xff", True),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x1f\xff\xff\x7f\xff\xff", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x1f\x80\x80\x80\x80\x80", True),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x1f\x80\x80\x80\x80\x7f", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x1f\xff\xff\xff\xff", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x30\x7f\x03", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x30\x80\x03", True),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"\x30\x05", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1)], b"", False),
        ([binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1), record(DER, b"set", b"b", level=1)],
         b"\x30\x05\x11", True),
        ([binary(DER, b"seq\0"), record(DER, b"obj_id3", b"a", level=1)], b"\x30\x05\x06", True),
        ([binary(DER, b"seq\0"), record(DER, b"seq", b"a", level=1)], b"\x30\x05\x10", True),
        ([binary(DER, b"seq\0"), record(DER, b"seq", b"a", level=1)], b"\x30\x05\x11", False),
        ([binary(DER, b"seq\0", b"a", offset=1)], b".\x30", True),
        ([binary(DER, b"seq\0", b"a", offset=1)], b".\x31", False),
        ([binary(DER, b"int4", b"a")], b"\x31", True),
    ],
)  # fmt: skip
def test_what_may_print(rule, data, prints):
    assert condition(*rule).may_print(data, None) is prints


def test_a_tag_that_is_not_known_may_be_any():
    for below in (record(DER, b"eoc", b"a", level=1), record(STRING, b"int", b"a", level=1)):
        assert condition(binary(DER, b"seq\0"), below).node.below
        made = database([binary(DER, b"seq\0"), below])
        assert condition_to_pass(made, 0).may_pass(b"\x30\x05\x03", None)
    assert condition(binary(DER, b"seq\0"), record(DER, b"eoc", b"a", level=1)).may_print(
        b"\x30\x05\x03", None
    )


def test_a_search_below_is_asked_of_a_text_within_its_reach():
    found = condition(binary(BYTE, 0x61), record(SEARCH, b"abc", b"a", level=1, range=4))
    assert found.may_print(b"abc", Ends(b"abc"))
    assert found.may_print(b"a...abc", Ends(b"a...abc"))
    assert not found.may_print(b"a....abc", Ends(b"a....abc"))
    assert not found.may_print(b"xabc", Ends(b"xabc"))


def test_a_search_for_a_word_with_modifiers_is_asked_of_the_matches():
    rule = [
        binary(BYTE, 0x61),
        modified(SEARCH, b"bc", patterns.IGNORE_LOWER, b"a", record, level=1, range=4),
    ]
    assert condition(*rule).may_print(b"aBC", Ends(b"aBC"))
    assert not condition(*rule).may_print(b"axy", Ends(b"axy"))
    assert condition(*rule).may_print(b"axy", None)


def test_a_pattern_is_asked_of_the_matches():
    regex = condition(textual(REGEX, b"ab+", b"a"))
    below = condition(textual(BYTE, 0x61), record(REGEX, b"b+", b"a", level=1))
    for one in (regex, below):
        assert one.may_print(b"abb", Ends(b"abb"))
        assert one.may_print(b"abb", None)
        assert not one.may_print(b"acc", Ends(b"acc"))
    assert not below.may_print(b"xbb", Ends(b"xbb"))


def test_few_pairs_are_found_without_reading_the_rule():
    few = condition(binary(LESHORT, 0x0201, b"a", offset=7))
    assert few.of_first_test
    assert few.padded_bytes == 0


def test_the_first_test_alone_may_pass():
    rule = [binary(STRING, b"ab"), record(BYTE, 5, b"a", level=1, offset=3)]
    found = condition_to_pass(database(rule), 0)
    assert found.may_pass(b"abx", None)
    assert found.may_print(b"abx", None)
    assert not found.may_pass(b"acx", None)


@pytest.mark.parametrize(
    ("first", "ends", "continues"),
    [
        (binary(STRING, b"abcd", b"a"), True, False),
        (binary(STRING, b"abcd", b""), False, False),
        (binary(STRING, b"abcd", b"a", relation="!"), False, True),
        (modified(STRING, b"abcd", patterns.TEXT, b"a"), False, False),
        (modified(STRING, b"abcd", patterns.IGNORE_LOWER, b"a"), False, False),
        (binary(STRING, b"abc\xe9", b"a"), False, False),
        (binary(BELONG, 5, b"a"), True, False),
        (binary(LEQUAD, 5, b"a"), False, True),
        (binary(DER, b"seq\0", b"a"), False, True),
        (binary(BELONG, 5, b"a", flag=0x40), False, False),  # of both walks
        (binary(BELONG, 5, b"a", flag=OFFADD), False, False),
        (binary(BELONG, 5, b"a", relation=">"), False, False),
        (binary(BELONG, 5, b"a", relation="!"), False, True),
        (binary(STRING, b"abcd", b"a", range=4), False, False),
        (binary(SEARCH, b"abcd", b"a", range=4), True, False),
        (binary(REGEX, b"abcd", b"a"), False, False),
        (binary(BELONG, 0xFFD8FFE0, b"a", flag=UNSIGNED), True, False),
    ],
)
def test_rules_that_end_the_walk(first, ends, continues):
    made = database([first])
    found = Condition(made, 0, made.first_record(0))
    assert found.ends_walk is ends
    assert found.continues_below == (math.inf if continues else 0)


def test_files_that_look_like_text():
    assert condition(modified(STRING, b"abcd", patterns.TEXT, b"a")).looks_like_text is True
    assert condition(modified(STRING, b"abcd", patterns.BINARY, b"a")).looks_like_text is False
    assert condition(binary(STRING, b"abcd", b"a")).looks_like_text is None
    # Only tests for text have modifiers: a number has its mask there.
    assert condition(modified(LEQUAD, 5, patterns.TEXT, b"a")).looks_like_text is None
    for type_ in (SEARCH, REGEX):
        assert condition(modified(type_, b"ab", patterns.TEXT, b"a")).looks_like_text is True
    both = patterns.BINARY | patterns.TEXT
    assert condition(modified(STRING, b"abcd", both, b"a")).looks_like_text is None


def test_searches_and_exact_tests():
    assert search_bytes(record(SEARCH, b"ab", range=5)) == 7
    assert search_bytes(record(SEARCH, b"ab", range=5, modifiers=1)) == 6
    assert is_exact(record(STRING, b"ab"))
    assert is_exact(record(SEARCH, b"ab", range=5, modifiers=patterns.START))
    assert not is_exact(record(SEARCH, b"ab", range=5, modifiers=patterns.COMPACT))
    assert not is_exact(record(STRING, b"ab", range=5))
    assert not is_exact(record(STRING, b""))
    assert not is_exact(record(STRING, b"ab", relation="<"))
    assert not is_exact(record(REGEX, b"ab"))
    assert is_exact(record(BYTE, 1))
    assert not is_exact(record(BYTE, 1, relation="?"))


# Blocks at a known place


CALLED = [
    record(NAME, b"block"),
    record(BYTE, 5, level=1, offset=3),
    record(BYTE, 6, b"six", level=2, offset=4),
]


def calling(call, *rest, block=CALLED, version=544) -> Condition:
    rule = [binary(STRING, b"a"), call, *rest]
    found = condition_of(database(rule, blocks=[block], version=version), 0)
    assert found is not None
    return found


def test_numbers_of_a_block_are_looked_up_behind_the_place_of_the_call():
    found = calling(record(USE, b"block", level=1, offset=10))
    assert found.may_print(b"a............\5\6", None)
    assert not found.may_print(b"a............\6\6", None)
    assert not found.may_print(b"a............\5\5", None)
    # libmagic seeks the end as if the block began the file, and reads what isn't known.
    assert found.may_print(b"a............\5", None)
    assert not found.may_print(b"a............\6", None)


@pytest.mark.parametrize(
    "call",
    [
        record(USE, b"^block", level=1, offset=10),
        record(USE, b"block", level=1, offset=10, flag=OFFADD),
    ],
)
def test_numbers_of_a_block_whose_place_is_not_known_may_be_any(call):
    assert calling(call).may_print(b"a" + b"." * 20, None)


def test_a_block_that_is_called_from_the_beginning_of_the_file_is_at_no_known_place():
    call = record(USE, b"block", level=1, offset=10, flag=OFFPOSITIVE)
    assert calling(call, version=546).may_print(b"a" + b"." * 20, None)


def test_a_number_of_a_block_behind_another_match_may_be_any():
    moved = [CALLED[0], record(BYTE, 5, b"five", level=1, offset=3, flag=OFFADD)]
    found = calling(record(USE, b"block", level=1, offset=10), block=moved)
    assert found.may_print(b"a" + b"." * 20, None)


def test_blocks_that_blocks_call_count_from_there():
    outer = [record(NAME, b"outer"), record(USE, b"block", level=1, offset=2)]
    rule = [binary(STRING, b"a"), record(USE, b"outer", level=1, offset=10)]
    found = condition_of(database(rule, blocks=[CALLED, outer]), 0)
    assert found.may_print(b"a..............\5\6", None)
    assert not found.may_print(b"a............\5\6..", None)


def test_what_a_rule_has_below_a_call_is_not_the_first_to_print():
    default = record(DEFAULT, b"", b"other", level=2, relation="x")
    found = calling(record(USE, b"block", level=1), default)
    assert not found.may_print(b"a..\1\1", None)
    assert found.may_print(b"a..\5\6", None)
    # A call that must fail passes where the block prints nothing.
    inverted = record(USE, b"block", level=1, relation="!")
    assert calling(inverted, default).may_print(b"a..\1\1", None)


def test_a_sequence_in_der_is_found_by_its_first_byte():
    """The tag is in the low five bits: 16, or 31 where it follows."""
    found = condition(binary(DER, b"seq\0"), record(DER, b"int4", b"a", level=1))
    [(offset, pairs)] = found.places
    assert offset == 0
    assert {pair & 0xFF for pair in pairs} == {
        high | tag for high in range(0, 256, 32) for tag in (16, 31)
    }
    assert len(pairs) == 16 * 256


def test_blocks_that_call_blocks_are_followed_four_calls_deep():
    names = [b"one", b"two", b"three", b"four", b"five"]
    blocks = [
        [record(NAME, name), record(USE, called, level=1)]
        for name, called in zip(names, [*names[1:], b"six"], strict=True)
    ]
    blocks.append([record(NAME, b"six"), record(BYTE, 5, b"five", level=1, offset=3)])
    node = condition(binary(STRING, b"a"), record(USE, b"one", level=1), blocks=blocks).node
    depth = 0
    while node.below:
        node = node.below[0]
        depth += node.is_followed
    assert depth == 4
