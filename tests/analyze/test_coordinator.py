"""The deal: every layer to exactly one rank, the tail on demand, a stop that loses nothing."""

import hashlib

from hpc_remetrics.analyze.coordinator import (
    ASSIGN,
    DEAL,
    END,
    FINISHED,
    PROGRESS,
    REQUEST,
    STOP,
    Coordinator,
    WorkDone,
)
from hpc_remetrics.analyze.plan import make_plan
from hpc_remetrics.analyze.work_queue import WorkQueue
from hpc_remetrics.errors import OutputError
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import Digest, Layer


class RecordingComm(SerialComm):
    """Keeps what is sent, by destination."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, int, object]] = []

    def send(self, message, dest, tag):
        self.sent.append((dest, tag, message))


def layers(count: int) -> list[Layer]:
    return [
        Layer(Digest(hashlib.sha256(str(n).encode()).digest()), n * 10**6, "oci_tar_gzip")
        for n in range(count)
    ]


def make(count=100, workers=(1, 2, 3)):
    comm = RecordingComm()
    return comm, Coordinator(comm, make_plan(layers(count), len(workers)), list(workers))


def test_shares_and_tail_hold_every_layer_once():
    comm, coordinator = make()
    for turn in range(600):
        coordinator.handle(1 + turn % 3, REQUEST, 0.0)
    dealt = [layer for _, tag, message in comm.sent if tag in (ASSIGN, DEAL) for layer in message]
    assert sorted(layer.digest for layer in dealt) == sorted(layer.digest for layer in layers(100))
    assert comm.sent[-1][2] == []


def test_who_has_much_in_hand_gets_one_layer_and_who_has_nothing_a_chunk():
    comm, coordinator = make(1000)
    coordinator.handle(1, REQUEST, 1e6)
    coordinator.handle(2, REQUEST, 0.0)
    (_, _, one), (_, _, chunk) = comm.sent[-2:]
    assert len(one) == 1
    assert len(chunk) > 10


def test_it_is_finished_when_all_said_goodbye():
    comm, coordinator = make()
    for worker in (1, 2):
        coordinator.handle(worker, FINISHED, None)
    assert not coordinator.finished
    coordinator.handle(3, FINISHED, None)
    assert coordinator.finished
    assert coordinator.errors == {}
    assert [(dest, tag) for dest, tag, _ in comm.sent[-3:]] == [(1, END), (2, END), (3, END)]


def test_tallies_add_up():
    _, coordinator = make()
    coordinator.handle(1, PROGRESS, WorkDone(ok=2, files=10, bytes=100))
    coordinator.handle(2, PROGRESS, WorkDone(partial=1, failed=3, files=1, bytes=7))
    assert coordinator.total == WorkDone(2, 1, 3, 11, 107)
    assert coordinator.total.layers == 6


def test_the_error_of_one_rank_stops_the_others():
    comm, coordinator = make()
    coordinator.handle(2, FINISHED, OutputError("the disk is full"))
    assert {dest for dest, tag, _ in comm.sent if tag == STOP} == {1, 3}
    assert str(coordinator.errors[2]) == "the disk is full"
    coordinator.handle(1, REQUEST, 0.0)
    assert comm.sent[-1] == (1, DEAL, [])


def test_a_stop_is_ordered_once():
    comm, coordinator = make()
    coordinator.stop()
    coordinator.stop()
    assert [tag for _, tag, _ in comm.sent].count(STOP) == 3


def test_a_rank_with_nothing_in_hand_asks_with_no_seconds():
    comm, coordinator = make(1000)
    queue = WorkQueue()
    assert queue.request([]) is None  # its share is still to come
    queue.add([], is_last=False)
    coordinator.handle(1, REQUEST, queue.request([]))
    assert len(comm.sent[-1][2]) > 10
    assert queue.request([]) is None
