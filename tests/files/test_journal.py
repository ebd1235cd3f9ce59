"""Journals: what was appended is read again, and what a kill tore or another run wrote is not."""

import os
import zlib

import pytest
from support.open_files import open_files

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files import journal
from hpc_remetrics.files.journal import Journal, is_journal

HEAD = {"kind": "test", "number": 1}


def line(text: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(text), text)


def written(path, *values, head=HEAD):
    made = Journal(path, head)
    for value in values:
        made.append(value)
    made.close()
    return path.read_bytes() if path.exists() else b""


def test_the_bytes_of_a_journal(tmp_path):
    data = written(tmp_path / "journal", ["é", 1], None)
    head = line(b'{"kind":"test","number":1}')
    assert data == head + line(b'["\\u00e9",1]') + line(b"null")
    assert open_files(tmp_path) == []


def test_values_are_read_in_order_and_more_can_be_appended(tmp_path):
    written(tmp_path / "journal", "a", "b")
    made = Journal(tmp_path / "journal", HEAD)
    assert list(made) == ["a", "b"]
    made.append("c")
    assert list(made) == ["a", "b", "c"]
    made.close()


@pytest.mark.parametrize("torn", [b"0", line(b'"c"')[:-1], b"00000000 1\n", b"\n", bytes(50)])
def test_what_follows_the_last_whole_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "journal"
    data = written(path, "a", "b")
    path.write_bytes(data + torn + line(b'"d"'))
    assert written(path) == data
    assert list(Journal(path, HEAD)) == ["a", "b"]


@pytest.mark.slow
def test_a_cut_at_any_byte_loses_only_what_it_cut(tmp_path):
    values = [{"a": 1}, ["ü", "\n", "\u2028"], "text", 5]
    data = written(tmp_path / "journal", *values)
    for length in range(len(data) + 1):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        whole = values[: max(data[:length].count(b"\n") - 1, 0)]
        assert list(Journal(path, HEAD)) == whole
        written(path, "next")
        assert list(Journal(path, HEAD)) == [*whole, "next"]


def test_a_damaged_byte_is_never_taken_for_a_value(tmp_path):
    path = tmp_path / "journal"
    data = written(path, "a", "b")
    for place in range(data.index(b"\n") + 1, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        values = list(Journal(path, HEAD))
        assert values == ["a", "b"][: len(values)] and len(values) < 2


@pytest.mark.parametrize("begins", [b"", b"0000", line(b'{"kind":"test","number":1}')[:20]])
def test_a_torn_head_is_written_again(tmp_path, begins):
    path = tmp_path / "journal"
    whole = written(path, 1)
    path.write_bytes(whole[: len(begins)] + (b"" if begins else bytes(30)))
    assert written(path, 1) == whole


def test_a_journal_to_which_nothing_was_appended_is_removed(tmp_path):
    path = tmp_path / "journal"
    written(path)
    assert not path.exists()
    written(path, 1)
    written(path)
    assert path.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (line(b'{"kind":"other"}'), "is of another run: it says {'kind': 'other'}"),
        (b"some text\n", "exists and is not a journal of this program"),
        (line(b'"a"')[:-1], "exists and is not a journal of this program"),
    ],
)
def test_another_file_is_refused_and_stays(tmp_path, data, message):
    path = tmp_path / "journal"
    path.write_bytes(data)
    with pytest.raises(OutputError, match="choose another output") as caught:
        Journal(path, HEAD)
    assert message in str(caught.value)
    assert path.read_bytes() == data


def test_whether_a_file_is_a_journal(tmp_path):
    path = tmp_path / "journal"
    assert not is_journal(path, {})
    written(path, "a")
    assert is_journal(path, {"kind": "test"})
    assert is_journal(path, HEAD)
    assert not is_journal(path, {"kind": "other"})
    assert not is_journal(path, {**HEAD, "more": 1})
    for data in (b"", b"text", path.read_bytes()[:10], line(b"[1]"), line(b"not JSON")):
        path.write_bytes(data)
        assert not is_journal(path, {})


def test_values_are_synced_after_a_second_and_at_the_end(tmp_path, monkeypatch):
    synced, now = [], [0.0]
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(now[0]))
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    made = Journal(tmp_path / "journal", HEAD)
    for moment in (0.5, 1.0, 1.1, 1.5, 2.0, 2.2):
        now[0] = moment
        made.append(moment)
    assert synced == [1.1, 2.2]
    made.close()
    assert synced == [1.1, 2.2, 2.2]


def test_a_full_disk_is_an_error_of_one_line(tmp_path, monkeypatch):
    made = Journal(tmp_path / "journal", HEAD)
    monkeypatch.setattr(os, "write", lambda file, data: len(data) - 1)
    with pytest.raises(OutputError, match="no space left on the device; make room and run the"):
        made.append(1)


def test_a_place_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"can't write .*: Not a directory; choose another"):
        Journal(tmp_path / "file" / "journal", HEAD)
