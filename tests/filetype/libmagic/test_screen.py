"""The screen: rules are found by their bytes at places as a plain search finds them."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from support.magic_rules import binary, database, textual

from hpc_remetrics.filetype.libmagic.conditions import condition_of
from hpc_remetrics.filetype.libmagic.database import STRING
from hpc_remetrics.filetype.libmagic.screen import Screen, _PlaceIndex

BYTES = b"ab"
OFFSETS = (0, 1, 2, 3, 5, 6)


def a_rule(number: int, drawn: random.Random) -> SimpleNamespace:
    """Return what a rule needs: words, or pairs of bytes, at one or two places."""
    rule = SimpleNamespace(rule=number, words=[], places=[], padded_bytes=0)
    offsets = drawn.sample(OFFSETS, drawn.randrange(1, 3))
    if drawn.random() < 0.2:
        rule.words = [(offset, bytes(drawn.choices(BYTES, k=4))) for offset in offsets]
        return rule
    for offset in offsets:
        first = drawn.choice(BYTES)
        pairs = [first | second << 8 for second in BYTES if drawn.random() < 0.7]
        if drawn.random() < 0.2:
            # Any second byte will do
            pairs = [first | second << 8 for second in range(256)]
        rule.places.append((offset, pairs))
    if drawn.random() < 0.2:
        rule.padded_bytes = drawn.choice(OFFSETS)
    return rule


def has_what_it_needs(rule: SimpleNamespace, data: bytes) -> bool:
    if any(data[offset : offset + 4].lower() == word for offset, word in rule.words):
        return True
    last = len(data) - 1
    for offset, pairs in rule.places:
        # At the last byte nothing is known of the second one
        if (offset == last and pairs) or (
            offset < last and data[offset] | data[offset + 1] << 8 in pairs
        ):
            return True
    return last < rule.padded_bytes


@pytest.mark.parametrize("seed", range(20))
def test_rules_are_found_that_a_plain_search_finds(seed):
    drawn = random.Random(seed)
    rules = [a_rule(number, drawn) for number in range(drawn.randrange(30))]
    index = _PlaceIndex(rules)
    for _ in range(30):
        data = bytes(drawn.choices(BYTES + b"AB", k=drawn.randrange(2, 10)))
        found = sorted(rule.rule for rule in index.of(data))
        wanted = [rule.rule for rule in rules if has_what_it_needs(rule, data)]
        assert sorted(set(found)) == wanted, data


LESHORT, LEQUAD, BYTE = 10, 25, 1


def rules_found(data: bytes, *rules) -> set[int]:
    made = database(*rules)
    conditions = [one for rule in range(made.rules) if (one := condition_of(made, rule))]
    screen = Screen(conditions)
    return {one.rule for one in screen.of_bytes(data)}


AT_7 = [binary(LESHORT, 0x4241, b"a", offset=7)]
AT_0 = [binary(LESHORT, 0x4241, b"a")]
BYTE_AT_0 = [binary(BYTE, 0x41, b"a")]
WORD = [binary(STRING, b"ABCD", b"a")]
QUAD = [binary(LEQUAD, 0, b"a", offset=3)]
TEXT = [textual(LESHORT, 0x4241, b"a", offset=7)]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"AB", {1, 2}),
        (b"AC", {2}),
        (b"ABCDE", {1, 2, 3}),
        (b"abcde", {3}),  # words are looked up in small letters, and tested later
        (b".......AB", {0, 5}),
        (b".......BA", set()),
        (b".......A", {0, 5}),  # at the last byte all are tested
        (b".......", set()),
    ],
)
def test_rules_are_found_by_their_bytes(data, found):
    assert rules_found(data, AT_7, AT_0, BYTE_AT_0, WORD, [binary(STRING, b"")], TEXT) == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"." * 12, set()),
        (b"." * 11, {0}),  # zeros may lie behind the end
        (b"." * 2, {0}),
        (b"...\0\0......." + b".", {0}),
        (b"...\0........" + b".", set()),
    ],
)
def test_numbers_of_64_bits_are_found_behind_the_end(data, found):
    assert rules_found(data, QUAD) == found


def test_pairs_of_one_hash_are_told_apart():
    other = 0x4241 + 1021
    assert rules_found(b"......." + other.to_bytes(2, "little"), AT_7) == set()
