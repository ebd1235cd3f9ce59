"""Rank 0's part of a run: scatter the shares, deal out the tail, count what comes back, order the stop.

It profiles nothing and holds nothing that a restart could not rebuild. The messages, by tag:

    SHARE  0 -> r  layers of the plan, and whether more can be asked for
    ASK    r -> 0  this rank will soon be idle
    DEAL   0 -> r  layers of the tail; none: nothing is left
    TALLY  r -> 0  what was done since the last tally
    STOP   0 -> r  end now: publish what is whole
    PAUSE  r -> 0  pauses that registries told this rank to make; 0 -> r  those that another rank was told
    BYE    r -> 0  everything is published; or the error that kept it from that
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ..errors import RemetricsError
from ..plan import Plan, next_chunk
from ..records import Layer
from .comm import Comm

SHARE, ASK, DEAL, TALLY, STOP, BYE, PAUSE = range(10, 17)


@dataclass(frozen=True)
class Tally:
    """What ranks did: layers by status, files, bytes (compressed). Tallies add up."""

    ok: int = 0
    partial: int = 0
    failed: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def layers(self) -> int:
        return self.ok + self.partial + self.failed


class Coordinator:
    """Deals the layers of a plan to the profiling ranks `workers` until all have said goodbye.

    :ivar tally: what was done so far.
    :ivar errors: what ranks gave as the reason why they can't go on, by rank.
    """

    def __init__(self, comm: Comm, plan: Plan, workers: Sequence[int]) -> None:
        self._comm, self._workers = comm, workers
        self._tail = deque(plan.tail)
        self._active = set(workers)
        self._stopped = False
        self.tally = Tally()
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
            self._comm.send(self._deal(), source, DEAL)
        elif tag == TALLY:
            assert isinstance(message, Tally)
            self.tally += message
        elif tag == PAUSE:
            for worker in self._active - {source}:
                self._comm.send(message, worker, PAUSE)
        elif tag == BYE:
            self._active.discard(source)
            if isinstance(message, RemetricsError):
                self.errors[source] = message
                self.stop()

    def _deal(self) -> list[Layer]:
        if not self._tail:
            return []
        return [self._tail.popleft() for _ in range(next_chunk(len(self._tail), len(self._workers)))]
