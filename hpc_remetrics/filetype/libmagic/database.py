"""The compiled data base of libmagic: an array of records of one size, strongest rule first.

A header is followed by two sets of records: the rules, and the named blocks that rules call. A rule
is a record of level 0 and the records of higher levels behind it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import numpy as np

MAGIC_NUMBER = 0xF11E041C
LAYOUTS = {18: 376}
"""Versions of the format that are understood, and the size of a record in each."""

# Types of tests (file.h).
BYTE, DEFAULT, STRING, PSTRING, REGEX, SEARCH = 1, 3, 5, 13, 17, 20
BESTRING16, LESTRING16, INDIRECT, NAME, USE, CLEAR, DER, GUID = 18, 19, 41, 45, 46, 47, 48, 49
KNOWN_TYPES = frozenset(range(1, 60))

# Flags of a record.
INDIR, OFFADD, INDIROFFADD, UNSIGNED, NOSPACE, BINTEST, TEXTTEST, OFFNEGATIVE = (
    1 << bit for bit in range(8)
)

_FIELDS = Struct("<H10BiiIII128s64s")


class Record(NamedTuple):
    """One test, as libmagic's `struct magic` has it."""

    level: int
    flag: int
    factor: int
    relation: int
    length: int
    type: int
    in_type: int
    in_operator: int
    operator: int
    condition: int
    factor_operator: int
    offset: int
    in_offset: int
    line: int
    range: int
    modifiers: int
    value: bytes
    description: bytes

    @property
    def mask(self) -> int:
        """The mask of a numeric test; it lies where texts have range and modifiers."""
        return self.range | self.modifiers << 32

    @property
    def word(self) -> bytes:
        """The value of a text test, as many bytes as are compared."""
        return self.value[: self.length]


