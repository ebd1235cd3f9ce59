"""A thread pool over all ranks: rank 0 schedules tasks, worker threads on every rank run them.

For work that waits for the network. The main thread of rank 0 takes tasks from a `TaskSource` and
gives each to the rank with the fewest, so that all ranks share one rate budget. Worker threads
never speak MPI: main threads pass tasks and results to and from them through queues.

    rank 0  main thread ── TASK ──▶ main thread of rank r ──▶ worker threads
                        ◀─ RESULT ─                       ◀──

Messages between main threads, by tag:

    TASK    0 -> r  number of the task, task
    RESULT  r -> 0  number of the task, value, the error that ends the run or None, new pauses
    PAUSES  0 -> r  pauses that servers demanded of other ranks
    STOP    0 -> r  break off what is under way
    QUIT    0 -> r  all is done
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from ..errors import RemetricsError
from .collective import on_rank_0
from .comm import Comm

TASK, RESULT, PAUSES, STOP, QUIT = range(20, 25)

_TASKS_PER_THREAD = 2
"""Tasks that a rank may hold for each thread, so that no thread waits for rank 0."""

_STOP_SECONDS = 5.0
"""Seconds that tasks under way have to end after a stop."""

_MIN_WAIT, _MAX_WAIT = 0.001, 0.02
"""Seconds between two looks for messages."""

T = TypeVar("T")

_Done: TypeAlias = tuple[int, Any, BaseException | None]
"""Number of a task, its value, and the error that it raised, if any."""


class TaskSource(Protocol):
    """Where rank 0 takes its tasks from, and where it brings their results."""

    def next(self) -> Any:
        """Return the next task, which can be pickled; None while there is none."""

    def take(self, task: Any, value: Any) -> None:
        """Take the value that a task returned."""


class RateBudget(Protocol):
    """A rank's share of the rate at which all ranks may ask servers.

    When a server asks one rank to pause, the pool takes the pause from this rank's budget and gives
    it to the budgets of all others. A pause is any value that can be pickled.
    """

    def new_pauses(self) -> list[Any]:
        """Return the pauses that this rank was asked for since the last call."""

    def apply_pauses(self, pauses: list[Any]) -> None:
        """Hold back this rank's requests as the pauses of another rank say."""


