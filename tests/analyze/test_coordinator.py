"""The coordinator: each layer to one rank, the tail on demand, a stop that loses nothing."""

from dataclasses import fields

import pytest
from support.recording_comm import RecordingComm

from hpc_remetrics.analyze.coordinator import (
    ASSIGN,
    DEAL,
    END,
    FINISHED,
    PAUSES,
    PROGRESS,
    REQUEST,
    STOP,
    TO_COORDINATOR,
    Coordinator,
    WorkDone,
    report_seconds,
)
from hpc_remetrics.analyze.plan import cost, make_plan, next_chunk
from hpc_remetrics.analyze.work_queue import WorkQueue
from hpc_remetrics.errors import OutputError


@pytest.fixture
def make(made_layers):
    """Return a function that makes a coordinator of ranks 1, 2 and 3, and what it sends over."""

    def coordinator(count=100, workers=(1, 2, 3)):
        comm = RecordingComm()
        return comm, Coordinator(comm, make_plan(made_layers(count), len(workers)), list(workers))

    return coordinator


def test_each_rank_is_assigned_its_layers_of_the_plan_at_once(make, made_layers):
    comm, _ = make()
    plan = make_plan(made_layers(100), 3)
    assert comm.sent == [(rank, ASSIGN, plan.assigned[rank - 1]) for rank in (1, 2, 3)]


def test_every_layer_goes_to_one_rank_and_then_there_are_none(make, made_layers):
    comm, coordinator = make()
    for turn in range(600):
        coordinator.handle(1 + turn % 3, REQUEST, 0.0)
    dealt = [layer for _, tag, message in comm.sent if tag in (ASSIGN, DEAL) for layer in message]
    assert sorted(layer.digest for layer in dealt) == sorted(
        layer.digest for layer in made_layers(100)
    )
    assert comm.sent[-1] == (3, DEAL, [])


def test_a_chunk_is_as_long_as_the_plan_says_less_what_the_rank_has_in_hand(make, made_layers):
    tail = make_plan(made_layers(1000), 3).tail
    for in_hand in (0.0, 1.5):
        comm, coordinator = make(1000)
        coordinator.handle(2, REQUEST, in_hand)
        wanted = next_chunk(sum(map(cost, tail)), 3) - in_hand
        [dealt] = comm.take(DEAL)
        assert dealt == list(tail[: len(dealt)])
        assert sum(map(cost, dealt)) >= wanted > sum(map(cost, dealt[:-1]))


def test_chunks_shrink_as_less_is_left(make):
    comm, coordinator = make(1000)
    for _ in range(20):
        coordinator.handle(1, REQUEST, 0.0)
    sums = [sum(map(cost, dealt)) for dealt in comm.take(DEAL)]
    assert sums[-1] < 0.3 * sums[0]


def test_a_rank_with_much_in_hand_gets_one_layer(make):
    comm, coordinator = make(1000)
    coordinator.handle(1, REQUEST, 1e6)
    assert [len(dealt) for dealt in comm.take(DEAL)] == [1]


def test_it_is_finished_when_all_ranks_are(make):
    comm, coordinator = make()
    for worker in (1, 2):
        coordinator.handle(worker, FINISHED, None)
    assert not coordinator.finished
    coordinator.handle(3, FINISHED, None)
    assert coordinator.finished
    assert coordinator.errors == {}
    assert [(dest, tag) for dest, tag, _ in comm.sent[-3:]] == [(1, END), (2, END), (3, END)]


def test_what_ranks_did_adds_up(make):
    _, coordinator = make()
    coordinator.handle(1, PROGRESS, WorkDone(ok=2, files=10, bytes=100))
    coordinator.handle(1, PROGRESS, WorkDone(ok=1, busy_seconds=2.0))
    coordinator.handle(2, PROGRESS, WorkDone(partial=1, failed=3, files=1, bytes=7))
    assert coordinator.total == WorkDone(3, 1, 3, 11, 107, busy_seconds=2.0)
    assert coordinator.total.layers == 7
    assert coordinator.by_rank == {
        1: WorkDone(ok=3, files=10, bytes=100, busy_seconds=2.0),
        2: WorkDone(partial=1, failed=3, files=1, bytes=7),
        3: WorkDone(),
    }


def test_every_field_of_work_adds_up():
    names = [field.name for field in fields(WorkDone)]
    one = WorkDone(*range(1, len(names) + 1))
    other = WorkDone(*range(10, 10 * len(names) + 10, 10))
    assert one + other == WorkDone(*(11 * n for n in range(1, len(names) + 1)))


def test_pauses_go_to_the_other_active_ranks(make):
    comm, coordinator = make()
    coordinator.handle(3, FINISHED, None)
    coordinator.handle(1, PAUSES, ["pause"])
    assert [sent for sent in comm.sent if sent[1] == PAUSES] == [(2, PAUSES, ["pause"])]


def test_the_error_of_one_rank_stops_the_others(make):
    comm, coordinator = make()
    coordinator.handle(2, FINISHED, OutputError("the disk is full"))
    assert {dest for dest, tag, _ in comm.sent if tag == STOP} == {1, 3}
    assert str(coordinator.errors[2]) == "the disk is full"
    coordinator.handle(1, REQUEST, 0.0)
    assert comm.sent[-1] == (1, DEAL, [])


def test_a_stop_is_ordered_once(make):
    comm, coordinator = make()
    coordinator.stop()
    coordinator.stop()
    assert [dest for dest, tag, _ in comm.sent if tag == STOP] == [1, 2, 3]


def test_the_request_of_an_idle_rank_is_one_that_the_coordinator_takes(make):
    comm, coordinator = make(1000)
    queue = WorkQueue()
    queue.add([], is_last=False)
    coordinator.handle(1, REQUEST, queue.request([]))
    assert len(comm.take(DEAL)[0]) > 10


def test_tags_are_different_and_those_of_ranks_are_known():
    tags = (ASSIGN, REQUEST, DEAL, PROGRESS, STOP, FINISHED, PAUSES, END)
    assert len(set(tags)) == len(tags)
    assert set(TO_COORDINATOR) == {REQUEST, PROGRESS, FINISHED, PAUSES}


@pytest.mark.parametrize(("ranks", "seconds"), [(1, 0.5), (250, 0.5), (251, 0.502), (5000, 10.0)])
def test_rank_0_gets_no_more_than_500_reports_a_second(ranks, seconds):
    assert report_seconds(ranks) == pytest.approx(seconds)
