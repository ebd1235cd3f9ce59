"""The typer: the table first, then libmagic, whatever it answers; and the watch of the parent."""

import hashlib
import subprocess
import sys

import pytest

from hpc_remetrics.errors import MissingComponentError, UsageError
from hpc_remetrics.filetype import typer as module
from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.filetype.libmagic.binding import Magic
from hpc_remetrics.filetype.shared_table import EMPTY, TIMED_OUT, UNREADABLE, UNTYPED, TypeTable
from hpc_remetrics.filetype.typer import (
    MAX_WAITING,
    MAX_WAITING_BYTES,
    Typer,
    libmagic_version,
    signature,
    speed,
    warm,
)
from hpc_remetrics.filetype.watch import WATCH_BYTES, read_watch

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\6\0\0\0"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def table(tmp_path):
    return TypeTable(tmp_path, 1 << 10)


def type_of(typer: Typer, table: TypeTable, data) -> str:
    return table.description(typer.type_of(sha256(bytes(data)), data, len(data)))


def test_types_are_libmagics_heads(table):
    typer = Typer("plain", table)
    assert type_of(typer, table, PNG) == "PNG image data"
    assert type_of(typer, table, b"#!/bin/sh\necho\n") == "POSIX shell script"
    assert type_of(typer, table, b"x") == "very short file (no magic)"
    assert type_of(typer, table, bytes(100)) == "data"
    assert type_of(typer, table, b"hello\n") == "ASCII text"


def test_empty_files_are_not_asked(table, monkeypatch):
    monkeypatch.setattr(module, "_SafeLibmagic", None)
    assert Typer("plain", table).type_of(sha256(b""), b"", 0) == EMPTY


def test_no_other_mode(table):
    with pytest.raises(UsageError, match="choose from exact, plain"):
        Typer("fast", table)


def test_a_known_content_is_not_asked_again(table, monkeypatch):
    number = Typer("plain", table).type_of(sha256(PNG), PNG, len(PNG))
    monkeypatch.setattr(module, "_SafeLibmagic", None)
    assert Typer("plain", table).type_of(sha256(PNG), PNG, len(PNG)) == number
    table.put(sha256(b"slow"), TIMED_OUT)
    assert Typer("plain", table).type_of(sha256(b"slow"), b"slow", 4) == TIMED_OUT
    table.put(sha256(b"none"), UNTYPED)
    assert Typer("plain", table).type_of(sha256(b"none"), b"none", 4) == UNTYPED


