r"""Read libmagic's compiled database of rules (magic.mgc): an array of records, strongest rule first.

A rule in libmagic's source is a line for its first test, and lines of higher levels behind `>`::

    0        string         \037\213
    >3       byte&0x18      >0          gzip compressed data
    >>-4     ulelong        x           \b, original size modulo 2^32 %u

Compiled, each line is a record of 376 bytes, or of 432 since 5.46. The first and the last one above become::

    Record(level=0, flag=BINTEST, type=STRING, relation="=", offset=0,
           value=b"\x1f\x8b", length=2, description=b"", ...)
    Record(level=2, flag=NOSPACE | UNSIGNED | OFFNEGATIVE, type=11 (lelong), relation="x", offset=4,
           description=b", original size modulo 2^32 %u", ...)

The file is a header, the records of all rules, and the records of the named blocks that rules call
(`use`)::

    | header | rule 0: level 0, 1, 2, 1 | rule 1: level 0 | ... | block "a": level 0, 1 | ... |
"""

from __future__ import annotations

import math
import os
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from .versions import Version

_MAGIC_NUMBER = 0xF11E041C
# Types of tests (file.h).
BYTE, DEFAULT, STRING, PSTRING, REGEX, SEARCH = 1, 3, 5, 13, 17, 20
BESTRING16, LESTRING16, INDIRECT, NAME, USE, CLEAR, DER, GUID = 18, 19, 41, 45, 46, 47, 48, 49

# Flags of a record (file.h). The first three and the last two say from where its offset counts.
INDIR, OFFADD, INDIROFFADD, UNSIGNED, NOSPACE, BINTEST, TEXTTEST, OFFNEGATIVE, OFFPOSITIVE = (
    1 << bit for bit in range(9)
)


class _Format(NamedTuple):
    """How one version of the format stores records (file.h: VERSIONNO, struct magic).

    The modules here name types up to 49 alone, which have the same numbers in all formats.

    :ivar record_bytes: bytes of a record (FILE_MAGICSIZE).
    :ivar last_type: the largest number of a type of test (FILE_NAMES_SIZE).
    :ivar has_wide_flags: 16 bits of flags stand before a level of 8 bits; elsewhere it is a level of
        16 bits before 8 bits of flags.
    """

    record_bytes: int
    last_type: int
    has_wide_flags: bool


_FORMATS = {
    16: _Format(376, 52, False),  # 5.39 to 5.41
    17: _Format(376, 58, False),  # 5.42: dates and times of MS-DOS
    18: _Format(376, 59, False),  # 5.43 to 5.45: octal numbers
    20: _Format(432, 59, True),  # 5.46, 5.47: longer extensions; OFFPOSITIVE
    21: _Format(432, 61, True),  # 5.48, 5.47 of Debian: GUIDs of either byte order
}
"""Number -> format that is understood."""

_MIN_RECORDS = 2
"""Records that 5.46 wants at least in what it loads (apprentice.c: check_buffer)."""

_HEADER = Struct("<4I")  # magic number, version, records of rules, records of named blocks
_COUNTS = Struct("<2I")
_FIELDS = Struct("<H10BiiIII128s64s")


class Record(NamedTuple):
    """One test of a rule, as `struct magic` of libmagic's file.h has it.

    :ivar level: 0 for the first test of a rule; a test is asked if the last one of the level above
        passed.
    :ivar relation: character of the comparison, as a number: `=`, `!`, `<`, `>`, `&`, `^`, `x`.
    :ivar length: bytes of `value` that a text test compares.
    :ivar offset: place in the file, counted as `flag` says.
    :ivar range: bytes in which a search looks for the value.
    :ivar modifiers: flags of a text test (`patterns`).
    :ivar description: words that libmagic prints when the test passes.
    """

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
        """The mask of a numeric test; it lies where text tests have range and modifiers."""
        return self.range | self.modifiers << 32

    @property
    def word(self) -> bytes:
        """The value of a text test, as many bytes as are compared."""
        return self.value[: self.length]

    @property
    def string(self) -> bytes:
        """The value up to its first zero: the name of a block, or a regular expression."""
        return self.value.partition(b"\0")[0]


