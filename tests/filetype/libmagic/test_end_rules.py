"""Rules from the end of a file: found by the word that they need there, on made rules."""

import pytest
from support.magic_rules import binary, database, record

from hpc_remetrics.filetype.libmagic.content import ContentEnds
from hpc_remetrics.filetype.libmagic.database import (
    NAME,
    OFFADD,
    OFFNEGATIVE,
    OFFPOSITIVE,
    STRING,
    USE,
)
from hpc_remetrics.filetype.libmagic.end_rules import EndRules

LESHORT, BEQUAD, LEQUAD = 10, 26, 25
END = OFFNEGATIVE

ZIP = [binary(STRING, b"PK\5\6", b"zip", flag=END, offset=22)]
STOP = [binary(STRING, b"STOP", flag=END, offset=4), record(STRING, b"x", b"stop", level=1)]
BIG = [binary(BEQUAD, 0x0102030405060708, b"big", flag=END, offset=8)]
LITTLE = [binary(LEQUAD, 0x0102030405060708, b"little", flag=END, offset=10)]
ANY = [binary(STRING, b"", b"any", flag=END, offset=1, relation=">")]
BEGINNING = [binary(STRING, b"abc", b"no")]
# Below a test of the end, places count from there; or from behind the match in the first bytes.
BELOW = [binary(LESHORT, 0, flag=END, offset=30), record(STRING, b"word", b"a", level=1, offset=5)]
OF_HEAD = [
    binary(LESHORT, 0, flag=END, offset=2),
    record(STRING, b"PK\5\6", b"zip", level=1, flag=END | OFFADD, offset=22),
]


# Behind these nobody knows from where places count, so the rule is asked of all files.
FROM_BEGINNING = [
    binary(LESHORT, 0, flag=END, offset=30, relation="x"),
    record(STRING, b"word", b"a", level=1, offset=5, flag=OFFPOSITIVE),
]
FROM_BLOCK = [
    binary(LESHORT, 0, flag=END, offset=30, relation="x"),
    record(USE, b"block", level=1),
    record(STRING, b"word", b"a", level=2, offset=5),
]


def found(content, *rules, head=None) -> list[int]:
    made = EndRules(database(*rules, blocks=[[record(NAME, b"block")]], version=546))
    return [one.rule for one in made.of(content, content if head is None else head)]


@pytest.mark.parametrize(
    ("data", "rule", "is_found"),
    [
        (b"PK\5\6" + bytes(18), ZIP, True),
        (b"...PK\5\6" + bytes(18), ZIP, True),
        (b"PK\5\6" + bytes(17), ZIP, False),
        (b"PK\5\6" + bytes(19), ZIP, False),
        (b"PK\5\7" + bytes(18), ZIP, False),
        (b"", ZIP, False),
        (b"xxSTOP", STOP, True),
        (b"STOP", STOP, True),
        (b"STOP.", STOP, False),
        (b"\1\2\3\4\5\6\7\x08", BIG, True),
        (b"....\5\6\7\x08", BIG, True),  # four bytes are looked up
        (b"\1\2\3\4\5\6\7.", BIG, False),
        (b"\x08\7\6\5\4\3\2\1..", LITTLE, True),
        (b"....\4\3\2\1..", LITTLE, True),
        (b"\x08\7\6\5\4\3\2\1.", LITTLE, False),
        (b".", ANY, True),
        (b"abc", BEGINNING, False),
        (b"." * 9 + b"word" + b"." * 21, BELOW, True),
        (b"." * 9 + b"word" + b"." * 20, BELOW, False),
        (b"PK\5\6" + bytes(18), OF_HEAD, True),
        (b"PK\5\6" + bytes(16), OF_HEAD, False),
        (b"..", FROM_BEGINNING, True),
        (b"..", FROM_BLOCK, True),
    ],
)
def test_a_rule_is_found_where_its_word_stands(data, rule, is_found):
    assert found(data, rule) == ([0] if is_found else [])


def test_rules_of_one_place_and_of_two():
    other = [binary(STRING, b"STOP", b"other", flag=END, offset=4)]
    assert found(b"xSTOP", BEGINNING, STOP, ZIP, other) == [1, 3]
    assert found(b"PK\5\6" + b"x" * 14 + b"STOP", STOP, ZIP) == [0, 1]
    assert found(b"x", ANY, STOP) == [0]


def test_the_end_of_a_large_file_and_of_what_is_read_of_it():
    record_ = b"PK\5\6" + bytes(18)
    held = ContentEnds(b"a" * 30, (b"b" * 9, record_), 100)
    assert found(held, ZIP, OF_HEAD, head=held.head) == [0]
    held = ContentEnds(b"a" * 8 + record_, (b"b" * 30,), 100)
    assert found(held, ZIP, OF_HEAD, head=held.head) == [1]
    # Of bytes whose first ones alone are read, too.
    data = b"a" * 8 + record_ + b"b" * 30
    assert found(data, ZIP, OF_HEAD, head=data[:30]) == [1]


def test_all_conditions_tell_of_the_first_test_alone():
    made = EndRules(database(BEGINNING, STOP, ZIP))
    assert [one.rule for one in made.conditions] == [1, 2]
    assert all(one.node.has_effect for one in made.conditions)
