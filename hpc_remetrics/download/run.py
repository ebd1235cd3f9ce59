"""The run of `download`: images asked for, minus those finished, their cost, then the download.

Rank 0 plans and records; threads of all ranks send requests and write blobs. A blob gets its name
when it is complete, so a kill at any moment costs only bytes between a socket and a file.
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
from ..registry.registries import Registries
from ..sources import platforms
from ..wording import counted, verb
from . import cost
from .options import DownloadOptions, Wish, read_wishes
from .plan import Mirror
from .state import State
from .tasks import Tasks


def download(comm: Comm, options: DownloadOptions) -> int:
    """Copy images into an OCI layout; collective. The same command continues it.

    :returns: the exit code: 0, 3 (some images are incomplete) or 4 (stopped).
    :raises UsageError: an image name is not valid, or no image is for the platforms asked for.
    :raises OutputError: the layout can't be written.
    """
    # Set up on every rank what the tasks need.
    registries = Registries(replace(options.access, ranks=comm.size))
    stop = StopRequest()
    stop.install()
    layout = Layout(options.output)
    pool = TaskPool(
        comm,
        Tasks(registries, layout, options.platforms, options.limits),
        options.threads,
        budget=registries.budget,
        stopped=registries.stopped,
    )

    # On rank 0, read the list and check the output before the lock is taken.
    def part() -> int:
        wishes = read_wishes(options.wishes)
        layout.check()
        for name in (options.layers, options.repositories):
            if name is not None:
                check_not_input(name, map(Path, options.wishes))

        # Hold the layout while images come in.
        with OutputLock(options.output) as lock:
            layout.prepare()
            pushed = {one.image: one.pushed for one in wishes if one.pushed is not None}
            state = State(layout, options.platforms, options.layers, options.repositories, pushed)
            try:
                return _Download(pool, options, state, lock, stop, comm.size).run(wishes)
            finally:
                state.close()

    return schedule_on_rank_0(comm, pool, part)


class _Download:
    """One run of `download` on rank 0."""

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
        """Download the images that are not finished; return the exit code."""
        # Count what an earlier run finished.
        open_ = [wish for wish in wishes if self._is_open(wish)]
        self._state.write_index(at_once=True)
        self._say(
            f"{counted(len(wishes), 'image')}, {len(wishes) - len(open_):,} of them finished before"
        )
        if not open_:
            return 0

        # Say what the download costs of the registry's pull limits.
        limits = cost.PullLimits(self._options.access)
        for line in limits.lines(open_):
            self._say(line)
        if self._options.estimate:
            return 0

        # Run the tasks, and keep the index up to date whatever ends them.
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
        """Tell whether an image is to be downloaded."""
        if self._state.is_listed(wish.image):
            return False
        if self._state.is_empty(wish.image):
            # A HEAD request shows whether that has changed.
            return True
        return self._options.update or wish.image not in self._state

    def _ended(self, finished: bool) -> int:
        """Print what happened; return the exit code.

        :param finished: whether all tasks were done, and the run was not stopped.
        """
        mirror = self._mirror
        options = self._options

        # Say what was left out on purpose.
        if elsewhere := mirror.counts.elsewhere:
            blobs, were = counted(elsewhere, "blob"), verb(elsewhere, "was", "were")
            self._say(f"{blobs} {were} skipped, since {options.layers} lists them")
        if mirror.counts.absent:
            absent = counted(mirror.counts.absent, "manifest")
            self._say(f"{absent} named by indexes and missing at their registries")
        if empty := mirror.counts.empty:
            wanted = ", ".join(options.platforms)
            self._say(
                f"{counted(empty, 'image')} {verb(empty, 'has', 'have')} nothing for {wanted}"
            )

        # Say what failed.
        path = self._state.write_failures(mirror.failures)
        if mirror.failures:
            self._say(f"{counted(len(mirror.failures), 'image')} incomplete: reasons in {path}")

        # Say what ended the run early.
        if not finished or mirror.obstacle:
            why = mirror.obstacle if finished else f"on {self._stop.reason}"
            done = f"{mirror.counts.images:,} of {counted(self._wanted, 'image')} finished"
            self._say(f"stopped: {why}; {done}; run the command again to continue")
            return 4

        # Nothing at all for these platforms is an error of the command line.
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
