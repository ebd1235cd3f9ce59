"""Rank 0's part of a run: scatter the shares, deal out the tail, count what comes back, order the
stop.

It profiles nothing and holds nothing that a restart could not rebuild. The messages, by tag:

    SHARE  0 -> r  layers of the plan, and whether more can be asked for
    ASK    r -> 0  this rank will soon be idle: the estimated seconds that it has in hand
    DEAL   0 -> r  layers of the tail; none: nothing is left
    TALLY  r -> 0  what was done since the last tally
    STOP   0 -> r  end now: publish what is whole
    PAUSE  r -> 0  pauses that registries told this rank to make; 0 -> r  those that another rank was told
    BYE    r -> 0  everything is published; or the error that kept it from that
    END    0 -> r  the last message: MPI does not finish while one has not been received
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ..errors import RemetricsError
from ..mpi.comm import Comm
from ..records import Layer
from .plan import Plan, cost, next_chunk

_TALLIES_A_SECOND = 500

SHARE, ASK, DEAL, TALLY, STOP, BYE, PAUSE, END = range(10, 18)


@dataclass(frozen=True)
class Tally:
    """What ranks did: layers by status, files, bytes (compressed), seconds by stage. Tallies add
    up.

    `fetch_seconds` bring layers to scratch, in `busy_seconds` the child has a layer,
    `publish_seconds` make parts; they may overlap.
    """

    ok: int = 0
    partial: int = 0
    failed: int = 0
    files: int = 0
    bytes: int = 0
    fetch_seconds: float = 0.0
    busy_seconds: float = 0.0
    publish_seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def layers(self) -> int:
        return self.ok + self.partial + self.failed


class Coordinator:
    """Deals the layers of a plan to the profiling ranks `workers` until all have said goodbye.

    :ivar tally: what was done so far, and `by_rank` what each rank did.
    :ivar errors: what ranks gave as the reason why they can't go on, by rank.
    """

    def __init__(self, comm: Comm, plan: Plan, workers: Sequence[int]) -> None:
        self._comm, self._workers = comm, workers
        self._tail, self._left = deque(plan.tail), sum(map(cost, plan.tail))
        self._active = set(workers)
        self._stopped = False
        self.tally = Tally()
        self.by_rank = {worker: Tally() for worker in workers}
        self.errors: dict[int, RemetricsError] = {}
        for worker, share in zip(workers, plan.shares, strict=True):
            comm.send(share, worker, SHARE)

    @property
    def finished(self) -> bool:
        return not self._active

    def stop(self) -> None:
        """Tell every rank to publish what is whole and end."""
        if self._stopped:
            return
        self._stopped = True
        self._tail.clear()
        for worker in self._active:
            self._comm.send(None, worker, STOP)

    def handle(self, source: int, tag: int, message: object) -> None:
        """Take one message of a profiling rank."""
        if tag == ASK:
            assert isinstance(message, float)
            self._comm.send(self._deal(message), source, DEAL)
        elif tag == TALLY:
            assert isinstance(message, Tally)
            self.tally += message
            self.by_rank[source] += message
        elif tag == PAUSE:
            for worker in self._active - {source}:
                self._comm.send(message, worker, PAUSE)
        elif tag == BYE:
            self._active.discard(source)
            self._comm.send(None, source, END)
            if isinstance(message, RemetricsError):
                self.errors[source] = message
                self.stop()

    def _deal(self, in_hand: float) -> list[Layer]:
        """Return the next chunk of the tail, less what the rank has in hand; one layer at least if
        there is any."""
        wanted = next_chunk(self._left, len(self._workers)) - in_hand
        dealt: list[Layer] = []
        while self._tail and (wanted > 0 or not dealt):
            dealt.append(self._tail.popleft())
            seconds = cost(dealt[-1])
            wanted -= seconds
            self._left -= seconds
        return dealt


def tally_seconds(ranks: int) -> float:
    """Return how often each of `ranks` ranks sends a tally, so that rank 0 gets no more than it
    bears."""
    return max(0.5, ranks / _TALLIES_A_SECOND)
