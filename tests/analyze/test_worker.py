"""The worker, step by step: real layers through a real child into parts, messages to nobody."""

import gzip
from types import SimpleNamespace

import pytest
from support.blob_source import BlobSource, tar_of
from support.recording_comm import RecordingComm

from hpc_remetrics.analyze import worker as worker_module
from hpc_remetrics.analyze.coordinator import (
    ASSIGN,
    DEAL,
    END,
    FINISHED,
    PAUSES,
    PROGRESS,
    REQUEST,
    STOP,
    WorkDone,
)
from hpc_remetrics.analyze.layer_runner import LayerRunner
from hpc_remetrics.analyze.part_publisher import PartPublisher, PartTarget
from hpc_remetrics.analyze.plan import cost
from hpc_remetrics.analyze.prefetch import Prefetcher
from hpc_remetrics.analyze.room_policy import RoomPolicy
from hpc_remetrics.analyze.worker import ProgressReport, Worker
from hpc_remetrics.errors import BlobError, OutputError
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.parts_directory import best_statuses, scan_parts
from hpc_remetrics.profile.exec_tool import Tool
from hpc_remetrics.registry.budget import Pause
from hpc_remetrics.registry.registries import Registries


@pytest.fixture
def parts(tmp_path):
    directory = tmp_path / "parts"
    directory.mkdir()
    return directory


@pytest.fixture
def source(tmp_path):
    return BlobSource(tmp_path / "blobs")


@pytest.fixture
def make(child, source, scratch, table, parts):
    """Return a function that makes a worker, whose messages stay with its communicator."""

    def worker(seconds=1000.0, unpacks=False, command=None, process=child, sources=(source,)):
        comm = RecordingComm()
        target = PartTarget(parts, "job", {"types": "none"}, scratch.path)
        start = (lambda tree, digest: Tool(command, tree, digest, 30.0)) if command else None
        return Worker(
            comm,
            Prefetcher(sources, Registries(), RoomPolicy(scratch, unpacks=unpacks)),
            LayerRunner(process, scratch.path, start),
            PartPublisher(comm, target, table, seconds),
        ), comm

    return worker


def run(worker, wait):
    """Let a worker finish what it was dealt."""
    worker.handle(0, DEAL, [])

    def step():
        worker.step()
        return worker._has_ended

    wait(step)


def statuses(parts):
    return best_statuses(scan_parts(parts, SerialComm()).parts)


def test_layers_end_in_a_part_and_the_last_messages_say_so(make, source, parts, wait):
    layers = [source.add(tar_of("a", "b")), source.add(tar_of("c"))]
    worker, comm = make()
    worker.handle(0, ASSIGN, layers)
    run(worker, wait)
    assert statuses(parts) == {layer.digest: ("ok", "") for layer in layers}
    assert len(list(parts.iterdir())) == 1
    size = sum(layer.size for layer in layers)
    done = sum(comm.take(PROGRESS), WorkDone())
    assert (done.ok, done.layers, done.files, done.bytes) == (2, 2, 3, size)
    assert done.busy_seconds > 0 and done.publish_seconds > 0 and done.fetch_seconds == 0
    assert comm.sent[-1] == (0, FINISHED, None)
    assert worker.report.total == done
    assert worker.runner.cpu_seconds > 0
    assert not worker.step()
    assert not worker.finished
    worker.handle(0, END, None)
    assert worker.finished


def test_an_idle_worker_requests_layers_once(make):
    worker, comm = make()
    assert not worker.step()
    assert comm.sent == []
    worker.handle(0, ASSIGN, [])
    worker.step()
    worker.step()
    assert comm.sent == [(0, REQUEST, 0.0)]


def test_a_request_counts_the_layer_of_the_child(make, source, wait):
    layer = source.add(tar_of("a"))
    worker, comm = make()
    worker.handle(0, ASSIGN, [layer])
    worker.step()
    assert comm.take(REQUEST) == [cost(layer)]
    run(worker, wait)


def test_a_worker_with_enough_in_hand_requests_nothing(make, source, wait):
    worker, comm = make()
    worker.handle(0, ASSIGN, [source.add(tar_of(str(n))) for n in range(6)])
    worker.step()
    assert comm.take(REQUEST) == []
    run(worker, wait)


def test_an_empty_assignment_is_not_the_end(make, source, parts, wait):
    worker, _ = make()
    worker.handle(0, ASSIGN, [])
    worker.step()
    layer = source.add(tar_of("a"))
    worker.handle(0, DEAL, [layer])
    run(worker, wait)
    assert statuses(parts) == {layer.digest: ("ok", "")}


def test_a_missing_layer_is_a_failed_row(make, source, parts, wait, caplog):
    layer = source.add(tar_of("a"))
    source._path(layer.digest).unlink()
    worker, comm = make()
    worker.handle(0, ASSIGN, [layer])
    run(worker, wait)
    assert statuses(parts) == {layer.digest: ("failed", "missing")}
    [part] = scan_parts(parts, SerialComm()).parts
    assert part.failures[0].stage == "open"
    [done] = comm.take(PROGRESS)
    assert (done.failed, done.layers, done.bytes) == (1, 1, layer.size)
    assert f"layer {layer.digest} failed: missing" in caplog.text


