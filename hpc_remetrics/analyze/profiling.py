"""The second step of a run: profile layers on all ranks, and publish them in parts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..config import AnalyzeOptions
from ..files.disk_errors import output_error
from ..filetype.shared_table import TypeTable, slots_for
from ..mpi.collective import collectively, once_a_node
from ..node.scratch import Scratch
from ..node.tiers import table_room
from ..parts.job_notes import Notebook
from ..profile.exec_tool import Tool
from ..profile.parent import Child
from ..records import Digest, Layer
from .layer_runner import LayerRunner
from .message_loop import JobMonitor, run_message_loop
from .part_publisher import PartPublisher, PartTarget
from .plan import files_of, make_plan
from .prefetch import Prefetcher
from .provenance import new_note
from .room_policy import RoomPolicy
from .run_inputs import Work
from .session import Session
from .signature import probe_settings
from .worker import Worker

log = logging.getLogger(__name__)

_MIN_PUBLISH_SECONDS, _MAX_PUBLISH_SECONDS = 30.0, 1200.0
"""How long a whole layer waits for its part, by default: longer, the more ranks write parts."""


@dataclass(frozen=True)
class Profiled:
    """What profiling was on this rank.

    :ivar worker: with the counts of what it did; None if this rank profiled nothing.
    :ivar seconds: how long the profiling of all ranks lasted.
    """

    worker: Worker | None = None
    seconds: float = 0.0


def profile(
    session: Session,
    work: Work,
    todo: list[Layer],
    child: Child | None,
    reused: tuple[int, int] = (0, 0),
) -> Profiled:
    """Profile layers on all ranks and publish them; return when every rank is done.

    :param todo: the layers; the same on every rank.
    :param child: None on a rank that profiles nothing.
    :param reused: on rank 0, layers that are taken from earlier datasets, and their bytes.
    :raises RemetricsError: the error of the lowest rank that could not go on; on every rank.
    """
    comm = session.comm
    with session.new_scratch() as scratch:
        hosts = comm.allgather(comm.host)
        types = once_a_node(comm, lambda: _new_table(session, work, todo, scratch, hosts))
        # Set up this rank's side; an error on one rank is raised on all.
        worker = collectively(
            comm, lambda: _new_worker(session, work, scratch, types, child) if child else None
        )
        monitor = (
            _new_monitor(session, work, todo, reused, scratch.job, hosts)
            if session.is_rank_0
            else None
        )
        with session.stop_is_polled():
            begun = time.monotonic()
            errors = run_message_loop(comm, session.stop, session.heartbeat, monitor, worker)
            seconds = time.monotonic() - begun
            errors = comm.bcast(errors)
    if errors:
        error = errors[min(errors)]
        error.shared = True
        raise error
    return Profiled(worker, seconds)


def _new_monitor(
    session: Session,
    work: Work,
    todo: list[Layer],
    reused: tuple[int, int],
    job: str,
    hosts: list[str],
) -> JobMonitor:
    """Plan which rank profiles which layers, and begin the job's note; called on rank 0.

    :param reused: layers that are taken from earlier datasets, and their bytes.
    :param hosts: of all ranks, by rank.
    """
    comm, options = session.comm, session.options
    # Rank 0 profiles only if it is alone.
    workers = range(1, comm.size) if comm.size > 1 else range(1)
    plan = make_plan(todo, len(workers))
    note = new_note(
        job,
        share=options.share,
        started=session.started,
        whole=work.whole,
        todo=todo,
        reused=reused,
        ranks=[(rank, hosts[rank]) for rank in workers],
    )
    return JobMonitor(comm, plan, workers, Notebook(session.parts, note), quiet=options.quiet)


def _new_table(
    session: Session, work: Work, todo: list[Layer], scratch: Scratch, hosts: list[str]
) -> Path:
    """Make the table of types that the ranks of this node share, and return its directory.

    :param hosts: of all ranks, by rank.
    :raises OutputError: scratch is full already.
    """
    options = session.options
    directory = scratch.shared(work.signature["types"])
    # Layers go to ranks, so a node profiles as many files as it has ranks that profile.
    profiling = hosts[1:] or hosts
    here = profiling.count(session.comm.host) / len(profiling)
    files = 0 if options.types == "none" else files_of(todo) * here
    size = table_room(directory, options.type_memory)
    table = TypeTable(directory, slots_for(files, size))
    log.info("the table of types has %d MB", table.size >> 20)
    try:
        if options.warm_types is not None:
            _fill(table, options.warm_types)
    finally:
        table.close()
    return directory


def _new_worker(
    session: Session, work: Work, scratch: Scratch, types: Path, child: Child
) -> Worker:
    """Return this rank's worker, with its child set up.

    :param types: directory of the node's table of types.
    :raises OutputError: scratch is full already.
    """
    comm, options = session.comm, session.options

    # Set up the child, which learns here where the node's table of types is.
    room = RoomPolicy(scratch, unpacks=options.extract or bool(options.exec))
    prefetcher = Prefetcher(work.sources, work.registries, room)
    try:
        child.set_up(
            options.types,
            types,
            scratch.path / "watch",
            probe_settings(options),
        )
    except OSError as error:
        raise output_error(error, scratch.path, "scratch") from error

    # Put the worker together.
    table = TypeTable(types)
    runner = LayerRunner(child, scratch.path, _tool_starter(options))
    target = PartTarget(session.parts, scratch.job, work.signature, scratch.path)
    seconds = options.publish_seconds or _publish_seconds(comm.size)
    return Worker(comm, prefetcher, runner, PartPublisher(comm, target, table, seconds))


def _publish_seconds(ranks: int) -> float:
    """Return how long a whole layer waits for its part, by the number of ranks.

    >>> [_publish_seconds(ranks) for ranks in (4, 1000, 10_000)]
    [30.0, 250.0, 1200.0]
    """
    return min(max(_MIN_PUBLISH_SECONDS, 0.25 * ranks), _MAX_PUBLISH_SECONDS)


def _tool_starter(options: AnalyzeOptions) -> Callable[[Path, Digest], Tool] | None:
    """Return what starts the tool of `--exec` on a directory and a digest, None without one."""
    command, seconds = options.exec, options.limits.exec_seconds
    if not command:
        return None
    return lambda tree, digest: Tool(command, tree, digest, seconds)


def _fill(table: TypeTable, path: Path) -> None:
    """Fill the table of this node with the types that a dataset has of its contents."""
    from ..dataset.reader import Dataset, reading
    from ..filetype.typer import warm

    with Dataset(path) as dataset, reading(dataset):
        for digests, descriptions in dataset.typed_contents():
            warm(table, digests, descriptions)