class Database:
    """A compiled database in memory.

    A rule's number is its place in the order in which libmagic tries them; the numbers of named
    blocks follow those of the rules.

    :ivar version: of the libmagic that walks the rules.
    :ivar rules: number of rules.
    :param data: bytes of a .mgc file.
    :raises ValueError: it is of another version or kind than those that are understood.
    """

    def __init__(self, data: bytes, version: Version) -> None:
        number, format_, rule_records, block_records = _HEADER.unpack_from(data)
        if sys.byteorder != "little" or number != _MAGIC_NUMBER or format_ not in _FORMATS:
            raise ValueError(f"a database of version {format_}")
        self.version = version
        self._format = _FORMATS[format_]
        self._record_bytes = self._format.record_bytes
        if len(data) != self._record_bytes * (1 + rule_records + block_records):
            raise ValueError("a database of another record size")
        self._data = data

        # View the fields that are looked at in all records.
        first = self._column(0)
        second = self._column(1)
        third = self._column(2)
        pairs = [low | high << 8 for low, high in zip(first, second, strict=True)]
        has_wide_flags = self._format.has_wide_flags
        self._flags: Sequence[int] = pairs if has_wide_flags else third
        levels: Sequence[int] = third if has_wide_flags else pairs
        self._types = self._column(6)

        # A rule, or a block, goes from one record of level 0 to the next.
        self._starts = [number for number, level in enumerate(levels) if not level]
        self._ends = [*self._starts[1:], len(levels)]
        self.rules = bisect_left(self._starts, rule_records)

        # Rules, and blocks, begin with a record of level 0.
        needed = [0, rule_records] if block_records else [0]
        begins_inside = any(number >= len(levels) or levels[number] for number in needed)
        if begins_inside or any(self._column(10)):
            raise ValueError("a database with conditions")
        if not set(self._types) <= set(range(1, self._format.last_type + 1)):
            raise ValueError("a database with unknown tests")

    def records(self, rule: int) -> list[Record]:
        """Return a rule's records, the first of level 0."""
        return [self._record(number) for number in range(self._starts[rule], self._ends[rule])]

    def first_record(self, rule: int) -> Record:
        """Return a rule's record of level 0."""
        return self._record(self._starts[rule])

    def named_block(self, value: bytes) -> list[Record]:
        """Return the records of the block that a `use` test calls.

        None if there is no such block, or if its name stands inside another one.
        """
        name = _block_name(value)
        block = self._blocks.get(name)
        if block is None or self.first_record(block).string != name:
            return []
        return self.records(block)

    def subset(self, rules: Iterable[tuple[int, bool]]) -> bytes:
        """Return a database of some rules, in order, with the named blocks that they reach.

        libmagic sorts rules when it compiles them, and walks what it loads as it comes.

        :param rules: each with whether it is wanted whole, or its first test alone.
        """
        rules = list(rules)
        starts = self._starts
        ends = self._ends
        rule_spans = [
            (starts[rule], ends[rule] if whole else starts[rule] + 1) for rule, whole in rules
        ]
        blocks = self._reached_blocks([rule for rule, whole in rules if whole])
        block_spans = [(starts[block], ends[block]) for block in blocks]

        # Fill a very small database up with the name of a block, which nobody calls.
        records = sum(end - start for start, end in (*rule_spans, *block_spans))
        if self.rules < len(starts):
            filler = starts[self.rules]
            block_spans += [(filler, filler + 1)] * (_MIN_RECORDS - records)

        counts = [sum(end - start for start, end in spans) for spans in (rule_spans, block_spans)]
        size = self._record_bytes
        header = (self._data[:8] + _COUNTS.pack(*counts)).ljust(size, b"\0")
        # The header takes the place of one record.
        parts = [
            self._data[size * (1 + start) : size * (1 + end)]
            for start, end in (*rule_spans, *block_spans)
        ]
        return b"".join([header, *parts])

    @cached_property
    def entangled(self) -> frozenset[int]:
        """The rules whose outcome may depend on other rules.

        `indirect` walks through all rules again, at another place. A string of 16-bit characters
        that reaches the end of the file is compared with what the test before left in libmagic's
        memory: that is a test of the same rule, unless the rule begins with a test that leaves the
        memory alone.
        """
        wide = (BESTRING16, LESTRING16)
        leaving_memory = (*wide, SEARCH, REGEX, DER)
        have_indirect = self._owners(self._of_types(INDIRECT))
        have_wide = self._owners(self._of_types(*wide))

        def is_entangled(rule: int) -> bool:
            parts = {rule, *self._reached_blocks([rule])}
            leaves_memory = self._types[self._starts[rule]] in leaving_memory
            return bool(parts & have_indirect or (leaves_memory and parts & have_wide))

        may_be = {rule for rule in range(self.rules) if self._calls[rule]}
        may_be.update(one for one in have_indirect | have_wide if one < self.rules)
        return frozenset(filter(is_entangled, may_be))

    @cached_property
    def entangled_tops(self) -> frozenset[int]:
        """The rules whose first test may depend on other rules."""
        entangled = (INDIRECT, USE, BESTRING16, LESTRING16)
        return frozenset(
            rule for rule in range(self.rules) if self._types[self._starts[rule]] in entangled
        )

    @cached_property
    def losing_levels(self) -> frozenset[int]:
        """The rules that may find their levels changed by a named block that they called."""
        if self.version.call_keeps_levels:
            return frozenset()
        return frozenset(rule for rule in range(self.rules) if self._calls[rule])

    @cached_property
    def continuing(self) -> dict[int, float]:
        """The rules behind which libmagic may go on with the next although they printed.

        A test of theirs, below the first, looks at the file's end, and finds no such place in a
        file of which libmagic reads fewer bytes than stand here (msetoffset).
        """
        needed: dict[int, float] = {}
        for number in self._reading_end:
            distance = self._record(number).offset
            rule = self._owner(number)
            if rule < self.rules and number != self._starts[rule]:
                least = distance if distance >= 0 else math.inf
                needed[rule] = max(needed.get(rule, 0), least)
        return needed

    @cached_property
    def reading_end(self) -> frozenset[int]:
        """The rules with a test that looks at the file's end, or that reach a block with one."""
        owners = self._owners(self._reading_end)
        reaching = {
            rule
            for rule in range(self.rules)
            if self._calls[rule] and owners.intersection(self._reached_blocks([rule]))
        }
        return frozenset(reaching.union(owner for owner in owners if owner < self.rules))

    @cached_property
    def _reading_end(self) -> list[int]:
        """The records with a test that looks at the file's end.

        A negative place behind the match above isn't one at the end (msetoffset).
        """
        moved = OFFNEGATIVE | OFFADD | INDIROFFADD
        return [number for number, flag in enumerate(self._flags) if flag & moved == OFFNEGATIVE]

    def _column(self, place: int) -> bytes:
        """Return one byte of each record, which is at this place of the record."""
        return self._data[self._record_bytes + place :: self._record_bytes]

    def _record(self, number: int) -> Record:
        fields = _FIELDS.unpack_from(self._data, self._record_bytes * (1 + number))
        first_two = fields[1::-1] if self._format.has_wide_flags else fields[:2]
        return Record._make((*first_two, *fields[2:-1], fields[-1].partition(b"\0")[0]))

    def _owner(self, number: int) -> int:
        """Return the rule or block that a record belongs to."""
        return bisect_right(self._starts, number) - 1

    def _owners(self, records: Iterable[int]) -> set[int]:
        """Return the rules and blocks that records belong to."""
        return set(map(self._owner, records))

    def _of_types(self, *types: int) -> list[int]:
        """Return the records with a test of one of these types."""
        return [number for number, type_ in enumerate(self._types) if type_ in types]

    @cached_property
    def _blocks(self) -> dict[bytes, int]:
        """Name -> named block; of two with one name libmagic takes the first.

        Before 5.40 a name may stand inside a block, and is found too (file_magicfind).
        """
        blocks: dict[bytes, int] = {}
        for number in self._of_types(NAME):
            block = self._owner(number)
            if block >= self.rules:
                blocks.setdefault(self._record(number).string, block)
        return blocks

    @cached_property
    def _calls(self) -> list[frozenset[int]]:
        """The named blocks that each rule and block calls itself."""
        calls: list[set[int]] = [set() for _ in self._starts]
        for number in self._of_types(USE):
            name = _block_name(self._record(number).value)
            if name in self._blocks:
                calls[self._owner(number)].add(self._blocks[name])
        return [frozenset(blocks) for blocks in calls]

    def _reached_blocks(self, rules: list[int]) -> list[int]:
        """Return the named blocks that rules call, and those that these call, in order."""
        reached: set[int] = set()
        todo = list(rules)
        while todo:
            new = self._calls[todo.pop()] - reached
            reached |= new
            todo += new
        return sorted(reached)


def _block_name(value: bytes) -> bytes:
    """Return the name of the block that a `use` test calls; `^` before it swaps the byte order."""
    return value.partition(b"\0")[0].removeprefix(b"^")


def find_database(paths: str, version: Version) -> Database:
    """Read the one compiled database that libmagic loads from these paths.

    :param paths: what `magic_getpath` gives: paths with colons between them.
    :param version: of the libmagic.
    :raises ValueError: there are none or several, or rules that are not compiled, or it isn't
        understood.
    """
    compiled = []
    for path in filter(None, paths.split(":")):
        candidate = Path(path if path.endswith(".mgc") else f"{path}.mgc")
        if candidate.is_file():
            compiled.append(candidate)
        elif os.path.isdir(path) or (os.path.isfile(path) and _has_rules(Path(path))):
            raise ValueError(f"rules that are not compiled, in {path}")
    if len(compiled) != 1:
        raise ValueError(f"{len(compiled)} compiled databases in {paths}")
    return Database(compiled[0].read_bytes(), version)


def _has_rules(path: Path) -> bool:
    """Tell whether a file has more than comments, as Debian's /etc/magic doesn't."""
    lines = path.read_bytes().splitlines()
    return any(line.strip() and not line.startswith(b"#") for line in lines)
