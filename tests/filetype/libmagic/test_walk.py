"""Choice of the rules that are asked, and of their database, on made rules."""

from types import SimpleNamespace

import pytest
from support.magic_rules import (
    binary,
    compiled,
    database,
    installed_format,
    record,
    textual,
)

from hpc_remetrics.filetype.libmagic import Libmagic, beyond_head
from hpc_remetrics.filetype.libmagic import exact as exact_module
from hpc_remetrics.filetype.libmagic.binding import Magic, libmagic_version
from hpc_remetrics.filetype.libmagic.conditions import condition_of
from hpc_remetrics.filetype.libmagic.database import (
    BINTEST,
    INDIRECT,
    NAME,
    OFFADD,
    OFFNEGATIVE,
    REGEX,
    SEARCH,
    STRING,
)
from hpc_remetrics.filetype.libmagic.exact import ExactMagic, _Subsets, _up_to_end_of_walk
from hpc_remetrics.filetype.libmagic.patterns import BINARY
from hpc_remetrics.filetype.libmagic.patterns import TEXT as OF_TEXT
from hpc_remetrics.filetype.libmagic.versions import VERSIONS

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
        format_=installed_format(),
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


# The whole way of a content, judged by libmagic with the same made rules

BYTE, LESHORT = 1, 10
END = {"flag": OFFNEGATIVE}
RULES = {
    "early": [
        binary(STRING, b"early", offset=8),
        record(BYTE, 5, b"five", level=1, offset=20),
    ],
    "abcd": [binary(STRING, b"abcd", b"ends the walk")],
    # Of a file of fewer than 22 bytes libmagic goes on behind this.
    "cont": [
        binary(STRING, b"cont", b"goes on"),
        record(BYTE, ord("A"), b"an A", level=1, offset=22, **END),
    ],
    "silent": [
        binary(LESHORT, 0x4142, offset=6),
        record(BYTE, 5, b"five", level=1, offset=8),
    ],
    # It is found by the rarer number.
    "zeros": [
        binary(LESHORT, 0, offset=10),
        record(LESHORT, 0x1234, b"rare", level=1, offset=14),
    ],
    "zip": [binary(STRING, b"PK\5\6", b"zip", offset=6, **END)],
    # Its first test passes, and the second finds no place in a small file.
    "tail": [
        binary(LESHORT, 0x4344, offset=2, **END),
        record(BYTE, 7, b"seven", level=1, offset=40, **END),
    ],
    "cont 2": [binary(STRING, b"cont", b"second")],
    "lone": [
        binary(SEARCH, b"lone", range=60),
        record(BYTE, ord("!"), b"lone!", level=1, flag=OFFADD),
    ],
    "late": [binary(STRING, b"late", b"late words")],
    "mark 1": [binary(STRING, b"mark", b"of text", modifiers=OF_TEXT)],
    "mark 2": [binary(STRING, b"mark", b"of bytes", modifiers=BINARY)],
    "both": [textual(STRING, b"both", b"of both walks", flag=BINTEST)],
    "word": [textual(SEARCH, b"word", b"words", range=100)],
    "name": [textual(STRING, b"name", b"named %s")],
    "abcd 2": [textual(STRING, b"abcd", b"never")],
    "text": [
        textual(STRING, b"text", b"goes on too"),
        record(BYTE, ord("A"), b"an A", level=1, offset=22, **END),
    ],
}


@pytest.fixture(scope="module")
def walk():
    """Return libmagic with the made rules, what asks it with few, and what was asked."""
    version = libmagic_version()
    if version not in VERSIONS:
        pytest.skip(f"libmagic {version} is asked plainly")
    unused = [record(NAME, b"unused")]
    records = compiled(list(RULES.values()), [unused], installed_format())
    plain = Magic(records)
    asked: list = []

    class Plain(Magic):
        def describe(self, content):
            asked.append("all")
            return super().describe(content)

    class Subsets(_Subsets):
        def of(self, rules, is_text):
            names = list(RULES)
            asked.extend(names[rule] if whole else f"{names[rule]}, first" for rule, whole in rules)
            return super().of(rules, is_text)

    with pytest.MonkeyPatch.context() as patch:
        made = exact_module.Database(records, VERSIONS[version])
        patch.setattr(exact_module, "find_database", lambda path, version: made)
        patch.setattr(exact_module, "_Subsets", Subsets)
        yield plain, ExactMagic(Plain(records)), asked


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        # Bytes.
        (b"abcd\0\1", ["abcd"]),
        (b"abcd\0\1AB\5", ["abcd"]),  # none behind a rule that ends the walk
        (b"xxxx\0\1BA\5", ["silent"]),
        (b"xxxx\0\1BA\6", []),
        (b"xxxx\0\1lone!", ["lone"]),
        (b"xxxx\0\1lone.", []),
        (b"xxxx\0\1xxxx\0\0xx\x34\x12", ["zeros"]),
        (b"xx\0\1PK\5\6..", ["zip"]),
        (b"xx\0\1DC", ["tail"]),
        (b"mark\0\1", ["mark 2"]),
        (b"both\0\1", ["both"]),
        (b"word\0\1", []),
        # Rules behind one after which libmagic may go on: what passes first ends the walk.
        (b"cont\0\1xxxx\0\0" + b"x" * 9, ["cont", "zeros, first", "zip, first", "tail", "cont 2"]),
        (b"cont\0\1xxxx\0\0" + b"x" * 10, ["cont", "cont 2"]),
        (b"cont\0\1BA\5", ["cont", "silent", "zip, first", "tail", "cont 2"]),
        (b"cont\0\1BA\6", ["cont", "silent, first", "zip, first", "tail", "cont 2"]),
        (b"cont\0\1xxearly", ["cont", "zip, first", "tail", "cont 2"]),
        (b"cont\0\1PK\5\6..", ["cont", "zip", "tail", "cont 2"]),
        (b"cont\0\1xxxxDC", ["cont", "zip, first", "tail", "cont 2"]),
        # Texts.
        (b"abcd word\n", "worded"),
        (b"late lone!\n", "worded"),
        (b"late lone.\n", "worded"),
        (b"name word\n", "worded"),
        (b"lone word\n", "worded"),
        (b"mark word\n", "worded"),
        (b"both\n", "worded"),
        (b"nothing\n", "worded"),
        (b"name is it\n", ["name"]),
        (b"{word}\n", ["word"]),  # it may be JSON
        (b"{abcd}\n", []),
        (b"a text PK\5\6..\n", []),
        (b"a text, DC", "all"),
        (b"cont word\n", "all"),
        (b"cont word, and this is a lot more\n", ["cont", "cont 2"]),
        (b"text word\n", "worded"),
        (b"text lord\n", "all"),
        (b"text lord, and this is a lot more\n", ["text"]),
        # Texts in other encodings: rules for bytes see the bytes, others UTF-8.
        (b"abcd \xe9 word\n", ["abcd"]),
        (b"late \xe9 lone!\n", ["lone", "late"]),
        (b"lone \xe9 word\n", "worded"),
        (b"mark \xe9\n", ["mark 1"]),
        (b"both \xe9\n", ["both"]),
        (b"name \xe9\n", ["name"]),
        (b"word \xe9\n", "worded"),
        # What isn't followed.
        (b"a", "all"),
        (b"\xff\xfea\0", "all"),
    ],
)
def test_few_rules_describe_as_all_do(walk, content, rules):
    plain, exact, asked = walk
    asked.clear()
    assert exact.describe(content) == plain.describe(content)
    if rules == "worded":
        assert asked == []
    elif rules == "all":
        assert asked == ["all"]
    else:
        assert asked == rules
