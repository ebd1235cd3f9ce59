"""Notes of jobs: written now and then, and read only if all of their values can be used."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from types import SimpleNamespace

import pytest

from hpc_remetrics.parts import job_notes
from hpc_remetrics.parts.job_notes import JobNote, Notebook, job_tables, read_notes


@dataclass
class Tally:
    ok: int = 0
    busy_seconds: float = 0.0


def row(rank: int, host: str = "a", **numbers):
    counts = dict.fromkeys(("ok", "partial", "failed", "files", "bytes"), 0)
    return {"rank": rank, "host": host, **counts, "busy_seconds": 0.0, **numbers}


def note(job: str = "one", started: float = 5.0, **fields) -> JobNote:
    ranks = fields.pop("ranks", [row(1), row(2)])
    return JobNote(job, "1/2", "host", 7, started, 10, 1000, 4, 400, ranks=ranks, **fields)


def leave(directory, **changes):
    """Write a note with some fields changed."""
    value = {"format": 1, **asdict(note()), **changes}
    (directory / f"job-{value['job']}.json").write_text(json.dumps(value))


def test_a_note_is_written_and_read_back(tmp_path):
    book = Notebook(tmp_path, note())
    before = time.time()
    book.update({1: Tally(3, 2.0)})
    (found,) = read_notes(tmp_path)
    assert before <= found.updated <= time.time()
    assert (found.job, found.ended, found.layers, found.todo_bytes) == ("one", "", 10, 400)
    assert (found.sum("ok"), found.sum("busy_seconds")) == (3, 2.0)
    assert found.ranks[0]["idle_seconds"] == 0.0  # busier than the clock says
    book.close({2: Tally(4, 0.0)}, "done")
    (found,) = read_notes(tmp_path)
    assert (found.ended, found.sum("ok")) == ("done", 7)
    assert found.ranks[1]["idle_seconds"] == pytest.approx(found.seconds, abs=0.01)


def test_notes_are_not_rewritten_at_once(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0, time=lambda: 7.5, monotonic=lambda: clock.now)
    monkeypatch.setattr(job_notes, "time", clock)
    book = Notebook(tmp_path, note())
    book.update({})
    for now, done, written in ((104.9, 3, 0), (105.0, 4, 4), (109.9, 5, 4), (110.0, 6, 6)):
        clock.now = now
        book.update({1: Tally(done)})
        assert read_notes(tmp_path)[0].sum("ok") == written


def test_a_note_is_due_when_its_time_has_come_and_has_milliseconds(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0, time=lambda: 7.5, monotonic=lambda: clock.now)
    monkeypatch.setattr(job_notes, "time", clock)
    book = Notebook(tmp_path, note())
    clock.now = 102.34567
    book.close({1: Tally(1, 0.12345)}, "")
    (found,) = read_notes(tmp_path)
    assert (found.updated, found.seconds) == (7.5, 2.346)
    assert [row["idle_seconds"] for row in found.ranks] == [2.222, 2.346]

    written = []
    for clock.now in (104.0, 108.9, 109.0, 113.9, 114.0):
        book.update({1: Tally(int(clock.now))})
        written.append(read_notes(tmp_path)[0].sum("ok"))
    assert written == [104, 104, 109, 109, 114]


def test_jobs_of_many_ranks_write_less_often(tmp_path):
    assert Notebook(tmp_path, note(ranks=[{}] * 100))._every == 5.0
    assert Notebook(tmp_path, note(ranks=[{}] * 5000))._every == 50.0


def test_a_note_that_can_not_be_written_ends_no_run(tmp_path):
    Notebook(tmp_path / "missing", note()).close({}, "done")


def test_notes_are_in_order_of_their_start(tmp_path):
    for job, started in (("b", 1.0), ("c", 0.5), ("a", 1.0)):
        leave(tmp_path, job=job, started=started)
    assert [one.job for one in read_notes(tmp_path)] == ["c", "a", "b"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"share": "", "ended": "x" * 1023},
        {"started": 253_402_300_799, "bytes": (1 << 60) - 1, "seconds": 0.5},
        {"ranks": []},
        {"ranks": [row(1, "x" * 1023, other=5)]},
        {"ranks": [row(1, **{"x" * 40: 1})]},
    ],
)
def test_what_is_accepted(tmp_path, changes):
    leave(tmp_path, **changes)
    assert len(read_notes(tmp_path)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"unknown": 1},
        {"host": 5},
        {"ended": "x" * 1024},
        {"process": 1.5},
        {"process": True},
        {"layers": -1},
        {"bytes": 1 << 60},
        {"todo_layers": None},
        {"todo_bytes": "5"},
        {"started": 253_402_300_800},
        {"updated": float("nan")},
        {"seconds": float("inf")},
        {"seconds": True},
        {"ranks": {}},
        {"ranks": [5]},
        {"ranks": [{}]},
        {"ranks": [row(1) | {"host": 5}]},
        {"ranks": [row(1, "x" * 1024)]},
        {"ranks": [row(1), row(2, ok="3")]},
        {"ranks": [row(1, ok=-1)]},
        {"ranks": [row(1, Upper=1)]},
        {"ranks": [row(1, **{"x" * 41: 1})]},
        {"ranks": [{name: value for name, value in row(1).items() if name != "files"}]},
        {"ranks": [{name: value for name, value in row(1).items() if name != "host"}]},
    ],
)
def test_what_is_ignored(tmp_path, changes):
    leave(tmp_path, **changes)
    assert read_notes(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"format": 1}', "[" * 100_000])
def test_what_is_no_note(tmp_path, text):
    (tmp_path / "job-x.json").write_text(text)
    leave(tmp_path)
    assert [one.job for one in read_notes(tmp_path)] == ["one"]


def test_the_tables_of_the_run():
    notes = [note("a", ended="done", seconds=2.5), note("b", ranks=[row(0, "z", more=5)])]
    tables = job_tables(notes)
    assert tables["jobs"]["job"] == ["a", "b"]
    assert tables["jobs"]["ended"] == ["done", ""]
    assert tables["jobs"]["seconds"] == [2.5, 0.0]
    assert tables["jobs"]["ranks"] == [2, 1]
    ranks = tables["job_ranks"]
    assert (ranks["job"], ranks["rank"]) == (["a", "a", "b"], [1, 2, 0])
    assert ranks["more"] == [0, 0, 5]  # of a job that did not count it
    assert {len(column) for column in ranks.values()} == {3}
    assert job_tables([])["job_ranks"] == {"job": []}
