"""The download on one page: what is wanted, what is finished, what it costs, the rest.

Rank 0 plans and keeps count; the threads of all ranks ask registries and write blobs, each of which
has its name only when it is whole. So a kill at any moment costs what was between a socket and a
file, no more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..files.lock import OutputLock
from ..files.outputs import check_not_input
from ..layout.image_layout import Layout
from ..mpi.comm import Comm
from ..mpi.signals import StopRequest
from ..mpi.task_pool import TaskPool, schedule_on_rank_0
from ..progress import StatusLine, clock_time
from ..registry.endpoint import Registries
from ..sources import platforms
from ..wording import counted, verb
from . import cost
from .options import DownloadOptions, Wish, read_wishes
from .plan import Mirror
from .state import State
from .tasks import Tasks


def download(comm: Comm, options: DownloadOptions) -> int:
    """Copy images into an OCI layout; return the exit code. Run again, it goes on."""
    registries, stop = Registries(replace(options.access, ranks=comm.size)), StopRequest()
    stop.install()
    layout = Layout(options.output)
    pool = TaskPool(
        comm,
        Tasks(registries, layout, options.platforms, options.limits),
        options.threads,
        budget=registries.budget,
        stopped=registries.stopped,
    )

    def part() -> int:
        wishes = read_wishes(options.wishes)
        layout.check()
        for name in (options.layers, options.repositories):
            if name is not None:
                check_not_input(name, map(Path, options.wishes))
        with OutputLock(options.output) as lock:
            layout.prepare()
            state = State(layout, options.platforms, options.layers, options.repositories)
            try:
                return _Download(pool, options, state, lock, stop, comm.size).run(wishes)
            finally:
                state.close()

    return schedule_on_rank_0(comm, pool, part)


class _Download:
    """The root's part of one start."""

    def __init__(
        self,
        pool: TaskPool,
        options: DownloadOptions,
        state: State,
        lock: OutputLock,
        stop: StopRequest,
        ranks: int,
    ) -> None:
        self._pool, self._options = pool, options
        self._state, self._lock, self._stop, self._ranks = state, lock, stop, ranks

    def run(self, wishes: Sequence[Wish]) -> int:
        """Bring what is wanted and not finished."""
        open_ = [wish for wish in wishes if self._is_open(wish)]
        self._state.write_index(at_once=True)
        self._say(
            f"{counted(len(wishes), 'image')}, {len(wishes) - len(open_):,} of them finished before"
        )
        if not open_:
            return 0
        limits = cost.PullLimits(self._options.access)
        for line in limits.lines(open_):
            self._say(line)
        if self._options.estimate:
            return 0
        self._wanted, self._begun = len(open_), time.monotonic()
        self._had_some = len(open_) < len(wishes)
        workers = self._ranks * self._options.threads
        self._mirror = Mirror(
            (wish.image for wish in open_), self._state, limits.counts_pulls, workers
        )
        self._status = StatusLine(self._line, quiet=self._options.quiet)
        try:
            finished = self._pool.run_tasks(self._mirror, self._stop, self._beat)
        finally:
            self._state.write_index(at_once=True)
        self._status.finish()
        return self._ended(finished)

    def _is_open(self, wish: Wish) -> bool:
        if self._state.is_listed(wish.image):
            return False
        if self._state.is_empty(wish.image):
            return True  # it costs a HEAD to see whether that is still so
        return self._options.update or wish.image not in self._state

    def _ended(self, finished: bool) -> int:
        mirror, options = self._mirror, self._options
        if elsewhere := mirror.counts.elsewhere:
            blobs, were = counted(elsewhere, "blob"), verb(elsewhere, "was", "were")
            self._say(f"{blobs} {were} left out, since {options.layers} has them")
        if mirror.counts.absent:
            self._say(
                f"{counted(mirror.counts.absent, 'manifest')} that indexes name and their registries don't have"
            )
        if empty := mirror.counts.empty:
            wanted = ", ".join(options.platforms)
            self._say(
                f"{counted(empty, 'image')} {verb(empty, 'has', 'have')} nothing for {wanted}"
            )
        path = self._state.write_failures(mirror.failures)
        if mirror.failures:
            self._say(
                f"{counted(len(mirror.failures), 'image')} can't be had whole: {path} says why"
            )
        if not finished or mirror.obstacle:
            why = mirror.obstacle if finished else f"on {self._stop.reason}"
            done = f"{mirror.counts.images:,} of {counted(self._wanted, 'image')} finished"
            self._say(f"stopped: {why}; {done}; start again to go on")
            return 4
        if mirror.counts.others and not self._had_some and mirror.counts.empty == self._wanted:
            raise platforms.none_left(options.platforms, mirror.counts.others)
        return 3 if mirror.failures else 0

    def _beat(self) -> None:
        self._lock.heartbeat()
        self._status.update()
        self._state.write_index()

    def _line(self) -> str:
        counts, failures = self._mirror.counts, len(self._mirror.failures)
        seconds = max(time.monotonic() - self._begun, 1e-9)
        parts = [
            f"{counts.images:,}/{counted(self._wanted, 'image')}",
            counted(counts.blobs, "blob"),
            f"{counts.bytes / 1e9:.2f} GB",
            f"{counts.bytes / seconds / 1e6:.1f} MB/s",
            f"{counted(self._mirror.backlog, 'blob')} to come",
        ]
        done = counts.images + failures
        if 0 < done < self._wanted:
            parts.append(f"{clock_time((self._wanted - done) * seconds / done)} left")
        if failures:
            parts.append(f"{failures:,} failed")
        return ", ".join(parts)

    def _say(self, text: str) -> None:
        if not self._options.quiet:
            print(text, file=sys.stderr, flush=True)
