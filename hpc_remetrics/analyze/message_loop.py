"""The message loop of the profiling phase; it returns when every rank has reported that it is done.

Rank 0 runs it with a `JobMonitor`, a profiling rank with a `Worker`, a single process with both.
`coordinator.py` lists the messages.
"""

from __future__ import annotations

from collections.abc import Callable

from ..buckets import total_size
from ..errors import RemetricsError
from ..mpi.comm import Backoff, Comm
from ..mpi.signals import StopRequest
from ..parts.job_notes import Notebook
from ..progress import Progress
from .coordinator import TO_COORDINATOR, Coordinator
from .plan import Plan
from .worker import Worker


class JobMonitor:
    """The coordinator on rank 0, and how far it is: the progress line and the job's note.

    :param workers: the profiling ranks.
    :param notebook: writes the job's note beside the parts, for `status` and for `/run`.
    """

    def __init__(
        self, comm: Comm, plan: Plan, workers: range, notebook: Notebook, *, quiet: bool
    ) -> None:
        self.coordinator = Coordinator(comm, plan, workers)
        layers = plan.layers
        self._progress = Progress(len(layers), total_size(layers), quiet=quiet)
        self._notebook = notebook

    def update(self) -> None:
        """Write the job's note and show the progress line, if it is time."""
        total = self.coordinator.total
        self._notebook.update(self.coordinator.by_rank)
        self._progress.update(total.layers, total.files, total.bytes, total.failed + total.partial)

    def finish_line(self) -> None:
        """Show the last progress line."""
        self._progress.finish()

    def close(self, stop: StopRequest) -> dict[int, RemetricsError]:
        """Write how the job ended into its note; return the errors of ranks, by rank."""
        errors = self.coordinator.errors
        self._notebook.close(self.coordinator.by_rank, _how_ended(errors, stop))
        return errors


def _how_ended(errors: dict[int, RemetricsError], stop: StopRequest) -> str:
    if errors:
        return f"failed: {errors[min(errors)]}"[:500]
    return f"stopped on {stop.reason}" if stop else "done"


def run_message_loop(
    comm: Comm,
    stop: StopRequest,
    heartbeat: Callable[[], None],
    monitor: JobMonitor | None,
    worker: Worker | None,
) -> dict[int, RemetricsError]:
    """Exchange messages until all ranks are done; return, on rank 0, the errors of ranks.

    :param heartbeat: called often on rank 0, to keep its locks alive.
    :param monitor: on rank 0.
    :param worker: on a profiling rank.
    """
    coordinator = monitor.coordinator if monitor else None
    child = worker.runner.child if worker else None
    backoff = Backoff()
    while not all(side is None or side.finished for side in (coordinator, worker)):
        # Do a worker's next step.
        moved = worker.step() if worker else False
        # Hand over every message that has come; a single process gets those of both sides.
        while (received := comm.poll()) is not None:
            source, tag, message = received
            moved = True
            if coordinator and tag in TO_COORDINATOR:
                coordinator.handle(source, tag, message)
            elif worker is not None:
                worker.handle(source, tag, message)
        if stop:
            _pass_on_stop(coordinator, worker)
        if monitor:
            heartbeat()
            monitor.update()
        # Sleep, longer each time, until something happens; the child wakes a worker at once.
        if moved:
            backoff.reset()
        else:
            backoff.sleep(child)
    if monitor:
        monitor.finish_line()
    comm.flush()
    return monitor.close(stop) if monitor else {}


def _pass_on_stop(coordinator: Coordinator | None, worker: Worker | None) -> None:
    """Order the stop on all ranks, as far as this one can."""
    if coordinator:
        coordinator.stop()
    if worker:
        worker.stop()