class Base:
    """A compiled data base in memory.

    :ivar rules: number of rules; a rule's number is its place in the order in which libmagic tries
    them.
    :raises ValueError: it is of another version or kind than those understood.
    """

    def __init__(self, data: bytes) -> None:
        number, version, first, second = Struct("<4I").unpack_from(data)
        if sys.byteorder != "little" or number != MAGIC_NUMBER or version not in LAYOUTS:
            raise ValueError(f"a data base of version {version}")
        self.size = LAYOUTS[version]
        if len(data) != self.size * (1 + first + second):
            raise ValueError("a data base of another record size")
        self._data = data
        table = np.frombuffer(data, np.uint8).reshape(-1, self.size)[1:]
        self._levels = table[:, :2].copy().view("<u2")[:, 0]
        self._flags, self._types, self._conditions = table[:, 2], table[:, 6], table[:, 10]
        self._first = first
        starts = np.flatnonzero(self._levels == 0)
        ends = np.append(starts[1:], len(self._levels))
        self._starts, self._ends = starts.tolist(), ends.tolist()
        self.rules = int(np.searchsorted(starts, first))
        if self._levels[0] or (second and self._levels[first]) or self._conditions.any():
            raise ValueError("a data base with conditions")
        if not np.isin(self._types, list(KNOWN_TYPES)).all():
            raise ValueError("a data base with unknown tests")

    def records(self, rule: int) -> list[Record]:
        """Return a rule's records, the first of level 0."""
        return [self._record(number) for number in range(self._starts[rule], self._ends[rule])]

    def block(self, name: bytes) -> list[Record]:
        """Return the records of a named block, none if there is no such block."""
        block = self._blocks.get(name.partition(b"\0")[0].removeprefix(b"^"))
        return [] if block is None else self.records(block)

    def top(self, rule: int) -> Record:
        """Return a rule's first record."""
        return self._record(self._starts[rule])

    def _record(self, number: int) -> Record:
        fields = _FIELDS.unpack_from(self._data, self.size * (1 + number))
        return Record._make((*fields[:-1], fields[-1].partition(b"\0")[0]))

    def _has(self, marks: np.ndarray) -> np.ndarray:
        """Tell for each rule and named block whether one of its records is marked."""
        return np.add.reduceat(marks.astype(np.int32), self._starts) > 0

    @cached_property
    def _blocks(self) -> dict[bytes, int]:
        """Name -> named block; of two with one name libmagic takes the first."""
        found: dict[bytes, int] = {}
        for block in range(self.rules, len(self._starts)):
            found.setdefault(self.top(block).value.partition(b"\0")[0], block)
        return found

    @cached_property
    def _calls(self) -> list[frozenset[int]]:
        """The named blocks that each rule and block calls itself."""
        called: list[set[int]] = [set() for _ in self._starts]
        users = np.flatnonzero(self._types == USE)
        owners = np.searchsorted(self._starts, users, "right") - 1
        for number, owner in zip(users.tolist(), owners.tolist(), strict=True):
            name = self._record(number).value.partition(b"\0")[0].removeprefix(b"^")
            if name in self._blocks:
                called[owner].add(self._blocks[name])
        return [frozenset(one) for one in called]

    def _reached(self, rules: list[int]) -> list[int]:
        """Return the named blocks that rules call, and those that these call, in order."""
        seen: set[int] = set()
        todo = list(rules)
        while todo:
            new = self._calls[todo.pop()] - seen
            seen |= new
            todo += new
        return sorted(seen)

    @cached_property
    def entangled(self) -> frozenset[int]:
        """The rules whose outcome may depend on others than themselves.

        `indirect` walks over all rules again, at another place. A string of 16-bit characters that
        reaches the end of the file is compared with what the test before left in libmagic's memory:
        that is a test of the same rule, unless the rule begins with one that leaves the memory
        alone.
        """
        wide, leaving = [BESTRING16, LESTRING16], [BESTRING16, LESTRING16, SEARCH, REGEX, DER]
        walks = self._has(self._types == INDIRECT)
        compares = self._has(np.isin(self._types, wide))
        leaves = np.isin(self._types[self._starts], leaving)
        return frozenset(
            rule
            for rule in range(self.rules)
            if any(
                walks[part] or (leaves[rule] and compares[part])
                for part in (rule, *self._reached([rule]))
            )
        )

    @cached_property
    def entangled_tops(self) -> frozenset[int]:
        """The rules whose first test may depend on others."""
        tops = self._types[self._starts[: self.rules]]
        return frozenset(
            np.flatnonzero(np.isin(tops, [INDIRECT, USE, BESTRING16, LESTRING16])).tolist()
        )

    @cached_property
    def returning(self) -> frozenset[int]:
        """The rules that libmagic may leave after it printed, to go on with the next: they look at
        a file's end.

        A negative place behind the match above isn't one at the end (msetoffset).
        """
        from_end = self._flags & (OFFNEGATIVE | OFFADD | INDIROFFADD) == OFFNEGATIVE
        marked = self._has(from_end & (self._levels > 0))
        return frozenset(np.flatnonzero(marked[: self.rules]).tolist())

    @cached_property
    def from_end(self) -> frozenset[int]:
        """The rules of which a test looks at the file's end, or one of a named block that they
        reach."""
        marks = self._flags & (OFFNEGATIVE | OFFADD | INDIROFFADD) == OFFNEGATIVE
        marked = self._has(marks)
        blocks = {self.rules + int(block) for block in np.flatnonzero(marked[self.rules :])}
        own = set(np.flatnonzero(marked[: self.rules]).tolist())
        callers = [rule for rule in range(self.rules) if self._calls[rule]]
        return frozenset(
            own | {rule for rule in callers if blocks.intersection(self._reached([rule]))}
        )

    def part(self, rules: Iterable[tuple[int, bool]]) -> bytes:
        """Return a data base of some rules, in order, with the named blocks that they reach.

        libmagic sorts rules when it compiles them, and walks what it loads as it comes.

        :param rules: each with whether it is wanted whole, or without what is below its first test.
        """
        starts, ends = self._starts, self._ends
        parts = [(starts[rule], ends[rule] if whole else starts[rule] + 1) for rule, whole in rules]
        blocks = [
            (starts[one], ends[one])
            for one in self._reached([rule for rule, whole in rules if whole])
        ]
        counts = [sum(end - start for start, end in some) for some in (parts, blocks)]
        header = self._data[:8] + Struct("<2I").pack(*counts)
        size, data = self.size, self._data
        records = [data[size * (1 + start) : size * (1 + end)] for start, end in (*parts, *blocks)]
        return b"".join([header.ljust(size, b"\0"), *records])


def find_base(paths: str) -> Base:
    """Read the one compiled data base that libmagic loads from these paths.

    :param paths: what `magic_getpath` gives: paths with colons between them.
    :raises ValueError: there are none or several, or rules that are not compiled, or it isn't
        understood.
    """
    found = []
    for path in filter(None, paths.split(":")):
        compiled = Path(path if path.endswith(".mgc") else f"{path}.mgc")
        if compiled.is_file():
            found.append(compiled)
        elif os.path.isdir(path) or (os.path.isfile(path) and _has_rules(Path(path))):
            raise ValueError(f"rules that are not compiled, in {path}")
    if len(found) != 1:
        raise ValueError(f"{len(found)} data bases in {paths}")
    return Base(found[0].read_bytes())


def _has_rules(path: Path) -> bool:
    """Tell whether a file has more than comments, as Debian's /etc/magic doesn't."""
    return any(
        line.strip() and not line.startswith(b"#") for line in path.read_bytes().splitlines()
    )
