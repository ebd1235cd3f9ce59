"""From sources to a catalog: rank 0 walks what lies on file systems, all ranks what registries
hold.

What a registry gave is kept in a journal beside the parts. So a start that follows asks only for
what is missing, and what a tag named when it was first asked stays that for the whole of a run,
however often it is resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from ..errors import RemetricsError
from ..files.journal import Journal
from ..limits import Limits
from ..mpi.collective import on_rank_0
from ..mpi.comm import Comm
from ..mpi.signals import StopRequest
from ..mpi.task_pool import TaskPool, schedule_on_rank_0
from ..progress import StatusLine
from ..records import Catalog
from ..registry.pool import Registries
from ..wording import counted
from . import catalogs, platforms
from .base import Root, Source
from .manifests import merge, resolve, resolve_root
from .platforms import none_left

_THREADS = 4
"""Manifests that a rank asks for at once: most of the time passes on the way."""

_Place: TypeAlias = tuple[int, int]
"""The number of a source, and of a root in it."""


class Stopped(RemetricsError):
    """A signal ended the run while manifests were resolved; what was got is kept."""

    exit_code = 4


class Resolver:
    """How sources are resolved.

    :param platforms: as `resolve` takes them.
    :param folder: where the journal is; None: nothing is kept.
    :param keep: where the sources keep what they give, None if they don't; what was resolved
        without is asked anew.
    :param beat: called on the root, often.
    """

    def __init__(
        self,
        platforms: Sequence[str],
        limits: Limits,
        folder: Path | None = None,
        stop: StopRequest | None = None,
        beat: Callable[[], None] = lambda: None,
        quiet: bool = False,
        keep: Path | None = None,
    ) -> None:
        self._keep = keep
        self._platforms, self._limits, self._folder = platforms, limits, folder
        self._stop, self._beat, self._quiet = stop or StopRequest(), beat, quiet

    def resolve(
        self, comm: Comm, sources: Sequence[Source], registries: Registries
    ) -> Catalog | None:
        """Return the catalog on the root, None elsewhere; every rank calls it, with the same
        sources.

        Rows stand in the order of the sources and of their roots, however many ranks took part.

        :raises RemetricsError: on every rank alike; `Stopped` after a signal, exit code 4 too where
            a registry's limit is used up.
        :raises UsageError: on every rank, if no image is for one of the platforms.
        """
        found: dict[_Place, Catalog] = {}
        if any(source.is_remote for source in sources):

            def work(task: tuple[_Place, Root]) -> Catalog:
                (number, _), root = task
                return resolve_root(sources[number], root, self._platforms, self._limits)

            pool = TaskPool(
                comm, work, _THREADS, budget=registries.budget, stopped=registries.stopped
            )
            schedule_on_rank_0(comm, pool, lambda: self._lead(pool, sources, found))
        else:
            on_rank_0(comm, lambda: self._walk(sources, found))
        catalog = merge(found[place] for place in sorted(found)) if comm.rank == comm.root else None
        on_rank_0(comm, lambda: self._check_platforms(catalog))
        return catalog

    def _check_platforms(self, catalog: Catalog | None) -> None:
        """Raise an error if all images were left out because of the platforms asked for."""
        if catalog and catalog.others and not catalog.images:
            raise none_left(platforms.check(self._platforms), catalog.others)

    def _walk(self, sources: Sequence[Source], found: dict[_Place, Catalog]) -> None:
        """Resolve what lies on file systems."""
        for number, source in enumerate(sources):
            if not source.is_remote:
                self._beat()
                found[number, 0] = resolve(source, self._platforms, self._limits)

    def _lead(
        self, pool: TaskPool, sources: Sequence[Source], found: dict[_Place, Catalog]
    ) -> None:
        """Resolve everything, the root's part of it."""
        self._walk(sources, found)
        journal = self._open_journal()
        try:
            plan = _Plan(sources, found, journal, self._quiet)

            def beat() -> None:
                self._beat()
                plan.status.update()

            whole = pool.run_tasks(plan, self._stop, beat)
        finally:
            if journal:
                journal.close()
        if not whole:
            raise Stopped(f"stopped on {self._stop.reason}: {plan}", "start again to go on")

    def _open_journal(self) -> Journal | None:
        if self._folder is None:
            return None
        names = ("manifest_bytes", "index_depth", "index_manifests", "image_layers")
        limits = [getattr(self._limits, name) for name in names]
        head = {"kind": "manifests", "platforms": list(self._platforms), "limits": limits}
        if self._keep:
            head["keep"] = str(self._keep)
        word = hashlib.sha256(json.dumps(head).encode()).hexdigest()[:8]
        return Journal(self._folder / f"manifests-{word}.journal", head)


class _Plan:
    """The roots at registries that the journal doesn't know."""

    def __init__(
        self,
        sources: Sequence[Source],
        found: dict[_Place, Catalog],
        journal: Journal | None,
        quiet: bool,
    ) -> None:
        self._found, self._journal = found, journal
        known = {key: catalogs.from_json(value) for key, value in journal} if journal else {}
        self._todo: deque[tuple[_Place, Root]] = deque()
        for number, source in enumerate(sources):
            for count, root in enumerate(source.roots() if source.is_remote else ()):
                if (kept := known.get(_key(root))) is not None:
                    found[number, count] = _with_popularity(kept, root)
                else:
                    self._todo.append(((number, count), root))
        self._count = len(found) + len(self._todo)
        self.status = StatusLine(self.__str__, quiet=quiet or not self._todo)

    def __str__(self) -> str:
        return f"{len(self._found)} of {counted(self._count, 'manifest')} resolved"

    def next(self) -> tuple[_Place, Root] | None:
        return self._todo.popleft() if self._todo else None

    def take(self, task: tuple[_Place, Root], catalog: Catalog) -> None:
        place, root = task
        if self._journal and not catalog.passing:
            self._journal.append([_key(root), catalogs.to_json(catalog)])
        self._found[place] = catalog


def _key(root: Root) -> str:
    return f"{root.name} {root.place}"


def _with_popularity(catalog: Catalog, root: Root) -> Catalog:
    """Give a catalog what today's list says of the repository."""
    if not (root.popularity and catalog.images):
        return catalog
    return replace(catalog, repositories={catalog.images[0].repository: root.popularity})
