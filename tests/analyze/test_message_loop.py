"""The message loop in one process: coordinator and worker in turns, until both are done."""

from types import SimpleNamespace

import pytest
from support.blob_source import BlobSource, tar_of
from support.recording_comm import RecordingComm

from hpc_remetrics.analyze import message_loop
from hpc_remetrics.analyze.coordinator import DEAL, END, FINISHED, PROGRESS, STOP, WorkDone
from hpc_remetrics.analyze.layer_runner import LayerRunner
from hpc_remetrics.analyze.message_loop import JobMonitor, run_message_loop
from hpc_remetrics.analyze.part_publisher import PartPublisher, PartTarget
from hpc_remetrics.analyze.plan import make_plan
from hpc_remetrics.analyze.prefetch import Prefetcher
from hpc_remetrics.analyze.provenance import new_note
from hpc_remetrics.analyze.room_policy import RoomPolicy
from hpc_remetrics.analyze.worker import Worker
from hpc_remetrics.errors import OutputError
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.parts.job_notes import Notebook, read_notes
from hpc_remetrics.parts.parts_directory import published_digests
from hpc_remetrics.registry.registries import Registries


@pytest.fixture
def parts(tmp_path):
    directory = tmp_path / "parts"
    directory.mkdir()
    return directory


@pytest.fixture
def make(child, scratch, table, parts, tmp_path):
    """Return a function that makes both sides of a job on layers, and the layers."""
    source = BlobSource(tmp_path / "blobs")

    def sides(count, directory=parts, process=child, quiet=True):
        comm = SerialComm()
        layers = [source.add(tar_of(str(number))) for number in range(count)]
        note = new_note(
            "job", share=None, started=1.0, whole=(count, 0), todo=layers, ranks=[(0, "host")]
        )
        plan = make_plan(layers, 1)
        monitor = JobMonitor(comm, plan, range(1), Notebook(parts, note), quiet=quiet)
        target = PartTarget(directory, "job", {}, scratch.path)
        worker = Worker(
            comm,
            Prefetcher([source], Registries(), RoomPolicy(scratch, unpacks=False)),
            LayerRunner(process, scratch.path),
            PartPublisher(comm, target, table, 1000.0),
        )
        return comm, monitor, worker, layers

    return sides


@pytest.mark.slow
def test_all_layers_are_published_and_the_job_is_done(make, parts, capsys):
    comm, monitor, worker, layers = make(8, quiet=False)
    beats = []
    errors = run_message_loop(comm, StopRequest(), lambda: beats.append(1), monitor, worker)
    assert errors == {}
    assert published_digests(parts) == {layer.digest.raw for layer in layers}
    assert monitor.coordinator.total.ok == 8
    assert monitor.coordinator.finished and worker.finished
    assert beats
    [note] = read_notes(parts)
    assert (note.ended, note.ranks[0]["ok"]) == ("done", 8)
    size = sum(layer.size for layer in layers)
    assert f"8/8 layers, 8 files, {size / 1e9:.2f}/{size / 1e9:.2f} GB" in capsys.readouterr().err


def test_without_layers_it_is_done_at_once(make, parts):
    comm, monitor, worker, _ = make(0)
    assert run_message_loop(comm, StopRequest(), lambda: None, monitor, worker) == {}
    assert [note.ended for note in read_notes(parts)] == ["done"]


def test_a_stop_ends_both_sides(make, own_child, parts):
    comm, monitor, worker, _ = make(20, process=own_child)
    stop = StopRequest()
    stop.reason = "SIGTERM"
    assert run_message_loop(comm, stop, lambda: None, monitor, worker) == {}
    assert monitor.coordinator.total.layers < 20
    assert [note.ended for note in read_notes(parts)] == ["stopped on SIGTERM"]


def test_the_error_of_a_rank_comes_back(make, parts, tmp_path):
    comm, monitor, worker, _ = make(2, directory=tmp_path / "missing")
    errors = run_message_loop(comm, StopRequest(), lambda: None, monitor, worker)
    assert [type(error) for error in errors.values()] == [OutputError]
    assert list(errors) == [0]
    [note] = read_notes(parts)
    assert note.ended.startswith("failed: ") and str(errors[0])[:100] in note.ended


