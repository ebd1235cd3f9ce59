"""Provenance: the rows of ranks, the note of a job, and what `/run` holds."""

import os
import socket
import time
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest

from hpc_remetrics import __version__
from hpc_remetrics.analyze import provenance
from hpc_remetrics.analyze.coordinator import WorkDone
from hpc_remetrics.analyze.provenance import about_rank, about_run, new_note
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.job_notes import Notebook


@pytest.fixture
def note(made_layers):
    return new_note(
        "job",
        share=(2, 8),
        started=5.0,
        whole=(10, 1000),
        todo=made_layers(3),
        ranks=[(1, "one"), (2, "two")],
    )


def test_a_new_note_says_what_is_left_and_that_nothing_is_done(note):
    assert (note.job, note.share, note.started) == ("job", "2/8", 5.0)
    assert (note.host, note.process) == (socket.gethostname(), os.getpid())
    assert (note.layers, note.bytes) == (10, 1000)
    assert (note.todo_layers, note.todo_bytes) == (3, 3_000_000)
    assert [(row["rank"], row["host"]) for row in note.ranks] == [(1, "one"), (2, "two")]
    assert note.sum("ok") == note.sum("files") == note.sum("busy_seconds") == 0


def test_a_note_of_all_layers_has_no_share():
    made = new_note("job", share=None, started=0.0, whole=(0, 0), todo=[], ranks=[])
    assert made.share == ""


def test_a_rank_that_profiled_nothing():
    row = about_rank(SerialComm(), None, 10.0)
    assert (row["rank"], row["host"]) == (0, socket.gethostname())
    zeros = ("layers", "files", "bytes", "busy_seconds", "idle_seconds", "child_peak_memory")
    assert [row[name] for name in zeros] == [0] * 6


def test_what_a_rank_took_is_what_the_system_counts(monkeypatch):
    usage = SimpleNamespace(ru_utime=1.5, ru_stime=0.25, ru_maxrss=3)
    monkeypatch.setattr(provenance.resource, "getrusage", lambda who: usage)
    row = about_rank(SerialComm(), None, 10.0)
    assert (row["cpu_seconds"], row["peak_memory"]) == (1.75, 3072)


def worker_of(**done):
    child = SimpleNamespace(peak_memory=77)
    runner = SimpleNamespace(cpu_seconds=3.5, child=child)
    return SimpleNamespace(report=SimpleNamespace(total=WorkDone(**done)), runner=runner)


def test_the_row_of_a_rank():
    worker = worker_of(
        ok=1,
        partial=2,
        failed=3,
        files=4,
        bytes=5,
        fetch_seconds=6.0,
        busy_seconds=7.0,
        publish_seconds=8.0,
    )
    row = about_rank(SerialComm(), worker, 10.0)
    assert (row["layers"], row["files"], row["bytes"]) == (6, 4, 5)
    assert (row["fetch_seconds"], row["busy_seconds"], row["publish_seconds"]) == (6.0, 7.0, 8.0)
    assert (row["idle_seconds"], row["profile_cpu_seconds"]) == (3.0, 3.5)
    assert row["child_peak_memory"] == 77
    assert about_rank(SerialComm(), worker, 5.0)["idle_seconds"] == 0.0


def test_what_run_holds(tmp_path, note):
    notebook = Notebook(tmp_path, note)
    notebook.close({}, "done")
    ranks = [about_rank(SerialComm(), None, 1.0), about_rank(SerialComm(), None, 1.0)]
    options = AnalyzeOptions(types="none", platforms=("linux/amd64", "linux/arm64"))
    before = time.time()
    run = about_run(options, fingerprint="f", started=5.0, parts=tmp_path, ranks=ranks)
    assert (run["fingerprint"], run["version"], run["started"]) == ("f", __version__, 5.0)
    assert before <= run["gather_started"] <= time.time()
    assert run["platforms"] == "linux/amd64 linux/arm64"
    assert (run["compress_sample"], run["chunk_sample"]) == ("1/256", "0")
    assert run["sources"] == {"source": ["demo:"]}
    assert run["rank_count"] == 2
    assert run["ranks"].keys() == ranks[0].keys()
    assert run["ranks"]["rank"] == [0, 0]
    assert run["jobs"]["ended"] == ["done"]
    assert run["job_ranks"]["rank"] == [1, 2]


def test_the_sample_of_chunks_is_said_if_contents_are_cut(tmp_path):
    options = AnalyzeOptions(types="none", chunks=True, chunk_sample=Fraction(1, 4))
    ranks = [about_rank(SerialComm(), None, 1.0)]
    for sources in (("oci:/x",), ("oci:/x", "oci:/y")):
        run = about_run(
            replace(options, sources=sources),
            fingerprint="f",
            started=0.0,
            parts=tmp_path,
            ranks=ranks,
        )
        assert run["chunk_sample"] == "1/4"
        assert len(run["sources"]["source"]) == len(sources)
