"""The crawl on one page: the names, the sample, the tags, the list.

Rank 0 decides what is asked, and keeps every answer before it acts on it; the threads of all ranks
ask. Nothing is asked twice, whatever ended the start before: what the journal knows is not handed
out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import SourceError
from ..files.lock import OutputLock
from ..files.publish import write_whole
from ..mpi.comm import Comm
from ..mpi.signals import StopRequest
from ..mpi.task_pool import TaskPool, schedule_on_rank_0
from ..registry.endpoint import Registries
from ..sources.repositories import Repository, csv_lines, read_repositories
from ..wording import counted
from . import sample
from .options import CrawlOptions
from .output import Output
from .page_journal import PageJournal
from .pages import PageFetcher, PageRequest
from .repository_table import by_pulls, newest
from .rounds import Round
from .walks import First, Pages, Search, Walk


def crawl(comm: Comm, options: CrawlOptions) -> int:
    """Make the list of a registry's repositories; return the exit code. Run again, it goes on."""
    registries, stop = Registries(replace(options.access, ranks=comm.size)), StopRequest()
    stop.install()
    asker = PageFetcher(registries, options.target.api, comm.size * options.threads)
    pool = TaskPool(
        comm, asker, options.threads, budget=registries.budget, stopped=registries.stopped
    )

    def part() -> int:
        Output(options).check()
        with OutputLock(options.output) as lock:
            return _Crawl(pool, options, stop, lock).run()

    return schedule_on_rank_0(comm, pool, part)


class _CrawlStopped(Exception):
    """The crawl can't go on now; `str()` says why."""


