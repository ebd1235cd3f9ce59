"""Many waits at once: threads of all ranks that do tasks, and the root that hands them out.

For work that waits for the network. The root's main thread holds the plan and decides on each task,
so that all ranks share one budget; only main threads speak MPI. The messages, by tag:

    TASK    0 -> r  a number and a task
    RESULT  r -> 0  the number, and what came out: a value, or the error that ends the run; and news
    NEWS    0 -> r  what other ranks were told by registries
    STOP    0 -> r  break off what is under way
    QUIT    0 -> r  all is done
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..errors import RemetricsError
from .collective import on_rank_0
from .comm import ANY, Comm

TASK, RESULT, NEWS, STOP, QUIT = range(20, 25)

_AHEAD = 2
"""Tasks that a thread may have in hand, so that it need not wait for the root."""

_GRACE = 5.0
"""Seconds that threads have to end what they were told to break off."""

_SHORT, _LONG = 0.001, 0.02
"""Seconds between two looks for messages."""

T = TypeVar("T")


class TaskSource(Protocol):
    """Where rank 0 takes its tasks from, and where it brings their results."""

    def next(self) -> Any:
        """Return the next task, which can be pickled; None while there is none."""

    def take(self, task: Any, value: Any) -> None:
        """Take the result of a task."""


class RateBudget(Protocol):
    """A rank's share of the rate at which all ranks may ask servers.

    When a server asks one rank to pause, the pool takes the pause from this rank's budget and gives
    it to the budgets of all others. A pause is any value that can be pickled.
    """

    def new_pauses(self) -> list[Any]:
        """Return the pauses that this rank learned of since the last call."""

    def apply_pauses(self, pauses: list[Any]) -> None:
        """Hold back this rank's requests as pauses of another rank say."""


class TaskPool:
    """The threads of all ranks, to be made and used by every rank; the root hands out, the others
    `serve`.

    :param work: does one task; called in many threads at once. A `RemetricsError` that it raises
        ends the run, as does any other exception, with its traceback.
    :param threads: of each rank.
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
        self._todo: queue.SimpleQueue[tuple[int, Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        self._tasks: dict[int, tuple[Any, int]] = {}
        self._load = [0] * comm.size
        self._number = 0
        for _ in range(threads):
            threading.Thread(target=self._labour, daemon=True).start()

    def _labour(self) -> None:
        while (item := self._todo.get()) is not None:
            number, task = item
            try:
                self._done.put((number, self._work(task), None))
            except BaseException as error:
                self._done.put((number, None, error))

    @property
    def free(self) -> int:
        """How many tasks can be handed out now, on the root."""
        return self._comm.size * self._threads * _AHEAD - len(self._tasks)

    @property
    def busy(self) -> int:
        """How many tasks are under way, on the root."""
        return len(self._tasks)

    def submit(self, task: Any) -> None:
        """Hand a task to the rank with the least to do."""
        rank = min(range(self._comm.size), key=self._load.__getitem__)
        self._number += 1
        self._load[rank] += 1
        self._tasks[self._number] = (task, rank)
        if rank == self._comm.rank:
            self._todo.put((self._number, task))
        else:
            self._comm.send((self._number, task), rank, TASK)

    def collect(self, wait: float) -> list[tuple[Any, Any]]:
        """Return (task, value) of what was done since; wait up to `wait` seconds for the first.

        :raises RemetricsError: the one that `work` raised on any rank.
        """
        found = []
        while (received := self._comm.poll()) is not None:
            source, _, (number, value, error, news) = received
            self._budget.apply_pauses(news)
            self._pass_on(news, source)
            found.append(self._finish(number, value, error))
        self._pass_on(self._budget.new_pauses(), self._comm.rank)
        while (item := self._take(0 if found else wait)) is not None:
            found.append(self._finish(*item))
        return found

    def _finish(self, number: int, value: Any, error: BaseException | None) -> tuple[Any, Any]:
        task, rank = self._tasks.pop(number)
        self._load[rank] -= 1
        if error is not None:
            raise error
        return task, value

    def _pass_on(self, news: list[Any], source: int) -> None:
        if news:
            self._tell(NEWS, news, source)

    def _take(self, wait: float) -> tuple[int, Any, BaseException | None] | None:
        try:
            return self._done.get(timeout=wait) if wait else self._done.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Tell every thread to break off, from the root."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._tell(STOP)

    def quit(self) -> None:
        """Let every rank go, from the root."""
        self._tell(QUIT)
        self._comm.flush()

    def run_tasks(self, source: TaskSource, stop: object, beat: Callable[[], None]) -> bool:
        """Hand out the tasks of a source until it has none and all are done; say False if `stop`
        became true before.

        :param beat: called some fifty times a second.
        """
        try:
            return self._run_tasks(source, stop, beat)
        except BaseException:
            self.stop()
            raise

    def _run_tasks(self, source: TaskSource, stop: object, beat: Callable[[], None]) -> bool:
        wait = _LONG if self._comm.size == 1 else 2 * _SHORT
        while not stop:
            while self.free > 0 and (task := source.next()) is not None:
                self.submit(task)
            if not self.busy:
                return True
            for task, value in self.collect(wait):
                source.take(task, value)
            beat()
        self.stop()
        for task, value in self.drain():
            source.take(task, value)
        return False

    def drain(self) -> list[tuple[Any, Any]]:
        """Return (task, value) of what ends within some seconds of a stop."""
        found, until = [], time.monotonic() + _GRACE
        while self._tasks and time.monotonic() < until:
            found += self.collect(_SHORT)
        return found

    def _tell(self, tag: int, message: Any = None, source: int = ANY) -> None:
        for rank in range(self._comm.size):
            if rank not in (self._comm.rank, source):
                self._comm.send(message, rank, tag)

    def serve(self) -> None:
        """Do tasks until the root lets this rank go."""
        wait = _SHORT
        while True:
            moved = False
            while (received := self._comm.poll()) is not None:
                moved = True
                _, tag, message = received
                if tag == QUIT:
                    return self._comm.flush()
                self._handle(tag, message)
            while (item := self._take(0 if moved else wait)) is not None:
                moved = True
                self._send(*item)
            wait = _SHORT if moved else min(2 * wait, _LONG)

    def _handle(self, tag: int, message: Any) -> None:
        if tag == TASK:
            self._todo.put(message)
        elif tag == NEWS:
            self._budget.apply_pauses(message)
        elif tag == STOP:
            self._stopped.set()

    def _send(self, number: int, value: Any, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, RemetricsError):
            raise error
        self._comm.send((number, value, error, self._budget.new_pauses()), self._comm.root, RESULT)


def schedule_on_rank_0(comm: Comm, pool: TaskPool, part: Callable[[], T]) -> T:
    """Let the root do its part while the other ranks serve it; return its value, or raise its
    error, on all of them."""
    if comm.rank != comm.root:
        pool.serve()

    def led() -> T:
        try:
            return part()
        finally:
            pool.quit()

    value: T = on_rank_0(comm, led)
    return value
