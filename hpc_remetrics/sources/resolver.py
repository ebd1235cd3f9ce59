"""Resolve sources into a catalog: rank 0 alone on file systems, all ranks at registries.

Results from registries are kept in a journal beside the parts. So a restart asks only for what is
missing, and a tag keeps the meaning that it had when it was first resolved, however often a run is
resumed.

    rank 0    named manifests of all sources -> not in the journal -> tasks
    all ranks task (position, named manifest) -> `resolve_named` -> catalog of one image
    rank 0    journal <- catalog;  its configs to scratch (`stored_configs.py`)
              catalogs in the order of (source, named manifest) -> one catalog
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
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
from ..records import Catalog, Configs, ImageConfig
from ..registry.registries import Registries
from ..wording import counted
from . import catalogs, platforms, secrets
from .base import NamedManifest, Source
from .manifests import merge, resolve, resolve_named, with_facts_of_crawl
from .platforms import none_left

_THREADS = 4
"""Manifests that a rank requests at once: most of the time is network latency."""

_Position: TypeAlias = tuple[int, int]
"""The number of a source, and of a named manifest in it."""


class ResolvingStopped(RemetricsError):
    """A signal ended the run while manifests were resolved; those in the journal are kept."""

    exit_code = 4


class Resolver:
    """Resolves sources with the same options.

    :param platforms: `os/architecture[/variant]`; empty: all.
    :param directory: that of the journal; None: no journal.
    :param keep: the layout of `--keep`, None without; a journal of a run without it is not used.
    :param keep_secrets: whether secrets in configs and annotations stay as they are.
    :param beat: heartbeat of rank 0's lock, called often.
    """

    def __init__(
        self,
        platforms: Sequence[str],
        limits: Limits,
        directory: Path | None = None,
        stop: StopRequest | None = None,
        beat: Callable[[], None] = lambda: None,
        quiet: bool = False,
        keep: Path | None = None,
        keep_secrets: bool = False,
        configs: Configs | None = None,
    ) -> None:
        self._platforms = platforms
        self._limits = limits
        self._directory = directory
        self._stop = stop or StopRequest()
        self._beat = beat
        self._quiet = quiet
        self._keep = keep
        self._keep_secrets = keep_secrets
        self._configs = _NoConfigs() if configs is None else configs

    def resolve(
        self, comm: Comm, sources: Sequence[Source], registries: Registries
    ) -> Catalog | None:
        """Return the catalog on rank 0, None on other ranks; collective.

        The order is that of the sources and of their named manifests, for any number of ranks.

        :param sources: the same on every rank.
        :raises RemetricsError: on every rank; exit code 4 after a signal (`ResolvingStopped`) and
            where the limit of a registry is used up.
        :raises UsageError: on every rank, if no image is for one of the platforms.
        """
        resolved: dict[_Position, Catalog] = {}
        if any(source.is_remote for source in sources):

            def work(task: tuple[_Position, NamedManifest]) -> Catalog:
                (number, _), named = task
                return resolve_named(
                    sources[number], named, self._platforms, self._limits, self._keep_secrets
                )

            pool = TaskPool(
                comm, work, _THREADS, budget=registries.budget, stopped=registries.stopped
            )
            schedule_on_rank_0(comm, pool, lambda: self._lead(pool, sources, resolved))
        else:
            on_rank_0(comm, lambda: self._walk(sources, resolved))
        # Only rank 0 has results. The order does not depend on which rank was faster.
        catalog = None
        if comm.rank == comm.root:
            found = (resolved.pop(position) for position in sorted(resolved))
            catalog = merge(found, self._configs)
            self._configs.no_more_images()
        on_rank_0(comm, lambda: self._check_platforms(catalog))
        return catalog

    def _check_platforms(self, catalog: Catalog | None) -> None:
        """Raise an error if `--platform` leaves no image."""
        if catalog and catalog.others and not catalog.images:
            raise none_left(platforms.check(self._platforms), catalog.others)

    def _walk(self, sources: Sequence[Source], resolved: dict[_Position, Catalog]) -> None:
        """Resolve the sources on file systems."""
        for number, source in enumerate(sources):
            if not source.is_remote:
                self._beat()
                resolved[number, 0] = resolve(
                    source, self._platforms, self._limits, self._keep_secrets, self._configs
                )

    def _lead(
        self, pool: TaskPool, sources: Sequence[Source], resolved: dict[_Position, Catalog]
    ) -> None:
        """Resolve all sources on rank 0: local ones here, the others by the task pool."""
        # Read local sources here.
        self._walk(sources, resolved)

        # Spread requests to registries over all ranks; note the answers for a restart.
        journal = self._open_journal()
        try:
            plan = _ManifestPlan(sources, resolved, journal, self._configs, self._quiet)

            def beat() -> None:
                self._beat()
                plan.status.update()

            whole = pool.run_tasks(plan, self._stop, beat)
        finally:
            if journal:
                journal.close()
        if not whole:
            message = f"stopped on {self._stop.reason}: {plan}"
            raise ResolvingStopped(message, "run the command again to continue")

    def _open_journal(self) -> Journal | None:
        """Open the journal of these options, None if there is none."""
        if self._directory is None:
            return None

        # List all that the answers depend on.
        names = ("manifest_bytes", "index_depth", "index_manifests", "image_layers")
        limits = [getattr(self._limits, name) for name in names]
        head = {
            "kind": "manifests",
            "version": catalogs.VERSION,
            "platforms": list(self._platforms),
            "limits": limits,
            "secrets": "kept" if self._keep_secrets else secrets.table_version(),
        }
        if self._keep:
            head["keep"] = str(self._keep)

        # Give each combination a journal of its own.
        word = hashlib.sha256(json.dumps(head).encode()).hexdigest()[:8]
        return Journal(self._directory / f"manifests-{word}.journal", head)


class _NoConfigs(Configs):
    """Takes configs, and forgets them."""

    def add(self, config: ImageConfig) -> None:
        pass


class _ManifestPlan:
    """The named manifests at registries that are not in the journal, as tasks of the pool."""

    def __init__(
        self,
        sources: Sequence[Source],
        resolved: dict[_Position, Catalog],
        journal: Journal | None,
        configs: Configs,
        quiet: bool,
    ) -> None:
        self._configs = configs
        self._resolved = resolved
        self._journal = journal
        self._todo: deque[tuple[_Position, NamedManifest]] = deque()
        # Take from the journal what an earlier run resolved; the rest is to do.
        known = {key: merge([catalogs.from_json(value)], configs) for key, value in journal or ()}
        for number, source in enumerate(sources):
            for count, named in enumerate(source.named_manifests() if source.is_remote else ()):
                if (kept := known.get(_key(named))) is not None:
                    resolved[number, count] = with_facts_of_crawl(kept, named)
                else:
                    self._todo.append(((number, count), named))
        self._count = len(resolved) + len(self._todo)
        self.status = StatusLine(self.__str__, quiet=quiet or not self._todo)

    def __str__(self) -> str:
        return f"{len(self._resolved)} of {counted(self._count, 'manifest')} resolved"

    def next(self) -> tuple[_Position, NamedManifest] | None:
        return self._todo.popleft() if self._todo else None

    def take(self, task: tuple[_Position, NamedManifest], catalog: Catalog) -> None:
        position, named = task
        if self._journal and not catalog.passing:
            self._journal.append([_key(named), catalogs.to_json(catalog)])
        # Of the configs only their digests stay in memory.
        self._resolved[position] = merge([catalog], self._configs)


def _key(named: NamedManifest) -> str:
    return f"{named.name} {named.location}"