class _Crawl:
    """The root's part of one start."""

    def __init__(
        self, pool: TaskPool, options: CrawlOptions, stop: StopRequest, lock: OutputLock
    ) -> None:
        self._pool, self._options, self._stop, self._lock = pool, options, stop, lock
        self._output = Output(options)
        self._output.sweep()
        self._memory = PageJournal(self._output.journal, str(options.target))
        rate = options.access.requests_per_second
        self._round = Round(self._memory, options.budget, rate, options.quiet)

    def run(self) -> int:
        try:
            return self._run()
        except _CrawlStopped as reason:
            known = f"{counted(len(self._memory), 'answer')} kept in {self._output.journal}"
            self._say(f"stopped: {reason}; {known}; start again to go on")
            return 4
        finally:
            self._memory.close()

    def _run(self) -> int:
        if (code := self._output.finished()) is not None:
            self._say(f"all is done: {self._options.output} is whole")
            return code
        walk = self._names()
        self._begin(walk)
        self._tell_cost(walk)
        if self._options.estimate:
            return 0
        self._go(walk)
        if self._options.list_namespaces:
            self._go(self._namespaces())
        with self._output.folder() as folder:
            kept = self._keep(folder)
            self._go(self._tags(kept))
            facts = {
                "repositories": kept.population,
                "queries_cut": walk.cut if isinstance(walk, Search) else [],
            }
            failures = self._memory.failures | self._round.given_up
            rows = self._rows(kept, folder)
            code = self._output.write(rows, self._memory, kept.strata, facts, failures)
        repositories = counted(kept.population, "repository", "repositories")
        self._say(f"{self._options.output}: {repositories}, {len(kept):,} of them in the list")
        return code

    def _begin(self, walk: Walk) -> None:
        """PageRequest for one page; that a place can't be asked at all is an error of its own."""
        try:
            self._go(First(walk))
        except _CrawlStopped:
            if not len(self._memory) and self._round.reason:
                raise SourceError(
                    f"{self._options.target} can't be crawled: {self._round.reason}"
                ) from None
            raise

    def _names(self) -> Walk:
        target = self._options.target
        if not target.is_hub:
            return self._pages([PageRequest("catalog", "")], 1)
        if target.namespaces:
            asks = [PageRequest("namespace", name) for name in target.namespaces]
            return self._pages(asks, len(asks))
        return Search()

    def _namespaces(self) -> Walk:
        """Return the walk over every namespace that a name has."""
        names = sorted({row[0].partition("/")[0] for _, row in self._memory.names()})
        return self._pages((PageRequest("namespace", name) for name in names), len(names))

    def _pages(self, asks: Iterable[PageRequest], total: int, enough: int | None = None) -> Walk:
        return Pages(asks, total, enough, self._options.empty_pages)

    def _keep(self, folder: Path) -> _Kept:
        """Sort the names into `folder`, and draw the sample."""
        names, options = folder / "names.csv", self._options
        rows = by_pulls(self._memory.names(), options.target.registry, folder)
        write_whole(names, csv_lines(self._beating(rows)))
        return _Kept(lambda: self._beating(read_repositories(names)), options.sample, options.seed)

    def _beating(self, rows: Iterable[Repository]) -> Iterator[Repository]:
        """Keep the lock alive while many rows pass."""
        for row in rows:
            self._lock.heartbeat()
            yield row

    def _tags(self, kept: _Kept) -> Walk:
        tags, hub = self._options.tags, self._options.target.is_hub
        if tags == "latest":
            return self._pages([], 0)
        asks = (PageRequest("tags" if hub else "tag_list", repository.name) for repository in kept)
        return self._pages(asks, len(kept), tags if hub and isinstance(tags, int) else None)

    def _rows(self, kept: _Kept, folder: Path) -> Iterator[Repository]:
        """Yield the rows of the list: a repository, or a tag of one."""
        tags = self._options.tags
        if tags == "latest":
            yield from (replace(repository, tag="latest") for repository in kept)
            return
        for repository, found in self._with_tags(kept, folder):
            for tag, digest, size, updated in (
                newest(found, tags) if isinstance(tags, int) else found
            ):
                yield replace(repository, tag=tag, digest=digest, bytes=size, updated=updated)

    def _with_tags(self, kept: _Kept, folder: Path) -> Iterator[tuple[Repository, list[list[Any]]]]:
        """Yield each repository with its tags, each once."""
        numbers = {repository.name: number for number, repository in enumerate(kept)}
        listed = self._memory.tags(numbers, folder)
        item = next(listed, None)
        for number, repository in enumerate(kept):
            rows: dict[str, list[Any]] = {}
            while item is not None and item[0] == number:
                rows.setdefault(item[1][0], item[1])
                item = next(listed, None)
            yield repository, list(rows.values())

    def _tell_cost(self, walk: Walk) -> None:
        self._say(f"{self._options.target}: {self._round.cost_of(walk)}")
        if not walk.surveyed:
            self._say("how many more the repositories take is known when these are answered")

    def _go(self, walk: Walk) -> None:
        """PageRequest for all pages of a walk; `_CrawlStopped` if some are left."""
        self._round.begin(walk)
        finished = self._pool.run_tasks(self._round, self._stop, self._beat)
        self._round.finish()
        if not finished:
            raise _CrawlStopped(f"on {self._stop.reason}")
        if lacking := self._round.lacking:
            raise _CrawlStopped(lacking)

    def _beat(self) -> None:
        self._lock.heartbeat()
        if cost := self._round.show():
            self._say(f"left are {cost}")

    def _say(self, text: str) -> None:
        if not self._options.quiet:
            print(text, file=sys.stderr, flush=True)


class _Kept:
    """The repositories that the list is to have, most pulls first; iterated as often as needed.

    :param every: reads all of them.
    :param size: of the sample; None: all are kept.
    :ivar population: how many there are.
    """

    def __init__(
        self, every: Callable[[], Iterator[Repository]], size: int | None, seed: int
    ) -> None:
        self._every = every
        self._drawn: set[str] | None = None
        self.population = sum(1 for _ in every())
        self.strata: dict[str, sample.SampleStratum] = {}
        if size is not None:
            self.strata = sample.strata(every(), size)
            self._drawn = sample.draw(every(), self.strata, seed)

    def __len__(self) -> int:
        return self.population if self._drawn is None else len(self._drawn)

    def __iter__(self) -> Iterator[Repository]:
        for repository in self._every():
            if self._drawn is None:
                yield repository
            elif f"{repository.registry}/{repository.name}" in self._drawn:
                name = sample.stratum_of(repository)
                yield replace(repository, stratum=name, weight=self.strata[name].weight)
