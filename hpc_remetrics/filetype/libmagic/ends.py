"""The rules of libmagic that begin at the end of a file: which of them a content may meet.

Each has a word of a few bytes at a fixed distance from the end, so that two or three look-ups tell
that none of them passes, as in nearly all files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from . import patterns
from .conditions import Need, bytes_of_test
from .database import INDIRECT, OFFADD, OFFNEGATIVE, STRING, USE, Base, Record
from .numeric import QUADS, WIDTHS
from .tree import EQUAL, MOVED, tree

if TYPE_CHECKING:
    from ..held_content import Data

_BEQUAD = 26

_WORD = 4
"""Bytes of a word that are looked up."""


class _Place(NamedTuple):
    """Where a word stands: so many bytes before the end of the file, or of what libmagic reads of
    its beginning."""

    distance: int
    length: int
    of_head: bool


class Ends:
    """The rules whose first test looks at the end of a file."""

    def __init__(self, base: Base) -> None:
        self.needs: list[Need] = []
        self._always: list[Need] = []
        self._words: dict[_Place, dict[bytes, list[Need]]] = {}
        for rule in range(base.rules):
            record = base.top(rule)
            if not record.flag & OFFNEGATIVE:
                continue
            need = Need(base, rule, record, top_alone=True)
            self.needs.append(need)
            best = max(_words(base, rule), key=_rarity, default=None)
            if best is None:
                self._always.append(need)
            else:
                self._words.setdefault(best[0], {}).setdefault(best[1], []).append(need)
        self._most = max((place.distance for place in self._words), default=1)
        self._lookups = [
            (_slice(place), place.of_head, words.get) for place, words in self._words.items()
        ]

    def of(self, data: Data, head: bytes) -> list[Need]:
        """Return the rules that may pass; that all others fail is sure.

        :param head: what libmagic reads of the beginning.
        """
        tail = data if isinstance(data, bytes) else data.last(self._most)
        found = self._always
        for part, of_head, get in self._lookups:
            needs = get((head if of_head else tail)[part])
            if needs:
                found = [*found, *needs]
        return found


def _slice(place: _Place) -> slice:
    return slice(-place.distance, place.length - place.distance or None)


def _rarity(found: tuple[_Place, bytes]) -> tuple[int, bool, int]:
    """Order words by how few files have them; of two that are as rare the nearer to the end is
    shared by more rules."""
    place, word = found
    return len(word) - word.count(0), not place.of_head, -place.distance


def _words(base: Base, rule: int) -> Iterator[tuple[_Place, bytes]]:
    """Yield words that a file must have before a rule from its end prints, and where
    (msetoffset)."""
    records = base.records(rule)
    needed = {id(record) for record in tree(base, records).path()}
    begin = 0
    for record in records:
        if id(record) not in needed:
            if record.flag & OFFNEGATIVE or record.type in (INDIRECT, USE):
                return  # it may move the place that the next ones count from
            continue
        moved = record.flag & MOVED
        of_head = False
        if moved == OFFNEGATIVE:
            # The end itself; tests below count from here.
            begin = distance = record.offset
        elif not moved:
            distance = begin - record.offset
        elif moved == OFFNEGATIVE | OFFADD and record.level == 1 and records[0].type in WIDTHS:
            # Behind the match above, but in what was read of the beginning, which is as long.
            distance = begin - WIDTHS[records[0].type] + record.offset
            of_head = True
        else:
            return
        word = _word(record)
        if word and distance >= len(word):
            yield (
                _Place(distance - len(word) + len(word[-_WORD:]), len(word[-_WORD:]), of_head),
                word[-_WORD:],
            )
        if of_head:
            return


def _word(record: Record) -> bytes:
    """Return the bytes that are all that a test asks for, b"" if it isn't that simple."""
    if record.relation != EQUAL or (record.type == STRING and record.modifiers & ~patterns.PLAIN):
        return b""
    if record.type in QUADS and not record.mask and not record.operator:
        # The file has all of the eight bytes there.
        return record.value[:8][:: -1 if record.type == _BEQUAD else 1]
    return bytes_of_test(record) or b""
