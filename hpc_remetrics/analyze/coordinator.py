"""The coordinator: rank 0 deals out layers, adds up what ranks report, and orders the stop.

It profiles nothing, and holds nothing that a restart could not rebuild. The messages by tag,
where r is a profiling rank:

    ASSIGN    0 -> r  the layers that the plan assigns to this rank, perhaps none
    REQUEST   r -> 0  this rank will soon be idle: estimated seconds of work that it still has
    DEAL      0 -> r  layers of the tail; an empty list: the tail is used up
    PROGRESS  r -> 0  what this rank did since its last report
    PAUSES    r -> 0  pauses that registries demanded of this rank; 0 -> r: those of another rank
    STOP      0 -> r  publish the layers that are whole, and finish
    FINISHED  r -> 0  everything is published (None), or the error that kept it from that
    END       0 -> r  the last message: MPI does not finish while one has not been received

One profiling rank over time; several do the same side by side, each at its own pace:

    rank 0                                      rank r
      │ ── ASSIGN  [A, B] ─────────────────────▶ │  prefetch A, B; the child profiles A
      │ ◀───────────────────── REQUEST  3.1 s ── │  fewer than two layers wait
      │ ── DEAL  [C, D] ───────────────────────▶ │  A is whole: it waits for a part
      │ ◀─────────── PROGRESS  1 layer, 80 MB ── │
      │ ◀──────── PAUSES  registry, for 30 s ─── │  sent on to all other ranks
      │ ◀───────────────────── REQUEST  0.4 s ── │
      │ ── DEAL  [] ───────────────────────────▶ │  nothing is left: finish B, C, D
      │ ◀────────── PROGRESS  3 layers, 90 MB ── │  the last part is published
      │ ◀───────────────────── FINISHED  None ── │
      │ ── END ────────────────────────────────▶ │
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ..errors import RemetricsError
from ..mpi.comm import Comm
from ..records import Layer
from .plan import Plan, cost, next_chunk

_REPORTS_PER_SECOND = 500
"""Progress reports that rank 0 takes in a second from all ranks together."""

ASSIGN, REQUEST, DEAL, PROGRESS, STOP, FINISHED, PAUSES, END = range(10, 18)

TO_COORDINATOR = frozenset({REQUEST, PROGRESS, FINISHED, PAUSES})
"""Tags of the messages that profiling ranks send."""


@dataclass(frozen=True)
class WorkDone:
    """What one or more ranks did; two of these add up.

    :ivar ok: layers that are whole; `partial` and `failed`: layers that are not.
    :ivar files: regular files in these layers.
    :ivar bytes: compressed bytes of these layers.
    :ivar fetch_seconds: in which layers were fetched to scratch.
    :ivar busy_seconds: in which the child, or the tool of `--exec`, had a layer.
    :ivar publish_seconds: in which parts were written. The three may overlap.
    """

    ok: int = 0
    partial: int = 0
    failed: int = 0
    files: int = 0
    bytes: int = 0
    fetch_seconds: float = 0.0
    busy_seconds: float = 0.0
    publish_seconds: float = 0.0

    def __add__(self, other: WorkDone) -> WorkDone:
        return WorkDone(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def layers(self) -> int:
        """How many layers were done, however they ended."""
        return self.ok + self.partial + self.failed


class Coordinator:
    """Deals the layers of a plan to the profiling ranks until all of them have finished.

    :param plan: `plan.assigned[i]` is sent to the rank `workers[i]` at once.
    :param workers: the profiling ranks.
    :ivar total: what all ranks did so far; `by_rank`: what each of them did.
    :ivar errors: the errors with which ranks finished, by rank.
    """

    def __init__(self, comm: Comm, plan: Plan, workers: Sequence[int]) -> None:
        self._comm = comm
        self._workers = workers
        self._tail = deque(plan.tail)
        self._seconds_left = sum(map(cost, plan.tail))
        self._active = set(workers)
        self._stopped = False
        self.total = WorkDone()
        self.by_rank = {worker: WorkDone() for worker in workers}
        self.errors: dict[int, RemetricsError] = {}
        for worker, layers in zip(workers, plan.assigned, strict=True):
            comm.send(layers, worker, ASSIGN)

    @property
    def finished(self) -> bool:
        """Whether every rank has finished."""
        return not self._active

    def stop(self) -> None:
        """Order every active rank, once, to publish what is whole and to finish."""
        if self._stopped:
            return
        self._stopped = True
        self._tail.clear()
        for worker in self._active:
            self._comm.send(None, worker, STOP)

    def handle(self, source: int, tag: int, message: object) -> None:
        """Take one message of the profiling rank `source`."""
        if tag == REQUEST:
            assert isinstance(message, float)
            self._comm.send(self._deal(message), source, DEAL)
        elif tag == PROGRESS:
            assert isinstance(message, WorkDone)
            self.total += message
            self.by_rank[source] += message
        elif tag == PAUSES:
            for worker in self._active - {source}:
                self._comm.send(message, worker, PAUSES)
        elif tag == FINISHED:
            self._active.discard(source)
            self._comm.send(None, source, END)
            # An error of one rank ends the run: let the others publish what they have.
            if isinstance(message, RemetricsError):
                self.errors[source] = message
                self.stop()

    def _deal(self, in_hand: float) -> list[Layer]:
        """Return the next layers of the tail for a rank; at least one while any is left.

        :param in_hand: seconds of work that the rank still has, which its chunk is shortened by.
        """
        wanted = next_chunk(self._seconds_left, len(self._workers)) - in_hand
        # The tail is sorted by size, so chunks of one cost have more and more layers.
        dealt: list[Layer] = []
        while self._tail and (wanted > 0 or not dealt):
            layer = self._tail.popleft()
            dealt.append(layer)
            seconds = cost(layer)
            wanted -= seconds
            self._seconds_left -= seconds
        return dealt


def report_seconds(ranks: int) -> float:
    """Return the seconds between two progress reports of one of `ranks` ranks.

    >>> report_seconds(4), report_seconds(4000)
    (0.5, 8.0)
    """
    return max(0.5, ranks / _REPORTS_PER_SECOND)
