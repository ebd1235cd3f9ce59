"""The compiled database: rules, named blocks, and subsets, on databases of a few made rules."""

import math
import struct

import pytest
from support.magic_rules import RECORD_BYTES, binary, compiled, database, record, textual

from hpc_remetrics.filetype.libmagic.database import (
    BESTRING16,
    INDIRECT,
    LESTRING16,
    NAME,
    OFFADD,
    OFFNEGATIVE,
    OFFPOSITIVE,
    SEARCH,
    STRING,
    USE,
    Database,
    find_database,
)
from hpc_remetrics.filetype.libmagic.versions import VERSIONS

VERSION = VERSIONS[544]
BYTE = 1
ONE = [binary(STRING, b"one", b"first"), record(BYTE, 1, b"below", level=1)]
TWO = [textual(SEARCH, b"two", b"second")]
CALLING = [binary(STRING, b"call"), record(USE, b"block", level=1)]
BLOCK = [record(NAME, b"block"), record(USE, b"^other", level=1)]
OTHER = [record(NAME, b"other"), record(BYTE, 3, b"three", level=1)]
UNUSED = [record(NAME, b"unused")]


def test_rules_are_records_from_one_of_level_0_to_the_next():
    made = database(ONE, TWO, CALLING, blocks=[BLOCK, OTHER])
    assert made.rules == 3
    assert [made.records(rule) for rule in range(3)] == [ONE, TWO, CALLING]
    assert made.first_record(2) == CALLING[0]
    assert made.first_record(0).word == b"one"
    assert made.first_record(0).mask == 0
    assert record(BYTE, 1, mask=0x1_0000_0002).mask == 0x1_0000_0002


def test_named_blocks():
    made = database(CALLING, blocks=[BLOCK, OTHER, OTHER[:1]])
    assert made.named_block(b"block\0\0") == BLOCK
    assert made.named_block(b"^other") == OTHER  # the first of that name
    assert made.named_block(b"no") == []
    assert made.first_record(1).string == b"block"


def test_a_name_inside_a_block_is_found_with_the_block():
    inside = record(NAME, b"inside", level=1)
    caller = [binary(STRING, b"x"), record(USE, b"inside", level=1)]
    made = database(caller, [binary(STRING, b"y"), inside], blocks=[UNUSED, [OTHER[0], inside]])
    assert made.named_block(b"inside") == []  # what it does isn't followed
    assert made.subset([(0, True)]) == compiled([caller], [[OTHER[0], inside]])


@pytest.mark.parametrize(
    ("rules", "blocks", "kept"),
    [
        ([(0, True)], [], [ONE]),
        ([(0, False)], [UNUSED], [ONE[:1]]),
        ([(1, True), (0, True)], [], [TWO, ONE]),
        ([], [UNUSED, UNUSED], []),  # two records are the fewest that all versions load
        ([(2, True)], [BLOCK, OTHER], [CALLING]),
        ([(2, False)], [UNUSED], [CALLING[:1]]),
    ],
)
def test_a_subset_has_the_rules_and_the_blocks_that_they_reach(rules, blocks, kept):
    made = database(ONE, TWO, CALLING, blocks=[UNUSED, BLOCK, OTHER])
    assert made.subset(rules) == compiled(kept, blocks)


@pytest.mark.parametrize(
    ("rule", "blocks", "entangled", "by_top"),
    [
        ([binary(STRING, b"a", b"a")], [], False, False),
        ([binary(INDIRECT)], [], True, True),
        ([binary(STRING, b"a"), record(INDIRECT, level=1)], [], True, False),
        ([binary(STRING, b"a"), record(LESTRING16, b"a", level=1)], [], False, False),
        ([binary(SEARCH, b"a"), record(LESTRING16, b"a", level=1)], [], True, False),
        ([binary(BESTRING16, b"a")], [], True, True),
        (CALLING, [BLOCK, OTHER], False, False),
        (CALLING, [BLOCK, [*OTHER, record(INDIRECT, level=1)]], True, False),
        ([binary(USE, b"other")], [OTHER], False, True),
        (CALLING, [UNUSED, [*UNUSED, record(INDIRECT, level=1)]], False, False),
    ],
)
def test_entangled_rules(rule, blocks, entangled, by_top):
    made = database(ONE, rule, blocks=blocks)
    assert made.entangled == ({1} if entangled else set())
    assert made.entangled_tops == ({1} if by_top else set())


