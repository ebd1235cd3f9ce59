"""The task pool: who gets a task, what ends it, and that pauses reach all ranks."""

import threading
import time

import pytest
from support.thread_ranks import on_ranks

from hpc_remetrics.errors import UsageError
from hpc_remetrics.mpi import task_pool
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.task_pool import (
    PAUSES,
    QUIT,
    RESULT,
    STOP,
    TASK,
    TaskPool,
    schedule_on_rank_0,
)


class Budget:
    """A rate budget that keeps what it is given."""

    def __init__(self):
        self.fresh = []
        self.applied = []

    def new_pauses(self):
        fresh, self.fresh = self.fresh, []
        return fresh

    def apply_pauses(self, pauses):
        self.applied += pauses


class Numbers:
    """Hands out the numbers below `count`; keeps the results."""

    def __init__(self, count):
        self.left = list(range(count))
        self.results = {}

    def next(self):
        return self.left.pop(0) if self.left else None

    def take(self, task, value):
        self.results[task] = value


class ScriptedComm(SerialComm):
    """One of several ranks: keeps what it sends, and receives what the test puts in `inbox`."""

    def __init__(self, rank, size):
        super().__init__()
        self.rank, self.size = rank, size
        self.sent, self.inbox = [], []

    def send(self, message, dest, tag):
        self.sent.append((dest, tag, message))

    def poll(self):
        return self.inbox.pop(0) if self.inbox else None


def pool_of(comm, work=lambda task: task, threads=1):
    return TaskPool(comm, work, threads, budget=Budget(), stopped=threading.Event())


def nothing():
    pass


def test_all_tasks_are_run_and_their_values_come_back():
    beats = []
    pool = pool_of(SerialComm(), lambda number: number * number, threads=3)
    source = Numbers(50)
    assert pool.run_tasks(source, stop=False, heartbeat=lambda: beats.append(1)) is True
    assert source.results == {number: number * number for number in range(50)}
    assert beats
    assert not pool._stopped.is_set()


def test_no_more_tasks_than_two_a_thread_are_under_way():
    taken, gate = [], threading.Event()
    pool = pool_of(SerialComm(), lambda number: gate.wait(), threads=3)

    class Source(Numbers):
        def next(self):
            taken.append(pool._busy)
            # No task ends before the sixth is taken.
            if len(taken) == 6:
                gate.set()
            return super().next()

    assert pool.run_tasks(Source(20), stop=False, heartbeat=nothing)
    assert max(taken) == 5
    assert (pool._busy, pool._free, pool._load) == (0, 6, [0])


def test_tasks_of_all_threads_run_at_once():
    meeting = threading.Barrier(4, timeout=60)
    pool = pool_of(SerialComm(), lambda task: meeting.wait() >= 0, threads=4)
    source = Numbers(4)
    assert pool.run_tasks(source, stop=False, heartbeat=nothing)
    assert source.results == dict.fromkeys(range(4), True)


@pytest.mark.parametrize("error", [UsageError("no"), ZeroDivisionError("fault")])
def test_an_error_of_a_task_ends_the_run_and_stops_the_others(error):
    def work(task):
        if task == 3:
            raise error
        return task

    pool = pool_of(SerialComm(), work)
    with pytest.raises(type(error), match=str(error)):
        pool.run_tasks(Numbers(10), stop=False, heartbeat=nothing)
    assert pool._stopped.is_set()


def test_a_stop_keeps_what_ends_soon_after_it():
    gate = threading.Event()
    pool = pool_of(SerialComm(), lambda task: gate.wait(60) and task, threads=2)

    class Stop:
        def __bool__(self):
            # All tasks end after the stop, and none before.
            if pool._busy == 4:
                gate.set()
            return gate.is_set()

    source = Numbers(100)
    assert pool.run_tasks(source, Stop(), nothing) is False
    assert pool._stopped.is_set()
    assert sorted(source.results) == [0, 1, 2, 3]


def test_a_stop_does_not_wait_for_tasks_that_go_on(monkeypatch):
    monkeypatch.setattr(task_pool, "_STOP_SECONDS", 0.05)
    gate = threading.Event()
    pool = pool_of(SerialComm(), lambda task: gate.wait(60))

    class Stop:
        def __bool__(self):
            return pool._busy > 0

    source = Numbers(3)
    assert pool.run_tasks(source, Stop(), nothing) is False
    assert source.results == {}
    gate.set()


def test_tasks_go_to_the_rank_with_the_fewest():
    comm = ScriptedComm(0, 3)
    gate = threading.Event()
    pool = pool_of(comm, lambda task: gate.wait(60) and f"{task}0")
    for task in "abcde":
        pool._submit(task)
    assert comm.sent == [(1, TASK, (2, "b")), (2, TASK, (3, "c")), (1, TASK, (5, "e"))]
    assert pool._free == 3 * 2 - 5
    # A rank that has done its task is the next.
    comm.inbox.append((1, RESULT, (2, "B", None, [])))
    assert pool._collect(0) == [("b", "B")]
    pool._submit("f")
    pool._submit("g")
    assert comm.sent[3:] == [(1, TASK, (6, "f")), (2, TASK, (7, "g"))]
    gate.set()
    results = []
    while len(results) < 2:
        results += pool._collect(0.01)
    assert results == [("a", "a0"), ("d", "d0")]
    assert pool._load == [0, 2, 2]


