"""Which rules are asked, and with which database, on made rules."""

from types import SimpleNamespace

import pytest
from support.magic_rules import binary, database, record, textual

from hpc_remetrics.filetype.libmagic import Libmagic, beyond_head
from hpc_remetrics.filetype.libmagic import exact as exact_module
from hpc_remetrics.filetype.libmagic.binding import Magic, libmagic_version
from hpc_remetrics.filetype.libmagic.conditions import condition_of
from hpc_remetrics.filetype.libmagic.database import INDIRECT, NAME, REGEX, STRING
from hpc_remetrics.filetype.libmagic.exact import ExactMagic, _Subsets, _up_to_end_of_walk

ENDING = [binary(STRING, b"abcd", b"ends the walk")]
REFINED = [binary(REGEX, b"abcd", b"may not pass")]
TEXT_ENDING = [textual(STRING, b"abcd", b"ends the walk of text")]
TEXT = [textual(REGEX, b"abcd", b"may not pass")]


def asked(*rules) -> list[int]:
    made = database(*rules)
    conditions = [condition_of(made, rule) for rule in range(made.rules)]
    return [one.rule for one in _up_to_end_of_walk(conditions[::-1])]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ([REFINED, ENDING, REFINED], [0, 1]),
        ([REFINED, REFINED], [0, 1]),
        ([TEXT, ENDING, TEXT], [0, 1]),  # text comes after all bytes
        ([TEXT_ENDING, TEXT, REFINED], [0, 2]),
        ([TEXT, TEXT_ENDING, TEXT, REFINED, TEXT], [0, 1, 3]),
    ],
)
def test_rules_behind_the_end_of_a_walk_are_left_out(rules, left):
    assert asked(*rules) == left


ENTANGLED = [binary(STRING, b"abcd", b"a"), record(INDIRECT, level=1)]


@pytest.fixture
def subsets(monkeypatch) -> _Subsets:
    monkeypatch.setattr(exact_module, "_MAX_SUBSETS", 3)
    # The installed libmagic loads the subsets, so they are stored as it wants them: 5.46 loads no
    # single record, and a subset is filled up with the name of a block.
    made = database(
        ENDING,
        ENTANGLED,
        [binary(STRING, b"xy", b"an xy")],
        blocks=[[record(NAME, b"block")]],
        version=libmagic_version(),
    )
    return _Subsets(made)


def test_a_subset_describes_by_its_rules_alone(subsets):
    magic = subsets.of(((0, True),), False)
    assert isinstance(magic, Magic)
    assert magic.describe_buffer(b"abcd\0") == b"ends the walk"
    assert magic.describe_buffer(b"xy\0\1\2") == b"data"
    assert magic.describe(b"abcd\0") == b"ends the walk"


def test_entangled_rules_have_no_subset_but_their_first_tests_have(subsets):
    assert subsets.of(((0, True), (1, True)), False) is None
    assert subsets.of(((0, True), (1, False)), False) is not None


def test_subsets_are_opened_once_until_there_are_too_many(subsets):
    first = subsets.of(((0, True),), False)
    assert subsets.of(((0, True),), False) is first
    assert subsets.of(((0, True),), True) is not first
    subsets.of(((2, True),), False)
    assert subsets.of(((0, True),), False) is first
    subsets.of(((2, True),), True)  # a fourth: all are closed
    assert subsets.of(((0, True),), False) is not first


def test_the_bytes_of_subsets_are_bounded(subsets, monkeypatch):
    size = len(subsets._database.subset([(0, True)]))
    monkeypatch.setattr(exact_module, "_MAX_SUBSET_BYTES", 2 * size)
    first = subsets.of(((0, True),), False)
    subsets.of(((2, True),), False)
    assert subsets.of(((0, True),), False) is first
    monkeypatch.setattr(exact_module, "_MAX_SUBSET_BYTES", 3 * size - 1)
    subsets.of(((2, True),), True)
    assert subsets.of(((0, True),), False) is not first


class NamedMagic:
    """libmagic with some rules: says by which of its functions it was asked."""

    def __init__(self, of_head: bytes = b"head") -> None:
        self.of_head = of_head

    def describe(self, content) -> bytes:
        return b"file"

    def describe_buffer(self, head: bytes) -> bytes:
        return self.of_head


ELF = b"\x7fELF"
COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")


@pytest.mark.parametrize(
    ("head", "of_head", "buffer_is_enough", "reading_end", "answer"),
    [
        (b"abc", b"head", True, set(), b"head"),
        (b"abc", b"head", True, {6}, b"head"),  # a rule that is not asked
        (b"abc", b"head", True, {5}, b"file"),
        (b"abc", b"head", False, set(), b"file"),
        (COMPOUND, b"head", True, set(), b"file"),
        (ELF, b"ELF, version 1", True, set(), b"ELF, version 1"),
        (ELF, b"ELF", True, set(), b"file"),
        (ELF, None, True, set(), b"file"),
    ],
)
def test_a_file_is_shown_only_where_its_head_is_not_enough(
    monkeypatch, head, of_head, buffer_is_enough, reading_end, answer
):
    monkeypatch.setattr(beyond_head, "_is_sound_elf", lambda content, head: True)
    asked = SimpleNamespace(
        _subsets=SimpleNamespace(of=lambda rules, is_text: NamedMagic(of_head)),
        _database=SimpleNamespace(reading_end=reading_end),
        _version=SimpleNamespace(buffer_is_enough=buffer_is_enough),
    )
    found = ExactMagic._ask(asked, head + b"more", head, {5: True}, is_text=False)
    assert found == answer


def test_rules_that_have_no_subset_are_asked_together():
    asked = SimpleNamespace(
        _subsets=SimpleNamespace(of=lambda rules, is_text: None),
        _plain=SimpleNamespace(describe=lambda content: b"plain"),
    )
    assert ExactMagic._ask(asked, b"abc", b"abc", {5: True}, is_text=False) == b"plain"


SYSV = b"ELF 64-bit LSB executable, x86-64, version 1 (SYSV), "


@pytest.mark.parametrize(
    ("want", "got", "agrees"),
    [
        (None, None, True),
        (None, b"data", False),
        (b"data", None, False),
        (b"data", b"data", True),
        (b"data, a", b"data, b", False),
        (SYSV + b"dynamically linked", SYSV + b"statically linked", True),
        (SYSV + b"dynamically linked", b"data", False),
        (SYSV + b"dynamically linked", None, False),
    ],
)
def test_descriptions_of_elf_files_agree_if_their_heads_do(want, got, agrees):
    assert Libmagic.agree(want, got) is agrees