def test_no_more_is_looked_at_than_file_looks_at(table):
    limit = Magic().max_head
    assert limit <= HEAD_BYTES
    typer = Typer("plain", table)
    text = (b"a line\n" * (limit // 7 + 1))[:limit]
    assert type_of(typer, table, text + b"\0" * 10) == type_of(typer, table, text) == "ASCII text"


class _Answers:
    """A libmagic that gives one answer, and shows what the parent sees meanwhile."""

    def __init__(self, answer, watch):
        self.answer, self.watch, self.seen = answer, watch, []

    def describe(self, head):
        self.seen.append(read_watch(self.watch))
        return self.answer


def test_the_watch_shows_the_content_while_libmagic_has_it(table):
    shared = bytearray(WATCH_BYTES)
    typer = Typer("plain", table, memoryview(shared))
    typer._libmagic = _Answers(b"data", shared)
    assert read_watch(shared) is None
    for data in (b"one", b"two"):
        typer.type_of(sha256(data), data, 3)
        assert read_watch(memoryview(shared)) is None
    assert typer._libmagic.seen == [(1, sha256(b"one")), (2, sha256(b"two"))]


def test_an_error_of_libmagic_is_a_type(table, monkeypatch):
    monkeypatch.setattr(Magic, "describe", lambda self, data: None)
    assert Typer("plain", table).type_of(sha256(PNG), PNG, len(PNG)) == UNREADABLE


@pytest.mark.parametrize(
    "answer", [b"\xff\xfe\n \0", b"", b"'", "Größe, x".encode("latin-1"), b"x" * 9000]
)
def test_odd_answers_are_types_too(table, monkeypatch, answer):
    monkeypatch.setattr(Magic, "describe", lambda self, data: answer)
    assert type_of(Typer("plain", table), table, b"abc")


def test_heads_of_descriptions_are_kept_up_to_a_number(table, monkeypatch):
    monkeypatch.setattr(module, "_MAX_CACHED_DESCRIPTIONS", 3)
    typer = Typer("plain", table)
    reduced = []
    head_of = module.head_of
    monkeypatch.setattr(module, "head_of", lambda text: reduced.append(text) or head_of(text))
    words = [b"a data", b"b data", b"c data", b"d data"]
    numbers = [typer._number_of(description) for description in words * 2]
    assert numbers == [*range(4, 8)] * 2 and len(reduced) == 4
    # The next one is one too many: all are reduced anew.
    typer._number_of(b"e data")
    assert [typer._number_of(description) for description in words] == numbers[:4]
    assert len(reduced) == 9


def test_faults_of_this_program_cost_no_type_and_are_said_once_a_node(table, monkeypatch, caplog):
    class Faulty:
        unsupported = "a new libmagic"

        def __init__(self, exact):
            assert exact

        def describe(self, data):
            raise error

        def describe_plainly(self, data):
            return b"plain text"

    monkeypatch.setattr(module, "Libmagic", Faulty)
    for content in (b"1", b"2"):
        error = ZeroDivisionError("by zero")
        typer = Typer("exact", table)
        assert type_of(typer, table, content) == "plain text"
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].endswith("a new libmagic") and "all rules of libmagic" in messages[0]
    assert messages[1].endswith("please report it: ZeroDivisionError: by zero")
    error = MemoryError()
    with pytest.raises(MemoryError):
        type_of(typer, table, b"3")


def test_the_signature_names_what_the_types_depend_on():
    assert libmagic_version() > 500
    assert signature() == signature("plain") == f"magic-{libmagic_version()}-file-{module.RULE}"
    assert signature("none") == "magic-none"


def test_a_table_is_warmed_but_not_with_failures(table):
    warm(table, [sha256(b"1"), sha256(b"2"), sha256(b"3")], ["C source", "timed out", "untyped"])
    assert table.description(table.get(sha256(b"1"))) == "C source"
    assert table.get(sha256(b"2")) == table.get(sha256(b"3")) == -1
    with pytest.raises(ValueError, match="shorter"):
        warm(table, [sha256(b"1")], [])


def test_without_libmagic_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "magic", None)
    monkeypatch.setitem(sys.modules, "pylibmagic", None)
    with pytest.raises(MissingComponentError) as caught:
        signature()
    assert "\n" not in str(caught.value)
    assert "libmagic1" in str(caught.value)
    assert "pylibmagic" in str(caught.value)


def test_the_module_is_light():
    heavy = (
        "import sys; import hpc_remetrics.filetype.typer; "
        "sys.exit('numpy' in sys.modules or 'magic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", heavy], check=False).returncode == 0


def test_contents_that_wait_get_what_they_would_at_once(table):
    typer = Typer("plain", table)
    texts = [b"text %d\n" % (number // 2) for number in range(3 * MAX_WAITING)]  # each twice
    contents = [[len(text), -1, sha256(text)] for text in (*texts, b"", PNG)]
    for content, text in zip(contents, (*texts, b"", PNG), strict=True):
        typer.type_later(content, text)
    assert any(number == -1 for _, number, _ in contents)
    typer.settle()
    ascii_text = typer.type_of(sha256(b"other"), b"other", 5)
    assert [number for _, number, _ in contents[: len(texts)]] == [ascii_text] * len(texts)
    assert contents[-2][1] == EMPTY
    assert table.description(contents[-1][1]) == "PNG image data"


def test_many_bytes_do_not_wait(table):
    typer = Typer("plain", table)
    large = b"a" * MAX_WAITING_BYTES
    content = [len(large), -1, sha256(large)]
    typer.type_later(content, large)
    assert table.description(content[1]) == "ASCII text"


@pytest.mark.slow
def test_the_speed_is_told_in_words():
    """What makes it slower is not what version it is, but whether it is understood."""
    said, faster = speed()
    assert said.startswith("types")
    assert "pyperscan" not in said or faster.startswith("pip install")