class TaskPool:
    """The worker threads of all ranks; every rank makes one, rank 0 schedules, the others `serve`.

    :param work: runs one task; called in many threads at once. Any exception that it raises ends
        the run, a fault of the program with its traceback.
    :param threads: worker threads of each rank.
    :param budget: the rate budget that `work` asks before each request.
    :param stopped: set when the job is told to stop; `work` looks at it.
    """

    def __init__(
        self,
        comm: Comm,
        work: Callable[[Any], Any],
        threads: int,
        *,
        budget: RateBudget,
        stopped: threading.Event,
    ) -> None:
        self._comm = comm
        self._work = work
        self._threads = threads
        self._budget = budget
        self._stopped = stopped
        # Between the main thread and the worker threads of this rank.
        self._todo: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        # On rank 0: (task, rank) of the tasks under way by number, and how many each rank has.
        self._tasks: dict[int, tuple[Any, int]] = {}
        self._load = [0] * comm.size
        self._number = 0
        for _ in range(threads):
            threading.Thread(target=self._run_thread, daemon=True).start()

    def _run_thread(self) -> None:
        """Run tasks of this rank until the process ends."""
        while True:
            number, task = self._todo.get()
            try:
                self._done.put((number, self._work(task), None))
            except BaseException as error:
                self._done.put((number, None, error))

    # On rank 0.

    @property
    def _free(self) -> int:
        """How many more tasks the ranks can take now."""
        return self._comm.size * self._threads * _TASKS_PER_THREAD - self._busy

    @property
    def _busy(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def _submit(self, task: Any) -> None:
        """Give a task to the rank that has the fewest, the lowest of those."""
        rank = min(range(self._comm.size), key=self._load.__getitem__)
        self._number += 1
        self._load[rank] += 1
        self._tasks[self._number] = (task, rank)
        if rank == self._comm.rank:
            self._todo.put((self._number, task))
        else:
            self._comm.send((self._number, task), rank, TASK)

    def _collect(self, wait: float) -> list[tuple[Any, Any]]:
        """Return (task, value) of the tasks that ended since the last call.

        :param wait: seconds to wait for the first of them.
        :raises RemetricsError: what `work` raised on any rank.
        """
        results = []
        # Take what other ranks send, and pass on the pauses among it.
        while (received := self._comm.poll()) is not None:
            source, _, (number, value, error, pauses) = received
            self._budget.apply_pauses(pauses)
            self._send_pauses(pauses, source)
            results.append(self._finish(number, value, error))
        self._send_pauses(self._budget.new_pauses(), self._comm.rank)

        # Take what the threads of this rank did.
        while (done := self._next_done(0 if results else wait)) is not None:
            results.append(self._finish(*done))
        return results

    def _finish(self, number: int, value: Any, error: BaseException | None) -> tuple[Any, Any]:
        task, rank = self._tasks.pop(number)
        self._load[rank] -= 1
        if error is not None:
            raise error
        return task, value

    def _send_pauses(self, pauses: list[Any], source: int) -> None:
        """Send pauses to all ranks but this one and the one that they come from."""
        if pauses:
            self._send_to_all(PAUSES, pauses, besides=source)

    def _send_to_all(self, tag: int, message: Any = None, besides: int = 0) -> None:
        for rank in range(self._comm.size):
            if rank not in (self._comm.rank, besides):
                self._comm.send(message, rank, tag)

    def _stop(self) -> None:
        """Tell every thread of every rank to break off."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._send_to_all(STOP)

    def quit(self) -> None:
        """Let the other ranks return from `serve`."""
        self._send_to_all(QUIT)
        self._comm.flush()

    def run_tasks(self, source: TaskSource, stop: object, heartbeat: Callable[[], None]) -> bool:
        """Run tasks until the source has none and all are done; return whether it came to that.

        :param stop: ends the run when it becomes true.
        :param heartbeat: called some fifty times a second.
        :raises RemetricsError: what `work` raised on any rank.
        """
        try:
            return self._run_tasks(source, stop, heartbeat)
        except BaseException:
            self._stop()
            raise

    def _run_tasks(self, source: TaskSource, stop: object, heartbeat: Callable[[], None]) -> bool:
        wait = _MAX_WAIT if self._comm.size == 1 else 2 * _MIN_WAIT
        while not stop:
            while self._free > 0 and (task := source.next()) is not None:
                self._submit(task)
            if not self._busy:
                return True
            for task, value in self._collect(wait):
                source.take(task, value)
            heartbeat()

        # Keep the results of what ends soon after the stop.
        self._stop()
        for task, value in self._drain():
            source.take(task, value)
        return False

    def _drain(self) -> list[tuple[Any, Any]]:
        """Return (task, value) of the tasks that end within some seconds."""
        results = []
        until = time.monotonic() + _STOP_SECONDS
        while self._busy and time.monotonic() < until:
            results += self._collect(_MIN_WAIT)
        return results

    # On the other ranks.

    def serve(self) -> None:
        """Run the tasks that rank 0 sends, until it lets this rank go."""
        wait = _MIN_WAIT
        while True:
            is_active = False
            # Take what rank 0 sends.
            while (received := self._comm.poll()) is not None:
                is_active = True
                _, tag, message = received
                if tag == QUIT:
                    return self._comm.flush()
                self._handle(tag, message)

            # Send it what the threads of this rank did.
            while (done := self._next_done(0 if is_active else wait)) is not None:
                is_active = True
                self._send_result(*done)
            wait = _MIN_WAIT if is_active else min(2 * wait, _MAX_WAIT)

    def _handle(self, tag: int, message: Any) -> None:
        if tag == TASK:
            self._todo.put(message)
        elif tag == PAUSES:
            self._budget.apply_pauses(message)
        elif tag == STOP:
            self._stopped.set()

    def _send_result(self, number: int, value: Any, error: BaseException | None) -> None:
        # A fault of the program ends the job here, where its traceback is.
        if error is not None and not isinstance(error, RemetricsError):
            raise error
        self._comm.send((number, value, error, self._budget.new_pauses()), self._comm.root, RESULT)

    # On every rank.

    def _next_done(self, wait: float) -> _Done | None:
        """Return what a thread of this rank did, or None if none ends within `wait` seconds."""
        try:
            return self._done.get(timeout=wait) if wait else self._done.get_nowait()
        except queue.Empty:
            return None


def schedule_on_rank_0(comm: Comm, pool: TaskPool, schedule: Callable[[], T]) -> T:
    """Call `schedule` on rank 0 while the other ranks serve it, and return its value on all ranks.

    Every rank calls this.

    :param schedule: gives tasks to the pool.
    :raises RemetricsError: the one that `schedule` raised, on every rank.
    """
    if comm.rank != comm.root:
        pool.serve()

    def schedule_and_quit() -> T:
        try:
            return schedule()
        finally:
            pool.quit()

    value: T = on_rank_0(comm, schedule_and_quit)
    return value