def test_results_of_other_ranks_are_taken_without_a_wait(monkeypatch):
    comm = ScriptedComm(0, 2)
    pool = pool_of(comm, lambda task: threading.Event().wait())
    pool._submit("a")
    pool._submit("b")
    comm.inbox.append((1, RESULT, (2, "B", None, [])))
    waits = []
    monkeypatch.setattr(pool, "_next_done", waits.append)
    assert pool._collect(20) == [("b", "B")]
    assert waits == [0]
    assert pool._collect(0) == []


def test_an_error_of_another_rank_is_raised_on_rank_0():
    comm = ScriptedComm(0, 2)
    pool = pool_of(comm, lambda task: threading.Event().wait())
    pool._submit("a")
    pool._submit("b")
    comm.inbox.append((1, RESULT, (2, None, UsageError("over there"), [])))
    with pytest.raises(UsageError, match="over there"):
        pool._collect(0)


def test_pauses_go_from_each_rank_to_all_others():
    comm = ScriptedComm(0, 3)
    pool = pool_of(comm, lambda task: threading.Event().wait())
    pool._submit("a")
    pool._submit("b")
    comm.sent.clear()
    pool._budget.fresh = ["of 0"]
    comm.inbox.append((1, RESULT, (2, "B", None, ["of 1"])))
    pool._collect(0)
    assert pool._budget.applied == ["of 1"]
    assert comm.sent == [(2, PAUSES, ["of 1"]), (1, PAUSES, ["of 0"]), (2, PAUSES, ["of 0"])]
    pool._collect(0)
    assert len(comm.sent) == 3


def test_a_stop_is_sent_once_and_the_end_to_all():
    comm = ScriptedComm(0, 3)
    pool = pool_of(comm)
    pool._stop()
    pool._stop()
    pool.quit()
    assert comm.sent == [(r, tag, None) for tag in (STOP, QUIT) for r in (1, 2)]


def test_another_rank_serves_until_it_is_let_go():
    comm = ScriptedComm(1, 3)
    pool = pool_of(comm, lambda task: task.upper())
    pool._budget.fresh = ["mine"]
    comm.inbox += [(0, TASK, (7, "a")), (0, PAUSES, ["theirs"]), (0, STOP, None)]

    def let_go():
        while not comm.sent:
            time.sleep(0.001)
        comm.inbox.append((0, QUIT, None))

    thread = threading.Thread(target=let_go)
    thread.start()
    pool.serve()
    thread.join()
    assert comm.sent == [(0, RESULT, (7, "A", None, ["mine"]))]
    assert pool._budget.applied == ["theirs"]
    assert pool._stopped.is_set()


def test_a_user_facing_error_travels_and_a_fault_is_raised_where_it_is():
    comm = ScriptedComm(1, 2)
    pool = pool_of(comm)
    error = UsageError("no")
    pool._send_result(1, None, error)
    assert comm.sent == [(0, RESULT, (1, None, error, []))]
    with pytest.raises(ZeroDivisionError):
        pool._send_result(2, None, ZeroDivisionError())
    assert len(comm.sent) == 1


def test_rank_0_schedules_and_lets_the_others_go():
    pool = pool_of(SerialComm())
    quits = []
    pool.quit = lambda: quits.append(1)
    assert schedule_on_rank_0(SerialComm(), pool, lambda: 7) == 7
    with pytest.raises(UsageError) as caught:
        schedule_on_rank_0(SerialComm(), pool, lambda: (_ for _ in ()).throw(UsageError("no")))
    assert caught.value.shared
    assert quits == [1, 1]


def test_another_rank_serves_and_gets_the_value():
    class Other(ScriptedComm):
        def bcast(self, value, root=0):
            return 7, None

    comm = Other(1, 2)
    comm.inbox.append((0, QUIT, None))
    assert schedule_on_rank_0(comm, pool_of(comm), lambda: 1 / 0) == 7


class RecordedPool:
    """A task pool that records what is asked of it."""

    def __init__(self):
        self.calls = []

    def serve(self):
        self.calls.append("serve")

    def quit(self):
        self.calls.append("quit")


def test_other_ranks_serve_while_rank_0_schedules_and_all_get_its_value():
    def run(comm):
        pool = RecordedPool()
        value = schedule_on_rank_0(comm, pool, lambda: pool.calls.append("schedule") or "value")
        return value, pool.calls

    assert on_ranks(3, run) == [
        ("value", ["schedule", "quit"]),
        ("value", ["serve"]),
        ("value", ["serve"]),
    ]
