"""Find the rules of libmagic that can say something about a file, without asking them one by one.

Nearly all need certain bytes at a fixed place. There are some 130 such places: the pair of bytes at each
is looked up in a table, at all of them at once. Of the others, most need a pattern somewhere, and all
patterns are sought in one pass. The few rules that come of it are then tested one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .conditions import Need
from .matcher import Layered, Matcher, Matches
from .numeric import Pairs
from .tree import Pattern

_FAR = 1 << 16  # patterns that may lie further in a file are sought one by one


class Screen:
    """Rules, indexed by what they need.

    :param needs: of all rules that can print at all.
    :param seek: seek patterns by a matcher; without one, rules for text that need a pattern stay in.
    :raises ImportError: there is no matcher.
    """

    def __init__(self, needs: Sequence[Need], seek: bool) -> None:
        self._places = _Places([need for need in needs if need.places])
        loose = [need for need in needs if not need.places]
        binary = [need for need in loose if need.binary]
        sought = [need for need in binary if seek and _is_within(need, _FAR)]
        text = [need for need in loose if need.text and not need.binary]
        self._tested = [need for need in binary if need not in sought]
        self._always = [need for need in text if not (seek and need.triggers)]
        self._of_bytes, self._of_text = (
            _Sought(sought),
            _Sought([*sought, *(one for one in text if seek and one.triggers)]),
        )
        self._seek = seek
        if seek:
            in_bytes = self._of_bytes.triggers()
            self._in_bytes = Matcher(in_bytes, strict=False)
            self._reach = max((pattern.reach or 0 for pattern in in_bytes), default=0)
            triggers = self._of_text.triggers()
            others = [one for need in needs if need.text for one in need.node.patterns()]
            self._in_text = Layered(triggers, others)

    def of_bytes(self, data: bytes) -> list[Need]:
        """Return the rules for bytes that may print of a file."""
        found = [*self._places.having(data), *self._tested]
        if self._seek:
            found += self._of_bytes.having(self._in_bytes.find(data[: self._reach]))
        return [need for need in found if need.binary and need.prints(data, None)]

    def of_both(self, data: bytes) -> tuple[list[Need], list[Need], Matches | None]:
        """Return the rules that may print of a file that is the text that libmagic makes of it.

        :returns: those for bytes; those for text alone that have what they are found by, of which `prints` is
            still to be asked; and the matches in the text.
        """
        matches = self._in_text.find(data) if self._seek else None
        found = [*self._places.having(data), *self._tested, *self._always]
        if matches is not None:
            found += self._of_text.having(matches)
        return (
            [need for need in found if need.binary and need.prints(data, None)],
            [need for need in found if not need.binary],
            matches,
        )


def _is_within(need: Need, limit: int) -> bool:
    return bool(need.triggers) and all((pattern.reach or limit) < limit for pattern in need.triggers)


class _Sought:
    """Rules by the patterns that they need one of."""

    def __init__(self, needs: Iterable[Need]) -> None:
        self._needs: dict[str, list[Need]] = {}
        self._triggers: dict[str, Pattern] = {}
        for need in needs:
            for trigger in need.triggers:
                self._triggers[trigger.key] = trigger
                self._needs.setdefault(trigger.key, []).append(need)

    def triggers(self) -> list[Pattern]:
        return list(self._triggers.values())

    def having(self, triggers: Iterable[str]) -> list[Need]:
        """Return the rules that have a pattern that they need."""
        needs = self._needs
        return [need for key in triggers if key in needs for need in needs[key]]


class _Places:
    """Rules by the pair of bytes that they need at a place.

    The place 0, where most look, has dictionaries: of four bytes where all four are known, as many files begin with
    the same two. Of the others a small table tells by a hash of the pair whether one of the place's can be it, so
    that it stays in the processor's cache.
    """

    def __init__(self, needs: Iterable[Need]) -> None:
        rows: dict[int, dict[int, list[Need]]] = {}
        self._first: dict[int, list[Need]] = {}
        self._words: dict[bytes, list[Need]] = {}
        for need in needs:
            # In a file that begins with something else, or is shorter, its first test fails, and nothing is printed.
            if len(need.begins) >= _WORD:
                self._words.setdefault(need.begins[:_WORD], []).append(need)
                continue
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
        self._base = np.arange(len(rows), dtype=np.uint32) << _BITS
        self._table = np.zeros(len(rows) << _BITS, np.bool_)
        for base, row in zip(self._base, self._needs, strict=True):
            self._table[base + _hash(np.fromiter(row, np.uint16))] = True

    def having(self, data: bytes) -> list[Need]:
        """Return the rules that have what they need at a place."""
        last = len(data) - 1
        needs = [*self._first.get(data[0], ()), *self._at_zero.get(data[0] | data[1] << 8, ())]
        needs += self._words.get(data[:_WORD], ())
        places = bisect_left(self._offsets, last)
        pairs = np.ndarray((last,), "<u2", data, 0, (1,))[self._at[:places]]
        maybe = self._table[self._base[:places] + _hash(pairs)]
        for row in maybe.nonzero()[0].tolist():
            needs += self._needs[row].get(int(pairs[row]), ())
        if places < len(self._offsets) and self._offsets[places] == last:
            # At the last byte there is no pair to look up, so all are tested.
            needs += {need.rule: need for some in self._needs[places].values() for need in some}.values()
        return needs


def _firsts(pairs: Pairs) -> list[int]:
    """Return the first bytes of pairs that have each with any second, none if they aren't such."""
    firsts = {pair & 0xFF for pair in pairs}
    return sorted(firsts) if len(pairs) == len(firsts) << 8 else []


_WORD = 4
_BITS = 10
_FACTOR = np.uint16(0x9E37)
_SHIFT = np.uint16(16 - _BITS)


def _hash(pairs: np.ndarray[Any, np.dtype[np.uint16]]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return (pairs * _FACTOR) >> _SHIFT
