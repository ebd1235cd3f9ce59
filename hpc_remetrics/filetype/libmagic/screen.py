r"""Find the rules of libmagic that can print something of a file, without testing them one by one.

Nearly all need certain bytes at a fixed place. There are some 130 such places: the pair of bytes at
each is looked up in a table, at all places at once. Of the others, most need a pattern somewhere,
and all patterns are sought in one pass. For a file that begins with 1f 8b 08::

    words at 0     b"\x1f\x8b\x08\0" -> none
    pair at 0      0x8b1f            -> the rules for gzip
    pair at 4      0x5e3c            -> none        (and 126 more places)
    patterns       none in its first bytes

The few rules that come of it are then tested one by one (`conditions.Condition.may_print`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import getitem, itemgetter

from .conditions import WORD_BYTES, Condition
from .matcher import Matcher, Matches, PatternLayers
from .numeric import Pairs
from .plaintext import LONG_LINE
from .tree import Pattern, pattern_of

LONG_LINE_PATTERN = pattern_of(LONG_LINE, LONG_LINE, None)

_FAR = 1 << 16
"""Bytes of a file within which patterns are sought; rules that need one further on are tested."""


class Screen:
    """Rules, indexed by what they need.

    :param conditions: of all rules that can print at all.
    :raises MissingComponentError: there is no engine that seeks patterns.
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._by_place = _PlaceIndex(one for one in conditions if one.words or one.places)
        others = [one for one in conditions if not (one.words or one.places)]

        # Rules for bytes: those with patterns near the beginning are found by these.
        binary = [one for one in others if one.binary]
        sought = [one for one in binary if _is_within(one, _FAR)]
        self._tested_bytes = [one for one in binary if one not in sought]
        self._by_pattern_in_bytes = _PatternIndex(sought)

        # A text is searched whole, so patterns may lie anywhere in it.
        in_text = [one for one in others if one.triggers]
        self._tested_text = [one for one in others if one not in in_text]
        self._by_pattern_in_text = _PatternIndex(in_text)

        triggers = self._by_pattern_in_bytes.triggers()
        self._bytes_matcher = Matcher(triggers, "word")
        self._reach = max((one.reach or 0 for one in triggers), default=0)
        self._text_layers = PatternLayers([*self._by_pattern_in_text.triggers(), LONG_LINE_PATTERN])

    def of_bytes(self, head: bytes) -> list[Condition]:
        """Return the rules for bytes that have what they are found by in a file.

        :param head: first bytes of the file, two or more.
        """
        matching = self._bytes_matcher.find(head[: self._reach])
        return [
            *self._by_place.of(head),
            *self._tested_bytes,
            *self._by_pattern_in_bytes.of(matching),
        ]

    def of_text(self, text: bytes) -> tuple[list[Condition], Matches]:
        """Return the rules that have what they are found by in a text, and the matches in it.

        Those for bytes may print only if the text is the file, whole.

        :param text: the text in UTF-8, as libmagic makes it.
        """
        matches = self._text_layers.find(text)
        found = [
            *self._by_place.of(text),
            *self._tested_text,
            *self._by_pattern_in_text.of(matches),
        ]
        return found, matches


def _is_within(condition: Condition, limit: int) -> bool:
    """Tell whether all patterns that a rule is found by lie within the first bytes."""
    triggers = condition.triggers
    return bool(triggers) and all((one.reach or limit) < limit for one in triggers)


class _PatternIndex:
    """Rules by the patterns of which they need one."""

    def __init__(self, conditions: Iterable[Condition]) -> None:
        self._conditions: dict[Pattern, list[Condition]] = {}
        for condition in conditions:
            for trigger in condition.triggers:
                self._conditions.setdefault(trigger, []).append(condition)

    def triggers(self) -> list[Pattern]:
        """Return all patterns that rules are found by."""
        return list(self._conditions)

    def of(self, matching: Iterable[Pattern]) -> list[Condition]:
        """Return the rules that need one of these patterns."""
        conditions = self._conditions
        return [condition for one in matching for condition in conditions.get(one, ())]


