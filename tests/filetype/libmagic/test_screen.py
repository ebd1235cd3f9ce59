"""The screen: rules are found by their bytes at places as a plain search finds them."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from hpc_remetrics.filetype.libmagic.screen import _PlaceIndex

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
