"""The time in which layers are profiled: ranks exchange messages until every one has said
goodbye."""

from __future__ import annotations

from collections.abc import Callable

from ..buckets import total_size
from ..errors import RemetricsError
from ..mpi.comm import Backoff, Comm
from ..mpi.signals import StopRequest
from ..parts.job_notes import Notebook
from ..profile.parent import Child
from ..progress import Progress
from .coordinator import ASK, BYE, PAUSE, TALLY, Coordinator
from .plan import Plan
from .worker import Worker


class Root:
    """What the root does beside: it deals out layers, and tells people and later starts how far the
    job is.

    :param workers: the profiling ranks.
    """

    def __init__(
        self, comm: Comm, plan: Plan, workers: range, notebook: Notebook, quiet: bool
    ) -> None:
        self.coordinator = Coordinator(comm, plan, workers)
        every = [layer for share in (*plan.shares, plan.tail) for layer in share]
        self._progress = Progress(len(every), total_size(every), quiet=quiet)
        self._notebook = notebook

    def tell(self) -> None:
        """Note and show how far the job is."""
        tally = self.coordinator.tally
        self._notebook.update(self.coordinator.by_rank)
        self._progress.update(tally.layers, tally.files, tally.bytes, tally.failed + tally.partial)

    def finish(self) -> None:
        self._progress.finish()

    def close(self, stop: StopRequest) -> dict[int, RemetricsError]:
        """Note how the job ended; return the ranks' errors."""
        errors = self.coordinator.errors
        self._notebook.close(self.coordinator.by_rank, _ended(errors, stop))
        return errors


def _ended(errors: dict[int, RemetricsError], stop: StopRequest) -> str:
    if errors:
        return f"failed: {errors[min(errors)]}"[:500]
    return f"stopped on {stop.reason}" if stop else "done"


def exchange(
    comm: Comm,
    stop: StopRequest,
    beat: Callable[[], None],
    root: Root | None,
    worker: Worker | None,
    child: Child | None,
) -> dict[int, RemetricsError]:
    """Exchange messages until all is done; return, on the root, the ranks' errors.

    :param beat: called often by the root, to hold what it holds.
    :param root: on the root; `worker` and its `child`: on a profiling rank.
    """
    coordinator, backoff = root.coordinator if root else None, Backoff()
    while not all(one is None or one.finished for one in (coordinator, worker)):
        moved = worker.step() if worker else False
        while (received := comm.poll()) is not None:
            source, tag, message = received
            moved = True
            if coordinator and tag in (ASK, TALLY, BYE, PAUSE):
                coordinator.handle(source, tag, message)
            elif worker is not None:
                worker.handle(source, tag, message)
        if stop:
            _order_stop(coordinator, worker)
        if root:
            beat()
            root.tell()
        if moved:
            backoff.reset()
        else:
            backoff.sleep(worker and child)
    if root:
        root.finish()
    comm.flush()
    return root.close(stop) if root else {}


def _order_stop(coordinator: Coordinator | None, worker: Worker | None) -> None:
    if coordinator:
        coordinator.stop()
    if worker:
        worker.stop()