class _PlaceIndex:
    """Rules by the bytes that they need at a place.

    The place 0, where most look, has dictionaries: of four bytes where all four are known, as many
    files begin with the same two. Of each other place, a row of a table tells of the byte there
    whether a pair can begin with it, and a dictionary has the pairs::

        place    row of 256, by the byte there          pair -> rules
          4      0 0 1 0 0 0 0 ...                      {0x6d6f: [...]}
        257      0 0 0 0 0 1 0 ...                      {0x7375: [...]}
    """

    def __init__(self, conditions: Iterable[Condition]) -> None:
        rows: dict[int, dict[int, list[Condition]]] = {}
        self._by_first_byte: dict[int, list[Condition]] = {}
        self._by_word: dict[int, dict[bytes, list[Condition]]] = {}
        self._padded: list[Condition] = []
        for condition in conditions:
            self._add(condition, rows)
        self._at_zero = rows.pop(0, {})
        self._offsets = sorted(rows)
        self._by_pair = [rows[offset] for offset in self._offsets]
        self._max_padded_bytes = max((one.padded_bytes for one in self._padded), default=0)

        marks = [_marks({pair & 0xFF for pair in row}) for row in self._by_pair]
        # For each number of places that a file may have: the rows, and what takes the bytes there
        # at once. The first byte of the file is taken besides: of one place it would be no tuple.
        self._look_ups = [
            (marks[:places], itemgetter(*self._offsets[:places], 0, 0))
            for places in range(len(rows) + 1)
        ]

    def _add(self, condition: Condition, rows: dict[int, dict[int, list[Condition]]]) -> None:
        # In a file that has something else there, or is shorter, the first test fails.
        for offset, word in condition.words:
            self._by_word.setdefault(offset, {}).setdefault(word, []).append(condition)
        if condition.words:
            return
        if condition.padded_bytes:
            self._padded.append(condition)
        for offset, pairs in condition.places:
            row = rows.setdefault(offset, {})
            first_bytes = [] if offset else _first_bytes(pairs)
            for first in first_bytes:
                self._by_first_byte.setdefault(first, []).append(condition)
            for pair in () if first_bytes else pairs:
                row.setdefault(pair, []).append(condition)

    def of(self, data: bytes) -> list[Condition]:
        """Return the rules that have what they need at a place.

        :param data: two bytes or more.
        """
        last = len(data) - 1
        # Look up the beginning: one byte, two, and four.
        found = [
            *self._by_first_byte.get(data[0], ()),
            *self._at_zero.get(data[0] | data[1] << 8, ()),
        ]
        for offset, words in self._by_word.items():
            found += words.get(data[offset : offset + WORD_BYTES].lower(), ())

        # Look up the bytes at all other places at once, then the pairs that they begin.
        places = bisect_left(self._offsets, last)
        rows, take = self._look_ups[places]
        marks = bytes(map(getitem, rows, take(data)))
        row = marks.find(1)
        while row >= 0:
            offset = self._offsets[row]
            found += self._by_pair[row].get(data[offset] | data[offset + 1] << 8, ())
            row = marks.find(1, row + 1)

        # At the last byte there is no pair to look up, so all rules of that place are tested.
        if places < len(self._offsets) and self._offsets[places] == last:
            there = [one for rules in self._by_pair[places].values() for one in rules]
            found += {one.rule: one for one in there}.values()
        if last < self._max_padded_bytes:
            found += [one for one in self._padded if last < one.padded_bytes]
        return found


def _marks(members: Iterable[int]) -> bytes:
    """Return 256 bytes: 1 for each member, 0 for the others."""
    marks = bytearray(256)
    for member in members:
        marks[member] = 1
    return bytes(marks)


def _first_bytes(pairs: Pairs) -> list[int]:
    """Return the first bytes of pairs that have each with any second byte, none if they aren't so."""
    first_bytes = {pair & 0xFF for pair in pairs}
    return sorted(first_bytes) if len(pairs) == len(first_bytes) << 8 else []
