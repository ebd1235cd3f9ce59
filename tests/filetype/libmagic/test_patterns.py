"""Words and regular expressions of text tests, translated: what they match, and what they don't."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.filetype.libmagic import patterns
from hpc_remetrics.filetype.libmagic.patterns import (
    COMPACT,
    FULL_WORD,
    IGNORE_LOWER,
    IGNORE_UPPER,
    OPTIONAL_SPACE,
    STRING_BYTES,
    begins_with,
    first_pairs,
    for_python,
    keeps_repeats,
    of_expression,
    of_word,
)

ANY = bytes(range(256))
MODIFIERS = [0, COMPACT, OPTIONAL_SPACE, IGNORE_LOWER, IGNORE_UPPER, FULL_WORD]


@pytest.mark.parametrize(
    ("word", "modifiers", "string", "begins"),
    [
        (b"abc", 0, b"abcd", True),
        (b"abc", 0, b"abd", False),
        (b"abc", 0, b"ab", False),
        (b"aBc", IGNORE_LOWER, b"ABC", True),
        (b"aBc", IGNORE_LOWER, b"Abc", False),
        (b"aBc", IGNORE_UPPER, b"abc", True),
        (b"aBc", IGNORE_UPPER, b"ABc", False),
        (b"#! /a", OPTIONAL_SPACE, b"#!/a", True),
        (b"#! /a", OPTIONAL_SPACE, b"#! \t/a", True),
        (b"a b", COMPACT, b"a  \tb", True),
        (b"a b", COMPACT, b"ab", False),
        (b"a  b", COMPACT, b"a  b", True),
        (b"a  b", COMPACT, b"a b", False),
        (b"a b", 0, b"a  b", False),
        (b"sh", FULL_WORD, b"sh", True),
        (b"sh", FULL_WORD, b"sh -e", True),
        (b"sh", FULL_WORD, b"sh\n", True),
        (b"sh", FULL_WORD, b"she", False),
        (b"a", 1 << 20, b"a", None),
        # libmagic compares 127 bytes.
        (b"#! a", OPTIONAL_SPACE, b"#!" + b" " * (STRING_BYTES - 4) + b"a", True),
        (b"#! a", OPTIONAL_SPACE, b"#!" + b" " * (STRING_BYTES - 3) + b"a", False),
    ],
)
def test_a_string_begins_with_a_word(word, modifiers, string, begins):
    assert begins_with(string, word, modifiers) is begins
    if begins and not modifiers & FULL_WORD:
        assert re.match(of_word(word, modifiers).encode(), string)


@given(
    word=st.binary(min_size=1, max_size=6).filter(lambda word: 0 not in word)
    | st.text("aB \n#", min_size=1, max_size=6).map(str.encode),
    modifiers=st.sampled_from(MODIFIERS),
    string=st.text("abAB \n\t#", max_size=9).map(str.encode),
)
def test_what_begins_with_a_word_matches_its_translation(word, modifiers, string):
    if begins_with(string, word, modifiers):
        assert re.match(of_word(word, modifiers).encode(), string, re.DOTALL)
        pairs = first_pairs(word, modifiers)
        if pairs is not None:
            assert string[0] in pairs[0]
            assert len(string) < 2 or string[1] in pairs[1]


@pytest.mark.parametrize(
    ("word", "modifiers", "pairs"),
    [
        (b"ab", 0, (b"a", b"b")),
        (b"a", 0, (b"a", ANY)),
        (b"a b", 0, (b"a", b" ")),
        (b" b", FULL_WORD, (b" ", b"b")),
        (b"aB", IGNORE_UPPER, (b"a", b"Bb")),
        (b"a b", COMPACT, (b"a", b" \t\n\v\f\r")),
        (b"  b", COMPACT, (b" \t\n\v\f\r", ANY)),
        (b"a b", OPTIONAL_SPACE, (b"a", ANY)),
        (b" b", OPTIONAL_SPACE, None),
        (b"", 0, None),
        (b"ab", 1 << 20, None),
    ],
)
def test_the_first_two_bytes_of_a_word(word, modifiers, pairs):
    assert first_pairs(word, modifiers) == pairs


@pytest.mark.parametrize(("word", "modifiers"), [(b"", 0), (b"a", 1 << 20)])
def test_words_that_are_not_understood(word, modifiers):
    with pytest.raises(ValueError, match="not understood"):
        of_word(word, modifiers)


@pytest.mark.parametrize(
    ("value", "translated"),
    [
        (b"ab", r"\x61\x62"),
        (b"a|b", r"\x61|\x62"),
        (b"(ab)+", r"(?:\x61\x62)+"),
        (b"a*b?", r"\x61*\x62?"),
        (b"[a-c]", r"[\x61\x62\x63]"),
        (b"[]a]", r"[\x5d\x61]"),
        (b"[a-]", r"[\x2d\x61]"),
        (b"[^ab]", r"[^\n\x61\x62]"),
        (b"[[a]", r"[\x5b\x61]"),
        (b"[a:b]", r"[\x3a\x61\x62]"),
        (b"[.=]", r"[\x2e\x3d]"),
        (b"[[:digit:]]", r"[\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39]"),
        (b"[[:blank:]x]", r"[\x09\x20\x78]"),
        (b"\\.", r"\x2e"),
        (b".", r"[^\n]"),
        (b"^a$", r"(?m:^)\x61(?:(?m:$)|[^\n]\z)"),
        (b"a{2}", r"\x61{2}"),
        (b"a{1000}", r"\x61{4,}"),
        (b"a{2,3}", r"\x61{2,3}"),
        (b"a{2,}", r"\x61{2,}"),
        (b"a{4}", r"\x61{4}"),
        (b"a{5}", r"\x61{4,}"),
        (b"a{2,9}", r"\x61{2,}"),
        (b"a\0b", r"\x61"),
    ],
)
def test_expressions_are_translated(value, translated):
    assert of_expression(value, True, True) == translated


def test_an_anchor_counts_only_where_it_is_known_to_hold():
    assert of_expression(b"^a$", False, False) == r"\x61"


@pytest.mark.parametrize(
    "value",
    [
        b"a**", b"a++", b"a??", b"a+?", b"?a", rb"\+*", b"a{2}{3}", b"a{1001}", b"a{2,1001}",
        b"(a", b"a)", b"[[:nothing:]]", b"[[:digit:", b"a{2", b"a{x}", b"a{1,x}",
        b"(a)\\1", b"\\bword", b"\\<a", b"", b"|a", b"a||b", b"()", b"[b-a]", b"[a-[:x:]]", b"[a",
        b"\xe9", b"\x01", b"^*", b"*a", b"a*?", b"a\\",
    ],
)  # fmt: skip
def test_expressions_that_are_not_understood(value):
    with pytest.raises(ValueError, match=r"."):
        of_expression(value, True, True)
    assert for_python(value, False) is None


def test_repeats_that_are_cut():
    assert keeps_repeats(b"a{4}b{1,4}c{2,}")
    assert not keeps_repeats(b"a{5}")
    assert not keeps_repeats(b"a{1,5}")
    assert keeps_repeats(b"a\0{9}")


def test_an_expression_for_python_matches_the_same():
    assert for_python(b"^class[[:space:]]+", False).search(b"x\nclass  a")
    assert not for_python(b"^class[[:space:]]+", False).search(b"x class a")
    assert for_python(b"^a$", False).search(b"b\na\nc")
    assert for_python(b"ab", True).search(b"AB")
    assert not for_python(b"ab", False).search(b"AB")
    assert for_python(b"a+b+", False) is None  # it may take long
    assert for_python(b"a\\+b+", False).search(b"a+bb")
    assert for_python(b"a{5}", False) is None


def test_what_ignores_case():
    assert [patterns.ignores_case(one) for one in MODIFIERS] == [False] * 3 + [True] * 2 + [False]


def test_characters_that_an_expression_may_have():
    assert patterns.of_expression(b"a\x08\tb", True, True)
    for character in (b"\x07", b"\x7f"):
        with pytest.raises(ValueError, match="that libmagic refuses"):
            patterns.of_expression(b"a" + character, True, True)
