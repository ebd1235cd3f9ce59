"""The session of a run on one rank: output lock, kept layout, scratch, and how a stop is obeyed.

A stop request (SIGTERM, SIGUSR1, Ctrl-C) is obeyed in one of two ways:

- While layers are profiled, and while registries are asked, the code that runs looks at the request
  often and ends in order (`stop_is_polled`, `poll_stop`).
- Anywhere else a rank can't end in order, since others wait for it in collective calls. There the
  signal handler clears up and ends the job at once (`leave_on_stop`). Nothing is lost: a restart
  continues from the parts.
"""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from ..config import AnalyzeOptions
from ..errors import OutputError
from ..files.lock import OutputLock
from ..files.publish import sweep
from ..files.writing import make_directories, remove_if_empty
from ..layout.image_layout import Layout
from ..layout.keep import Keeping
from ..limits import Limits
from ..mpi.collective import collectively, on_rank_0
from ..mpi.comm import Comm
from ..mpi.job import run_job
from ..mpi.launch import launched_rank
from ..mpi.signals import ALONE_SECONDS, LEAVE_SECONDS, StopRequest
from ..node.scratch import Scratch, node_bases
from ..parts.parts_directory import parts_directory, sweep_temporaries
from ..profile.parent import Child
from ..records import Catalog
from ..wording import counted


class Session:
    """What one run holds on this rank.

    :ivar parts: the directory of parts beside the output.
    :ivar started: Unix time at which the run began here.
    :ivar other_locks: locks besides that on the output, whose heartbeat goes on as well.
    """

    def __init__(self, comm: Comm, options: AnalyzeOptions, stop: StopRequest) -> None:
        self.comm = comm
        self.options = options
        self.stop = stop
        self.parts = parts_directory(options.output)
        self.started = time.time()
        self._held = contextlib.ExitStack()
        self.other_locks: list[OutputLock] = []
        self._lock: OutputLock | None = None
        self._keeping: Keeping | None = None
        self._scratch: Scratch | None = None

    @property
    def is_rank_0(self) -> bool:
        """Whether this is the rank that holds locks and speaks for all."""
        return self.comm.rank == self.comm.root

    @contextlib.contextmanager
    def output_lock(self, check: Callable[[], None]) -> Iterator[None]:
        """Hold the lock on the output and have the directory of parts; all ranks call it.

        Lock file and directory are removed again if the run comes to nothing.

        :param check: refuses an output that may not be replaced; called under the lock.
        :raises OutputLockedError: another job holds it; on every rank.
        :raises OutputError: the files can't be made; on every rank.
        """
        with contextlib.ExitStack() as self._held:
            on_rank_0(self.comm, lambda: self._take_lock(check))
            yield

    def _take_lock(self, check: Callable[[], None]) -> None:
        options = self.options
        share = options.share[0] if options.share else 0
        self._lock = self._held.enter_context(OutputLock(options.output, share))
        # Check again: another job may have ended since the first check.
        check()
        self._held.callback(remove_if_empty, self.parts)
        try:
            make_directories(self.parts)
            # Remove what killed runs left. Other jobs of an array may be copying such files now.
            if not options.share:
                sweep_temporaries(self.parts)
                sweep(options.output)
        except OSError as error:
            message = f"can't make {self.parts}: {error.strerror}"
            raise OutputError(message, "choose another output with -o") from None

    def open_kept_layout(self, directory: Path) -> Layout:
        """Lock the layout of `--keep` until the output lock is given back; called on rank 0.

        :raises OutputLockedError: another job holds it.
        :raises OutputError: it can't be written, or is no layout.
        """
        self._keeping = self._held.enter_context(Keeping(directory))
        return self._keeping.layout

    def write_kept_index(self, catalog: Catalog | None, code: int) -> None:
        """List in the kept layout's index.json the images that are complete there; on rank 0.

        :param code: the exit code of the run.
        """
        if self._keeping is None or catalog is None:
            return
        incomplete = self._keeping.write_index(catalog)
        if incomplete:
            directory = self.options.keep
            hint = "" if code == 4 else f"; `download … -o {directory}` completes them"
            images = counted(incomplete, "image")
            self.say(f"incomplete in {directory}, and not listed in its index.json: {images}{hint}")

    @contextlib.contextmanager
    def new_scratch(self) -> Iterator[Scratch]:
        """Give this rank scratch directories, removed at the end of the block; all ranks call it.

        :raises OutputError: a rank can't have them; on every rank.
        """
        comm, options = self.comm, self.options
        job = comm.bcast(uuid.uuid4().hex[:12])
        bases = node_bases(comm, options.scratch)

        def make() -> Scratch:
            # Kept here at once, so that a signal meanwhile removes it.
            self._scratch = Scratch(
                job, comm.rank, options.scratch, options.scratch_rooms, options.node_layers, bases
            )
            return self._scratch

        try:
            yield collectively(comm, make)
        finally:
            self._close_scratch()

    def _close_scratch(self) -> None:
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()

    def leave_on_stop(self) -> None:
        """From now on end the job at once when a stop is requested, and now if one was."""
        self.stop.at_once = self._leave
        if self.stop:
            self._leave()

    def poll_stop(self) -> None:
        """From now on only note that a stop is requested: the code that runs looks at the note."""
        self.stop.at_once = None

    @contextlib.contextmanager
    def stop_is_polled(self) -> Iterator[None]:
        """Within the block only note that a stop is requested; after it end the job at once."""
        self.poll_stop()
        try:
            yield
        finally:
            self.stop.at_once = self._leave

    def _leave(self) -> NoReturn:
        """End the job from a signal handler; the other ranks may be waiting for this one."""
        self._close_scratch()
        # Rank 0 speaks and ends the job first, unless it was not asked to stop, or is very busy.
        if self.comm.size > 1:
            time.sleep(LEAVE_SECONDS if self.is_rank_0 else ALONE_SECONDS)
        self.say_from_any_rank(
            f"stopped on {self.stop.reason} while no layers were being profiled; "
            "run the command again to continue"
        )
        self.comm.abort(4)

    def heartbeat(self) -> None:
        """Show other jobs that this one still holds its locks; called often on rank 0."""
        if self._lock is not None:
            self._lock.heartbeat()
        for lock in self.other_locks:
            lock.heartbeat()
        if self._keeping is not None:
            self._keeping.heartbeat()

    def say(self, message: str) -> None:
        """Print a line for the user, from rank 0 alone."""
        if self.is_rank_0:
            self.say_from_any_rank(message)

    def say_from_any_rank(self, message: str) -> None:
        """Print a line for the user, unless `--quiet` was given."""
        if not self.options.quiet:
            print(message, file=sys.stderr, flush=True)


def run_with_child(limits: Limits, run: Callable[[Comm, StopRequest, Child | None], int]) -> int:
    """Do a run that profiles layers on every rank; return its exit code.

    :param run: takes the communicator, the stop request, and the rank's child process; None on
        rank 0 of several ranks, which profiles nothing.
    """
    stop = StopRequest()
    stop.install()
    # Start the child before MPI: some MPI libraries don't bear a new process later.
    child = None if launched_rank() == 0 else Child(limits)

    def work(comm: Comm) -> int:
        nonlocal child
        if child is None and comm.size == 1:
            child = Child(limits)
        return run(comm, stop, child)

    try:
        return run_job(work, stop)
    finally:
        if child is not None:
            child.close()
