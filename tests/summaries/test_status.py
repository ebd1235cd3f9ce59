"""The status of a dataset, from parts, notes and a lock that are made here."""

import json
import os
import shutil
import socket
import time
from dataclasses import asdict

import pytest
from support.made import Made

from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.errors import DatasetError
from hpc_remetrics.files.lock import OutputLock
from hpc_remetrics.parts.parts_directory import parts_directory
from hpc_remetrics.summaries import status as module
from hpc_remetrics.summaries.status import status

from .made_datasets import FIRST, LAYERS, compressed, note, rank_row

OTHER_NODE = {"host": "node7", "process": os.getpid()}
"""Host and process of jobs on another node: here a process does not see its own lock."""


@pytest.fixture
def output(tmp_path):
    """A dataset to be, of which one part with three layers is published: ok, ok and failed."""
    output = tmp_path / "out.h5"
    parts = parts_directory(output)
    parts.mkdir()
    Made([LAYERS[0], LAYERS[2], []], [], status={2: "failed"}).publish(parts, tmp_path, job="one")
    return output


DONE_BYTES = compressed(FIRST, 0) + compressed(FIRST, 2)


def leave(output, one):
    """Write the note of a job beside the parts."""
    path = parts_directory(output) / f"job-{one.job}.json"
    path.write_text(json.dumps({"format": 1, **asdict(one)}))


def test_no_trace(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no .*nor any part of it"):
        status(tmp_path / "nothing.h5")


def test_parts_without_a_note(output):
    found = status(output)
    assert (found.state, found.held_by, found.jobs) == ("stopped", [], [])
    assert found.ledger == Ledger(ok=2, failed=1, pending=-1)
    assert (found.bytes_done, found.bytes_left, found.seconds_left) == (DONE_BYTES, -1, -1)
    assert (found.parts, found.damaged_parts, found.unpublished) == (1, 0, 0)
    assert (found.causes, found.again) == ({"bad_header": 1}, 0)


def test_failures_that_may_pass_are_tried_again(output, tmp_path):
    made = Made(
        [[]] * 3, [], {}, {0: "failed", 1: "partial", 2: "failed"}, cause="killed", first=10
    )
    made.publish(parts_directory(output), tmp_path, job="two")
    found = status(output)
    assert found.ledger == Ledger(ok=2, partial=1, failed=3, pending=-1)
    assert list(found.causes.items()) == [("killed", 3), ("bad_header", 1)]
    assert (found.again, found.parts) == (2, 2)


def test_a_damaged_part_is_counted(output):
    (parts_directory(output) / "part-x.h5").write_text("no part")
    assert (status(output).parts, status(output).damaged_parts) == (1, 1)


def test_a_job_that_was_killed(output):
    row = rank_row(1, 3.0, ok=2, partial=1, failed=3, files=8, bytes=90)
    leave(output, note("two", row, rank_row(2, 1.0), share="2/3"))
    found = status(output)
    (job,) = found.jobs
    assert (job.job, job.share, job.ranks, job.layers, job.failed) == ("two", "2/3", 2, 6, 4)
    assert (job.state, job.running) == ("ended without a word", False)
    assert (job.files, job.bytes, job.busy) == (8, 90, 4.0 / (2 * 4.0))
    assert found.ledger.pending == 2
    assert found.bytes_left == 1000 - DONE_BYTES
    assert (found.layers_a_second, found.seconds_left, found.unpublished) == (0, -1, 0)


def test_a_note_that_knows_of_fewer_layers_than_there_are(output):
    leave(output, note("two", layers=2, bytes=5, ended="done"))
    found = status(output)
    assert (found.ledger.pending, found.bytes_left) == (0, 0)
    assert found.jobs[0].state == "done"


@pytest.fixture
def lock(output, monkeypatch):
    """Return a function that takes the lock on the output, for a share, on another node."""

    def take(share=0):
        with monkeypatch.context() as patch:
            patch.setattr(socket, "gethostname", lambda: OTHER_NODE["host"])
            return OutputLock(output, share)

    return take


def test_jobs_that_run(output, lock):
    """One has published some of its layers, one more than its note knows of."""
    leave(output, note("one", rank_row(1, ok=8, bytes=200), **OTHER_NODE))
    leave(output, note("two", rank_row(1, ok=1, bytes=40), seconds=0.5, **OTHER_NODE))
    leave(output, note("old", rank_row(1, ok=1, bytes=40), host="node8"))
    with lock():
        found = status(output)
    assert found.state == "running"
    assert found.held_by == [f"process {OTHER_NODE['process']} on node7"]
    assert [job.state for job in found.jobs] == ["ended without a word", "running", "running"]
    assert found.layers_a_second == 8 / 4 + 1 / 1
    assert found.bytes_a_second == 200 / 4 + 40 / 1
    assert found.seconds_left == (1000 - DONE_BYTES) / 90
    assert found.unpublished == (8 - 3) + 1


def test_a_running_job_with_nothing_left_takes_no_time(output, lock):
    leave(output, note("one", rank_row(1, ok=8, bytes=200), bytes=DONE_BYTES, **OTHER_NODE))
    with lock():
        found = status(output)
    assert (found.bytes_left, found.bytes_a_second, found.seconds_left) == (0, 50, 0)


def test_a_job_that_publishes_faster_than_it_notes(output, lock):
    leave(output, note("one", rank_row(1, ok=2), **OTHER_NODE))
    with lock():
        assert status(output).unpublished == 0


def test_the_gather_is_told_from_the_profiling(output, lock):
    leave(output, note("one", layers=3, **OTHER_NODE))
    with lock(share=2):
        found = status(output)
    assert found.state == "gathering"
    assert found.held_by == [f"process {OTHER_NODE['process']} on node7 (share 2)"]
    assert status(output).state == "stopped"


def test_fresh_notes_stand_for_a_lock_that_another_user_may_not_read(output, monkeypatch):
    """Every user but root meets the error."""

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(module, "holders", refuse)
    now = time.time()
    leave(output, note("fresh", share="2/3", updated=now - 50))
    leave(output, note("ended", updated=now, ended="done", process=8))
    leave(output, note("stale", updated=now - 70, process=9))
    found = status(output)
    assert found.held_by == ["process 7 on a (share 2)"]
    assert found.jobs[-1].job == "stale" and not found.jobs[-1].running


def test_a_fresh_note_of_a_job_without_a_share_names_its_process_alone(output, monkeypatch):
    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(module, "holders", refuse)
    leave(output, note("whole", updated=time.time() - 50))
    assert status(output).held_by == ["process 7 on a"]


def test_a_dataset_whose_parts_are_gone(first, tmp_path):
    output = shutil.copy(first, tmp_path / "done.h5")
    found = status(output)
    assert (found.state, found.ledger) == ("done", Ledger(ok=3, partial=1, failed=1))


def test_a_dataset_beside_its_parts(output):
    """The parts count, not the file, which is of another run."""
    output.write_bytes(b"")
    assert status(output).ledger == Ledger(ok=2, failed=1, pending=-1)
    assert status(output).state == "done"
