"""The rules of libmagic whose first test looks at the end of a file: which of them can pass.

Each asks for a few bytes at a fixed distance from the end. A zip file ends with a record of 22 bytes
that begins with `PK\\5\\6`, and the rule for zip files behind something else is, in libmagic's source::

    -22   string   PK\\005\\006

So a file that has four other bytes there can't meet it. Two or three look-ups in
dictionaries tell that none of these rules passes, as in nearly all files::

    distance 4:   b"STOP" -> XPAK, b"GBMB" -> PHP archive, ...
    distance 22:  b"PK\\5\\6" -> zip
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import patterns
from .conditions import Condition, bytes_of_test
from .content import ContentBytes
from .database import (
    INDIRECT,
    OFFADD,
    OFFNEGATIVE,
    OFFPOSITIVE,
    STRING,
    USE,
    Database,
    Record,
)
from .numeric import BIG_ENDIAN, QUADS, WIDTHS
from .tree import EQUAL, MOVED, tree_of

_WORD_BYTES = 4
"""Bytes of a word that are looked up."""


class _EndPlace(NamedTuple):
    """Where a word stands.

    :ivar distance: bytes from its first byte to the end.
    :ivar length: bytes of the word.
    :ivar of_head: the end is that of what libmagic reads of the beginning, not that of the file.
    """

    distance: int
    length: int
    of_head: bool

    @property
    def part(self) -> slice:
        """The word, as a slice of what ends there."""
        return slice(-self.distance, self.length - self.distance or None)


_Lookups = list[tuple[slice, dict[bytes, list[Condition]]]]
"""Parts of a content, and for each the rules by the word that they need there."""


class EndRules:
    """The rules whose first test looks at the end of a file.

    :ivar conditions: all of them; each tells of the first test alone.
    """

    def __init__(self, database: Database) -> None:
        self.conditions: list[Condition] = []
        self._always: list[Condition] = []
        words: dict[_EndPlace, dict[bytes, list[Condition]]] = {}
        for rule in range(database.rules):
            record = database.first_record(rule)
            if not record.flag & OFFNEGATIVE:
                continue
            condition = Condition(database, rule, record, first_test_alone=True)
            self.conditions.append(condition)
            rarest = max(_words(database, rule), key=_rarity, default=None)
            if rarest is None:
                self._always.append(condition)
            else:
                place, word = rarest
                words.setdefault(place, {}).setdefault(word, []).append(condition)
        self._tail_bytes = max((place.distance for place in words), default=1)
        self._of_tail = _lookups(words, of_head=False)
        self._of_head = _lookups(words, of_head=True)
        # Of a small file, head and tail are the same bytes: a place is looked up once for both.
        self._of_both = _merged([*self._of_tail, *self._of_head])

    def of(self, content: ContentBytes, head: bytes) -> list[Condition]:
        """Return the rules that may pass; all others surely fail.

        :param head: first bytes of the content, as many as libmagic reads.
        """
        found = self._always
        if head is content:
            for part, words in self._of_both:
                conditions = words.get(head[part])
                if conditions:
                    found = [*found, *conditions]
            return found
        tail = content if isinstance(content, bytes) else content.last(self._tail_bytes)
        for part, words in self._of_tail:
            found = [*found, *words.get(tail[part], ())]
        for part, words in self._of_head:
            found = [*found, *words.get(head[part], ())]
        return found


def _lookups(words: dict[_EndPlace, dict[bytes, list[Condition]]], *, of_head: bool) -> _Lookups:
    return [(place.part, rules) for place, rules in words.items() if place.of_head == of_head]


def _merged(lookups: _Lookups) -> _Lookups:
    """Return the same look-ups with one of each part."""
    merged: list[tuple[slice, dict[bytes, list[Condition]]]] = []
    for part, words in lookups:
        same = next((rules for other, rules in merged if other == part), None)
        if same is None:
            merged.append((part, {word: list(rules) for word, rules in words.items()}))
            continue
        for word, rules in words.items():
            same.setdefault(word, []).extend(rules)
    return merged


def _rarity(found: tuple[_EndPlace, bytes]) -> tuple[int, bool, int]:
    """Order words by how few files have them.

    Of two that are as rare, the one nearer to the end is shared by more rules.
    """
    place, word = found
    return len(word) - word.count(0), not place.of_head, -place.distance


def _words(database: Database, rule: int) -> Iterator[tuple[_EndPlace, bytes]]:
    """Yield words that a file must have before a rule from its end prints, and where.

    Tests below a test of the end count from there (msetoffset).
    """
    records = database.records(rule)
    needed = {id(record) for record in tree_of(database, records).path()}
    begin = 0  # the distance from the end from which tests below count
    for record in records:
        is_needed = id(record) in needed
        moves_place = record.flag & OFFPOSITIVE or record.type in (INDIRECT, USE)
        if moves_place or (record.flag & OFFNEGATIVE and not is_needed):
            return  # it may move the place from which the next tests count
        if not is_needed:
            continue
        moved = record.flag & MOVED
        of_head = False
        if moved == OFFNEGATIVE:
            begin = record.offset
            distance = record.offset
        elif not moved:
            distance = begin - record.offset
        elif moved == OFFNEGATIVE | OFFADD and record.level == 1 and records[0].type in WIDTHS:
            # Behind the match above, but in what was read of the beginning, which is as long.
            distance = begin - WIDTHS[records[0].type] + record.offset
            of_head = True
        else:
            return
        word = _word_of(record)
        if word and distance >= len(word):
            last = word[-_WORD_BYTES:]
            yield _EndPlace(distance - len(word) + len(last), len(last), of_head), last
        if of_head:
            return


def _word_of(record: Record) -> bytes:
    """Return the bytes that are all that a test asks for, b"" if it isn't that simple."""
    if record.relation != EQUAL:
        return b""
    if record.type == STRING and record.modifiers & ~patterns.PLAIN:
        return b""
    if record.type in QUADS and not record.mask and not record.operator:
        # The file has all eight bytes there.
        return record.value[:8][:: -1 if record.type in BIG_ENDIAN else 1]
    return bytes_of_test(record) or b""
