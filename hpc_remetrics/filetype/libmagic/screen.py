"""Find the rules of libmagic that can say something about a file, without asking them one by one.

Nearly all need certain bytes at a fixed place. There are some 130 such places: the pair of bytes at
each is looked up in a table, at all of them at once. Of the others, most need a pattern somewhere,
and all patterns are sought in one pass. The few rules that come of it are then tested one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np

from .conditions import WORD, Need
from .matcher import Layered, Matcher, Matches
from .numeric import Pairs
from .plaintext import LONG_LINE
from .tree import Pattern, pattern

LONG = pattern(LONG_LINE, LONG_LINE, None)
_FAR = 1 << 16  # patterns that may lie further in a file are sought one by one


class Screen:
    """Rules, indexed by what they need.

    :param needs: of all rules that can print at all.
    :param seek: seek patterns by a matcher; without one, rules for text that need a pattern stay
        in.
    :raises ImportError: there is no matcher.
    """

    def __init__(self, needs: Sequence[Need], seek: bool) -> None:
        self._places = _Places([need for need in needs if need.words or need.places])
        loose = [need for need in needs if not (need.words or need.places)]
        binary = [need for need in loose if need.binary]
        sought = [need for need in binary if seek and _is_within(need, _FAR)]
        self._tested = [need for need in binary if need not in sought]
        self._of_bytes = _Sought(sought)
        # A text is sought through whole, so patterns may lie anywhere in it.
        in_text = [need for need in loose if seek and need.triggers]
        self._of_text, self._always = (
            _Sought(in_text),
            [need for need in loose if need not in in_text],
        )
        self._seek = seek
        if seek:
            in_bytes = self._of_bytes.triggers()
            self._in_bytes = Matcher(in_bytes, strict=False)
            self._reach = max((one.reach or 0 for one in in_bytes), default=0)
            self._in_text = Layered([*self._of_text.triggers(), LONG])

    def of_bytes(self, data: bytes) -> list[Need]:
        """Return the rules that have what they are found by in a file; `prints` is still to be
        asked."""
        found = [*self._places.having(data), *self._tested]
        if self._seek:
            found += self._of_bytes.having(self._in_bytes.find(data[: self._reach]))
        return found

    def of_text(self, data: bytes) -> tuple[list[Need], Matches | None]:
        """Return the rules that have what they are found by in a text as libmagic makes it, and the
        matches in it.

        Those for bytes may print only if the text is the file, whole; `prints` is still to be
        asked.
        """
        matches = self._in_text.find(data) if self._seek else None
        found = [*self._places.having(data), *self._always]
        if matches is not None:
            found += self._of_text.having(matches)
        return found, matches


def _is_within(need: Need, limit: int) -> bool:
    return bool(need.triggers) and all((one.reach or limit) < limit for one in need.triggers)


class _Sought:
    """Rules by the patterns that they need one of."""

    def __init__(self, needs: Iterable[Need]) -> None:
        self._needs: dict[Pattern, list[Need]] = {}
        for need in needs:
            for trigger in need.triggers:
                self._needs.setdefault(trigger, []).append(need)

    def triggers(self) -> list[Pattern]:
        return list(self._needs)

    def having(self, triggers: Iterable[Pattern]) -> list[Need]:
        """Return the rules that have a pattern that they need."""
        needs = self._needs
        return [need for one in triggers for need in needs.get(one, ())]


class _Places:
    """Rules by the bytes that they need at a place.

    The place 0, where most look, has dictionaries: of four bytes where all four are known, as many
    files begin with the same two. Of the others a small table tells by a hash of a pair whether one
    of the place's can be it, so that it stays in the processor's cache.
    """

    def __init__(self, needs: Iterable[Need]) -> None:
        rows: dict[int, dict[int, list[Need]]] = {}
        self._first: dict[int, list[Need]] = {}
        self._words: dict[int, dict[bytes, list[Need]]] = {}
        self._short: list[Need] = []
        for need in needs:
            # In a file that has something else there, or is shorter, its first test fails, and
            # nothing is printed.
            for offset, word in need.words:
                self._words.setdefault(offset, {}).setdefault(word, []).append(need)
            if need.words:
                continue
            if need.least:
                self._short.append(need)
            for offset, pairs in need.places:
                firsts = [] if offset else _firsts(pairs)
                for first in firsts:
                    self._first.setdefault(first, []).append(need)
                row = rows.setdefault(offset, {})
                for pair in () if firsts else pairs:
                    row.setdefault(pair, []).append(need)
        self._at_zero = rows.pop(0, {})
        self._offsets = sorted(rows)
        self._needs = [rows[offset] for offset in self._offsets]
        self._at = np.array(self._offsets, np.intp)
        self._base = np.arange(len(rows), dtype=np.intp) << _BITS
        self._table = np.zeros(len(rows) << _BITS, np.bool_)
        for base, row in zip(self._base, self._needs, strict=True):
            self._table[base + np.fromiter(row, np.uint16) % _PRIME] = True
        self._least = max((need.least for need in self._short), default=0)
        # Views and room for the places that a file has, by their number: numpy's own work costs
        # more than the look-ups.
        self._room = [
            (self._at[:some], self._base[:some], np.empty(some, np.uint16), np.empty(some, np.intp))
            for some in range(len(rows) + 1)
        ]

    def having(self, data: bytes) -> list[Need]:
        """Return the rules that have what they need at a place."""
        last = len(data) - 1
        needs = [*self._first.get(data[0], ()), *self._at_zero.get(data[0] | data[1] << 8, ())]
        for offset, words in self._words.items():
            needs += words.get(data[offset : offset + WORD].lower(), ())
        places = bisect_left(self._offsets, last)
        at, base, hashes, cells = self._room[places]
        np.remainder(np.ndarray((last,), _PAIR, data, 0, (1,))[at], _PRIME, hashes)
        maybe = self._table.take(np.add(base, hashes, cells)).tobytes()
        row = maybe.find(1)
        while row >= 0:
            offset = self._offsets[row]
            needs += self._needs[row].get(data[offset] | data[offset + 1] << 8, ())
            row = maybe.find(1, row + 1)
        if places < len(self._offsets) and self._offsets[places] == last:
            # At the last byte there is no pair to look up, so all are tested.
            needs += {
                need.rule: need for some in self._needs[places].values() for need in some
            }.values()
        if last < self._least:
            needs += [need for need in self._short if last < need.least]
        return needs


def _firsts(pairs: Pairs) -> list[int]:
    """Return the first bytes of pairs that have each with any second, none if they aren't such."""
    firsts = {pair & 0xFF for pair in pairs}
    return sorted(firsts) if len(pairs) == len(firsts) << 8 else []


_BITS = 10
_PRIME = np.uint16(1021)
_PAIR = np.dtype("<u2")
