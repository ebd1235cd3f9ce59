"""The worker: the part of a profiling rank in a run.

It takes layers from the coordinator, hands them one by one to the child, and publishes whole ones
in parts. It never parses what is in a layer. Nothing here waits: `step` does what there is to do
and returns, so that a single process can be coordinator and worker in turns.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import BlobError, RemetricsError
from ..mpi.comm import Comm
from ..parts.spill_format import LayerProfile
from ..records import STATUSES, Layer
from .coordinator import (
    ASSIGN,
    DEAL,
    END,
    FINISHED,
    PAUSES,
    PROGRESS,
    REQUEST,
    STOP,
    WorkDone,
    report_seconds,
)
from .layer_runner import FinishedLayer, LayerRunner
from .part_publisher import PartPublisher
from .prefetch import Prefetcher
from .work_queue import WorkQueue

log = logging.getLogger(__name__)


class Worker:
    """Profiles layers until the coordinator at `comm.root` has none left, or orders the stop.

    :param prefetcher: makes layers readable before the child needs them.
    :param runner: the child with its current layer.
    :param publisher: collects whole layers and writes parts.
    :ivar finished: whether the last message of the coordinator has come.
    :ivar report: what this rank did.
    """

    def __init__(
        self, comm: Comm, prefetcher: Prefetcher, runner: LayerRunner, publisher: PartPublisher
    ) -> None:
        self.runner = runner
        self.report = ProgressReport(comm)
        self.finished = False
        self._comm = comm
        self._prefetcher = prefetcher
        self._publisher = publisher
        self._queue = WorkQueue()
        self._is_stopping = False
        self._has_ended = False

    def handle(self, source: int, tag: int, message: object) -> None:
        """Take one message of the coordinator."""
        if tag in (ASSIGN, DEAL):
            layers: Sequence[Layer] = message  # type: ignore[assignment]
            self._queue.add(layers, is_last=tag == DEAL and not layers)
        elif tag == PAUSES:
            self._prefetcher.budget.apply_pauses(message)  # type: ignore[arg-type]
        elif tag == STOP:
            self.stop()
        elif tag == END:
            self.finished = True

    def stop(self) -> None:
        """With the next step, publish what is whole and finish."""
        self._is_stopping = True

    def step(self) -> bool:
        """Do what there is to do now; return whether there was anything.

        A user-facing error finishes this rank's work, and goes to the coordinator.
        """
        if self._has_ended:
            return False
        try:
            return self._step()
        except RemetricsError as error:
            self._finish(error)
            return True

    def _step(self) -> bool:
        if self._is_stopping:
            self.runner.abandon()
            self._publish()
            self._finish(None)
            return True
        # Take what the child has finished, then keep it and the fetching thread busy.
        moved = self._collect()
        moved |= self._prefetcher.take(self._queue)
        moved |= self._begin()
        self._send_request()
        self._send_pauses()
        self.report.send_if_due()
        if self._publisher.is_due:
            self._publish()
        # Finish when the last layer is done and none will come.
        if self._queue.is_exhausted and not self._begun():
            self._publish()
            self._finish(None)
            moved = True
        return moved

    def _begun(self) -> list[Layer]:
        """Return the layers that have left the queue and are not done, the child's one first."""
        current = self.runner.current
        profiling = [current.layer] if current else []
        return [*profiling, *self._prefetcher.begun]

    def _begin(self) -> bool:
        """Hand the next prefetched layer to an idle child; return whether there is one."""
        if self.runner.current is not None:
            return False
        prefetched = self._prefetcher.poll()
        if prefetched is None:
            return False
        if prefetched.extent is None:
            assert prefetched.error is not None
            self._done(prefetched.layer, _not_readable(prefetched.error), None)
        else:
            self.runner.begin(prefetched)
        return True

    def _collect(self) -> bool:
        """Take what the child or the tool has finished; return whether there was anything."""
        moved = self.runner.advance()
        finished = self.runner.take()
        if finished is not None:
            self._take(finished)
        return moved

    def _take(self, finished: FinishedLayer) -> None:
        """Give back the room of a layer, and have it published or profiled once more."""
        prefetched = finished.prefetched
        self.report.add(WorkDone(busy_seconds=finished.seconds, fetch_seconds=prefetched.seconds))
        if finished.lacked_room:
            if finished.spill is not None:
                finished.spill.unlink(missing_ok=True)
            self._prefetcher.retry_with_more_room(prefetched)
            return
        self._prefetcher.release(prefetched)
        self._done(prefetched.layer, finished.profile, finished.spill)

    def _done(self, layer: Layer, profile: LayerProfile, spill: Path | None) -> None:
        """Have a layer published, and count and log it."""
        self._publisher.add(layer.digest, profile, spill)
        counts = {status: int(status == profile.status) for status in STATUSES}
        size = profile.CLS or max(layer.size, 0)
        self.report.add(WorkDone(**counts, files=profile.files, bytes=size))
        if profile.cause:
            message = "layer %s %s: %s: %s"
            log.warning(message, layer.digest, profile.status, profile.cause, profile.message)
        else:
            message = "layer %s: %d entries, %.2f s"
            log.info(message, layer.digest, profile.entries, profile.cpu_seconds)

    def _send_request(self) -> None:
        """Request more layers if there are few in hand."""
        seconds = self._queue.request(self._begun())
        if seconds is not None:
            self._comm.send(seconds, self._comm.root, REQUEST)

    def _send_pauses(self) -> None:
        """Tell the other ranks what pauses registries demanded of this one."""
        if pauses := self._prefetcher.budget.new_pauses():
            self._comm.send(pauses, self._comm.root, PAUSES)

    def _publish(self) -> None:
        self.report.add(WorkDone(publish_seconds=self._publisher.publish()))

    def _finish(self, error: RemetricsError | None) -> None:
        """Stop child and fetching, and send the last messages of this rank."""
        self.runner.abandon()
        self._prefetcher.close()
        self.report.send()
        self._comm.send(error, self._comm.root, FINISHED)
        self._has_ended = True


class ProgressReport:
    """What a rank did, and what of it the coordinator has not been told yet.

    :ivar total: what the coordinator has been told.
    """

    def __init__(self, comm: Comm) -> None:
        self.total = WorkDone()
        self._comm = comm
        self._unsent = WorkDone()
        self._sent_at = time.monotonic()
        self._seconds = report_seconds(comm.size)

    def add(self, work: WorkDone) -> None:
        """Add what was done."""
        self._unsent += work

    def send_if_due(self) -> None:
        """Send a report if layers were done and the last report is long enough ago."""
        if self._unsent.layers and time.monotonic() - self._sent_at > self._seconds:
            self.send()

    def send(self) -> None:
        """Send what the coordinator does not know, if there is anything."""
        if self._unsent == WorkDone():
            return
        self._comm.send(self._unsent, self._comm.root, PROGRESS)
        self.total += self._unsent
        self._unsent = WorkDone()
        self._sent_at = time.monotonic()


def _not_readable(error: BlobError) -> LayerProfile:
    """Return the row of a layer whose bytes can't be had."""
    stage = "open" if error.cause == "missing" else "fetch"
    return LayerProfile(stage=stage, cause=error.cause, message=str(error)[:500])