def test_a_layer_that_can_not_be_fetched_is_a_failed_row(make, tmp_path, parts, wait):
    source = BlobSource(tmp_path / "remote", remote=True)
    layer = source.add(tar_of("a"))
    source.errors[layer.digest] = BlobError("denied", "x" * 1000)
    worker, _ = make(sources=(source,))
    worker.handle(0, ASSIGN, [layer])
    run(worker, wait)
    [part] = scan_parts(parts, SerialComm()).parts
    [failure] = part.failures
    assert (failure.stage, failure.cause, len(failure.message)) == ("fetch", "denied", 500)


def test_a_fetched_layer_gives_its_scratch_back(make, tmp_path, scratch, wait):
    source = BlobSource(tmp_path / "remote", remote=True)
    worker, comm = make(sources=(source,))
    worker.handle(0, ASSIGN, [source.add(tar_of("a"))])
    run(worker, wait)
    assert list(scratch.path.glob("grant-*")) == []
    assert sum(comm.take(PROGRESS), WorkDone()).fetch_seconds > 0


def test_parts_are_published_while_layers_are_left(make, source, parts, wait):
    worker, _ = make(seconds=0.0)
    worker.handle(0, ASSIGN, [source.add(tar_of("a"))])

    def published():
        worker.step()
        return list(parts.iterdir())

    wait(published)
    assert worker.step() is False
    run(worker, wait)


def test_a_layer_that_lacks_room_is_unpacked_again_with_more(make, source, parts, wait, tmp_path):
    """A layer of 3 MiB in 3 KB: 4 bytes for each compressed one and a MiB are too few."""
    layer = source.add(gzip.compress(tar_of("a", size=3 << 20)))
    worker, comm = make(unpacks=True, command=f"ls {{dir}} >> {tmp_path}/seen")
    worker.handle(0, ASSIGN, [layer])
    run(worker, wait)
    assert statuses(parts) == {layer.digest: ("ok", "")}
    assert sum(comm.take(PROGRESS), WorkDone()).layers == 1
    assert (tmp_path / "seen").read_text() == "a\n"
    assert worker.runner._spills > 1


@pytest.mark.slow
def test_a_stop_publishes_what_is_whole_and_drops_the_rest(make, own_child, source, parts, wait):
    layers = [source.add(tar_of(str(n))) for n in range(30)]
    worker, comm = make(process=own_child)
    worker.handle(0, ASSIGN, layers)

    def one_is_done():
        worker.step()
        return worker.report._unsent.layers

    wait(one_is_done)
    worker.handle(0, STOP, None)
    assert worker.step()
    assert comm.sent[-1] == (0, FINISHED, None)
    assert 0 < len(statuses(parts)) < 30
    assert not worker.step()
    assert own_child._job is None


@pytest.fixture
def ends(make, monkeypatch):
    """A worker that does nothing but record how it ends, and what it sends."""
    worker, comm = make()
    done = []
    monkeypatch.setattr(worker.runner, "abandon", lambda: done.append("abandon"))
    monkeypatch.setattr(worker._publisher, "publish", lambda: done.append("publish") or 0.0)
    monkeypatch.setattr(worker._prefetcher, "close", lambda: done.append("close"))
    return worker, comm, done


def test_a_stop_abandons_the_layer_before_it_publishes(ends):
    worker, comm, done = ends
    worker.handle(0, STOP, None)
    assert done == []
    assert worker.step()
    assert done == ["abandon", "publish", "abandon", "close"]
    assert comm.sent == [(0, FINISHED, None)]
    assert not worker.step()


def test_an_error_abandons_the_layer_and_publishes_nothing(ends, monkeypatch):
    worker, comm, done = ends
    error = OutputError("scratch is full")

    def take(queue):
        raise error

    monkeypatch.setattr(worker._prefetcher, "take", take)
    assert worker.step()
    assert done == ["abandon", "close"]
    assert comm.sent == [(0, FINISHED, error)]


def test_an_output_that_can_not_be_written_is_told_the_coordinator(make, source, parts, wait):
    worker, comm = make()
    worker.handle(0, ASSIGN, [source.add(tar_of("a"))])
    parts.rmdir()
    run(worker, wait)
    [error] = comm.take(FINISHED)
    assert error.exit_code == 5


def test_pauses_travel_in_both_directions(make):
    worker, comm = make()
    budget = worker._prefetcher.budget
    worker.handle(0, PAUSES, [Pause("one", "requests", 50.0)])
    assert 0 < budget.claim("one") <= 50
    worker.step()
    assert comm.take(PAUSES) == []
    budget.pause("two", 60.0)
    worker.step()
    [[pause]] = comm.take(PAUSES)
    assert (pause.host, pause.kind) == ("two", "requests")


def test_a_report_is_sent_when_layers_were_done_and_it_is_time(monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(worker_module, "time", clock)
    comm = RecordingComm()
    report = ProgressReport(comm)
    report.add(WorkDone(ok=1, files=2))
    clock.now = 100.5
    report.send_if_due()
    assert comm.sent == []
    clock.now = 100.6
    report.send_if_due()
    assert comm.sent == [(0, PROGRESS, WorkDone(ok=1, files=2))]
    assert report.total == WorkDone(ok=1, files=2)

    # Without a layer it is not urgent
    report.add(WorkDone(busy_seconds=1.0))
    clock.now = 102.0
    report.send_if_due()
    assert len(comm.sent) == 1
    report.send()
    report.send()
    assert comm.sent[1:] == [(0, PROGRESS, WorkDone(busy_seconds=1.0))]
    assert report.total == WorkDone(ok=1, files=2, busy_seconds=1.0)
    report.add(WorkDone(ok=1))
    report.send_if_due()
    assert len(comm.sent) == 2