@pytest.mark.parametrize(
    ("rule", "blocks", "reads_end", "continues"),
    [
        ([binary(STRING, b"a", offset=4)], [], False, False),
        ([binary(STRING, b"a", offset=4, flag=OFFNEGATIVE)], [], True, False),
        ([binary(STRING, b"a"), record(BYTE, 1, level=1, flag=OFFNEGATIVE)], [], True, True),
        ([binary(STRING, b"a"), record(BYTE, 1, level=1, flag=OFFNEGATIVE | OFFADD)], [], False, False),
        (CALLING, [BLOCK, [*OTHER, record(BYTE, 1, level=1, flag=OFFNEGATIVE)]], True, False),
        (CALLING, [UNUSED, [*UNUSED, record(BYTE, 1, level=1, flag=OFFNEGATIVE)]], False, False),
    ],
)  # fmt: skip
def test_rules_that_read_the_end(rule, blocks, reads_end, continues):
    made = database(ONE, rule, blocks=blocks)
    assert made.reading_end == ({1} if reads_end else set())
    assert made.continuing == ({1: 0} if continues else {})


def test_the_file_must_reach_to_the_furthest_place_from_its_end():
    first = binary(STRING, b"a")
    places = [record(BYTE, 1, level=1, offset=offset, flag=OFFNEGATIVE) for offset in (4, 22, 8)]
    assert database(ONE, [first, *places]).continuing == {1: 22}
    # libmagic compares a negative distance as an unsigned number.
    places = [record(BYTE, 1, level=1, offset=offset, flag=OFFNEGATIVE) for offset in (-1, 4)]
    assert database([first, *places]).continuing == {0: math.inf}


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 0, "version"),
        (4, 19, "version 19"),
        (8, 9, "record size"),
        (12, 9, "record size"),
        (RECORD_BYTES, 1, "conditions"),  # the first record isn't of level 0
        (RECORD_BYTES + 10, 1, "conditions"),
        (RECORD_BYTES + 6, 77, "unknown tests"),
        (RECORD_BYTES + 6, 0, "unknown tests"),
        (RECORD_BYTES + 6, 60, "unknown tests"),
    ],
)
def test_other_databases_are_not_understood(at, value, message):
    data = bytearray(compiled([ONE, TWO]))
    data[at] = value
    with pytest.raises(ValueError, match=message):
        Database(bytes(data), VERSION)


def test_named_blocks_begin_with_a_record_of_level_0():
    data = bytearray(compiled([TWO], [OTHER]))
    struct.pack_into("<H", data, 2 * RECORD_BYTES, 1)
    with pytest.raises(ValueError, match="conditions"):
        Database(bytes(data), VERSION)


@pytest.mark.parametrize(
    ("format_", "last_type"), [(16, 52), (17, 58), (18, 59), (20, 59), (21, 61)]
)
def test_the_types_of_each_format_are_known(format_, last_type):
    for type_ in (1, last_type):
        data = compiled([[binary(type_)]], format_=format_)
        assert Database(data, VERSION).first_record(0).type == type_
    with pytest.raises(ValueError, match="unknown tests"):
        Database(compiled([[binary(last_type + 1)]], format_=format_), VERSION)


def test_flags_and_levels_of_wide_records():
    below = record(BYTE, 1, b"below", level=1, flag=OFFPOSITIVE | OFFADD)
    data = compiled([[ONE[0], below], TWO], [BLOCK, OTHER], 20)
    made = Database(data, VERSION)
    assert made.rules == 2
    assert made.records(0) == [ONE[0], below]
    assert made.named_block(b"other") == OTHER
    assert made.subset([(1, True), (0, False)]) == compiled([TWO, ONE[:1]], [], 20)


def test_only_before_5_40_a_call_may_lose_levels():
    assert database(ONE, CALLING, blocks=[BLOCK, OTHER], version=539).losing_levels == {1}
    assert database(ONE, CALLING, blocks=[BLOCK, OTHER], version=540).losing_levels == set()
    assert database(ONE, CALLING, version=539).losing_levels == set()  # there is no such block


def test_one_compiled_database_is_found(tmp_path):
    (tmp_path / "one.mgc").write_bytes(compiled([ONE]))
    (tmp_path / "comments").write_text("# nothing\n\n")
    for paths in ("one", "one.mgc", "comments:one", ":one:"):
        named = ":".join(str(tmp_path / name) if name else "" for name in paths.split(":"))
        assert find_database(named, VERSION).rules == 1
    with pytest.raises(ValueError, match="0 compiled databases"):
        find_database("", VERSION)
    with pytest.raises(ValueError, match="2 compiled databases"):
        find_database(f"{tmp_path}/one:{tmp_path}/one.mgc", VERSION)


def test_rules_that_are_not_compiled_are_not_understood(tmp_path):
    (tmp_path / "one.mgc").write_bytes(compiled([ONE]))
    (tmp_path / "rules").write_text("# a\n0 string abc something\n")
    for other in ("rules", ""):
        with pytest.raises(ValueError, match="not compiled"):
            find_database(f"{tmp_path / other}:{tmp_path}/one", VERSION)