def test_the_note_and_the_progress_line_show_every_way_to_end(make, parts, capsys):
    _, monitor, _, layers = make(3, quiet=False)
    work = WorkDone(ok=1, partial=2, failed=3, files=5, bytes=2 * 10**9)
    monitor.coordinator.handle(0, PROGRESS, work)
    monitor.update()
    monitor.finish_line()
    assert "6/3 layers, 5 files, 2.00/0.00 GB" in capsys.readouterr().err
    [note] = read_notes(parts)
    assert (note.ranks[0]["partial"], note.ended) == (2, "")
    assert len(layers) == 3


class ScriptedComm(RecordingComm):
    """Receives the given messages; None: nothing has come now."""

    def __init__(self, *messages):
        super().__init__()
        self.messages = list(messages)
        self.is_flushed = False

    def poll(self):
        return self.messages.pop(0)

    def flush(self):
        self.is_flushed = True


class RecordedWorker:
    """A worker whose steps are given: whether there was anything to do."""

    runner = SimpleNamespace(child="the child")

    def __init__(self, *steps):
        self.steps = list(steps)
        self.handled = []
        self.finished = False
        self.is_stopped = False

    def step(self):
        return self.steps.pop(0)

    def handle(self, source, tag, message):
        self.handled.append((source, tag, message))
        self.finished = tag == END

    def stop(self):
        self.is_stopped = True


@pytest.fixture
def pauses(monkeypatch):
    """Record what a loop does after each turn: sleep until something wakes it, or begin anew."""
    made = []

    class RecordedBackoff:
        def reset(self):
            made.append("reset")

        def sleep(self, wake=None):
            made.append(wake)

    monkeypatch.setattr(message_loop, "Backoff", RecordedBackoff)
    return made


def test_a_rank_that_only_profiles_takes_messages_and_sleeps_while_nothing_happens(pauses):
    """Turn by turn: nothing; the worker moves; two messages; nothing; the last message."""
    deal, end = (0, DEAL, []), (0, END, None)
    comm = ScriptedComm(None, None, deal, deal, None, None, end, None)
    worker = RecordedWorker(False, True, False, False, False)
    beats = []
    errors = run_message_loop(comm, StopRequest(), lambda: beats.append(1), None, worker)
    assert (errors, beats, comm.is_flushed) == ({}, [], True)
    assert worker.handled == [deal, deal, end] and not worker.is_stopped
    assert pauses == ["the child", "reset", "reset", "the child", "reset"]


def test_a_rank_that_only_coordinates_takes_messages_of_workers_alone(make, pauses, capsys):
    comm = ScriptedComm(None, (0, END, None), (0, FINISHED, None), None)
    _, monitor, _, _ = make(1, quiet=False)
    monitor.coordinator._comm = comm
    beats = []
    assert run_message_loop(comm, StopRequest(), lambda: beats.append(1), monitor, None) == {}
    assert len(beats) == 2
    assert pauses == [None, "reset"]
    assert "0/1 layer," in capsys.readouterr().err
    assert comm.sent == [(0, END, None)]


def test_both_sides_are_told_of_a_stop_each_turn(make, pauses):
    comm = ScriptedComm(None, (0, FINISHED, None), (0, END, None), None)
    _, monitor, _, _ = make(1)
    monitor.coordinator._comm = comm
    worker = RecordedWorker(False, False)
    stop = StopRequest()
    stop.reason = "SIGTERM"
    run_message_loop(comm, stop, lambda: None, monitor, worker)
    assert worker.is_stopped and worker.handled == [(0, END, None)]
    assert comm.sent == [(0, STOP, None), (0, END, None)]


def test_how_a_job_ended_is_cut(make, parts):
    _, monitor, _, _ = make(1)
    monitor.coordinator.errors = {5: OutputError("later"), 3: OutputError("x" * 1000)}
    assert monitor.close(StopRequest()) == monitor.coordinator.errors
    [note] = read_notes(parts)
    assert note.ended.startswith("failed: x") and len(note.ended) == 500
