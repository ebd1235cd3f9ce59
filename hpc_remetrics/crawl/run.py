"""The run of `crawl`: names of repositories, sample, tags, list.

Rank 0 decides which pages are requested, and keeps each result before it uses it; threads of all
ranks send the requests. Pages in the journal are not requested again, whatever ended the last run.

    names (walk) -> journal -> sorted by pulls -> sample -> tags (walk) -> journal -> list (CSV)
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
from ..registry.registries import Registries
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
    """Write the list of a registry's repositories; collective. The same command continues it.

    :returns: the exit code: 0, 3 (some pages are missing) or 4 (stopped).
    :raises SourceError: the registry can't be crawled.
    :raises OutputError: the output can't be written.
    """
    registries = Registries(replace(options.access, ranks=comm.size))
    stop = StopRequest()
    stop.install()
    fetcher = PageFetcher(registries, options.host, comm.size * options.threads)
    pool = TaskPool(
        comm, fetcher, options.threads, budget=registries.budget, stopped=registries.stopped
    )

    def run_on_rank_0() -> int:
        Output(options).check()
        with OutputLock(options.output) as lock:
            return _Crawl(pool, options, stop, lock).run()

    return schedule_on_rank_0(comm, pool, run_on_rank_0)


class _CrawlStopped(Exception):
    """The crawl can't continue now; `str()` says why."""


class _Crawl:
    """One run of `crawl` on rank 0."""

    def __init__(
        self, pool: TaskPool, options: CrawlOptions, stop: StopRequest, lock: OutputLock
    ) -> None:
        self._pool = pool
        self._options = options
        self._stop = stop
        self._lock = lock
        self._output = Output(options)
        self._output.sweep()
        self._journal = PageJournal(self._output.journal, str(options.target))
        rate = options.access.requests_per_second
        self._round = Round(self._journal, options.budget, rate, options.quiet)

    def run(self) -> int:
        """Crawl, and return the exit code."""
        try:
            return self._run()
        except _CrawlStopped as reason:
            known = f"{counted(len(self._journal), 'page')} kept in {self._output.journal}"
            self._say(f"stopped: {reason}; {known}; run the command again to continue")
            return 4
        finally:
            self._journal.close()

    def _run(self) -> int:
        if (code := self._output.finished()) is not None:
            self._say(f"nothing to do: {self._options.output} is complete")
            return code
        # Request the first page, which states the limits of the host, and print the cost.
        walk = self._names()
        self._begin(walk)
        self._tell_cost(walk)
        if self._options.estimate:
            return 0
        # Read the names of the repositories.
        self._go(walk)
        if self._options.list_namespaces:
            self._go(self._namespaces())
        with self._output.sort_directory() as directory:
            # Sort them, draw the sample, read the tags of the drawn ones, and write the list.
            kept = self._keep(directory)
            self._go(self._tags(kept))
            facts = {
                "repositories": kept.population,
                "queries_cut": walk.cut if isinstance(walk, Search) else [],
            }
            failures = self._journal.failures | self._round.given_up
            rows = self._rows(kept, directory)
            code = self._output.write(rows, self._journal, kept.strata, facts, failures)
        repositories = counted(kept.population, "repository", "repositories")
        self._say(f"{self._options.output}: {repositories}, {len(kept):,} of them in the list")
        return code

    def _begin(self, walk: Walk) -> None:
        """Request the first page.

        :raises SourceError: it is not available and the journal is empty.
        """
        try:
            self._go(First(walk))
        except _CrawlStopped:
            if not len(self._journal) and self._round.reason:
                message = f"{self._options.target} can't be crawled: {self._round.reason}"
                raise SourceError(message) from None
            raise

    def _names(self) -> Walk:
        """Return the walk over the names of the repositories."""
        target = self._options.target
        if not target.is_hub:
            return self._pages([PageRequest("catalog", "")], 1)
        if target.namespaces:
            requests = [PageRequest("namespace", name) for name in target.namespaces]
            return self._pages(requests, len(requests))
        return Search()

    def _namespaces(self) -> Walk:
        """Return the walk over every namespace of the known names."""
        names = sorted({row[0].partition("/")[0] for _, row in self._journal.names()})
        return self._pages((PageRequest("namespace", name) for name in names), len(names))

    def _pages(
        self, requests: Iterable[PageRequest], total: int, enough: int | None = None
    ) -> Walk:
        return Pages(requests, total, enough, self._options.empty_pages)

    def _keep(self, directory: Path) -> _Kept:
        """Write the names into `directory`, sorted by pulls, and draw the sample."""
        names = directory / "names.csv"
        options = self._options
        rows = by_pulls(self._journal.names(), options.target.registry, directory)
        write_whole(names, csv_lines(self._beating(rows)))
        return _Kept(lambda: self._beating(read_repositories(names)), options.sample, options.seed)

    def _beating(self, rows: Iterable[Repository]) -> Iterator[Repository]:
        """Yield rows, and keep the heartbeat of the lock going."""
        for row in rows:
            self._lock.heartbeat()
            yield row

    def _tags(self, kept: _Kept) -> Walk:
        """Return the walk over the tags of the kept repositories."""
        tags = self._options.tags
        hub = self._options.target.is_hub
        if tags == "latest":
            return self._pages([], 0)
        requests = (
            PageRequest("tags" if hub else "tag_list", repository.name) for repository in kept
        )
        return self._pages(requests, len(kept), tags if hub and isinstance(tags, int) else None)

    def _rows(self, kept: _Kept, directory: Path) -> Iterator[Repository]:
        """Yield the rows of the list: a repository, or a tag of one."""
        tags = self._options.tags
        if tags == "latest":
            yield from (replace(repository, tag="latest") for repository in kept)
            return
        for repository, found in self._with_tags(kept, directory):
            chosen = newest(found, tags) if isinstance(tags, int) else found
            for tag, digest, size, updated in chosen:
                yield replace(repository, tag=tag, digest=digest, bytes=size, updated=updated)

    def _with_tags(
        self, kept: _Kept, directory: Path
    ) -> Iterator[tuple[Repository, list[list[Any]]]]:
        """Yield each repository with its tag rows, each tag once."""
        numbers = {repository.name: number for number, repository in enumerate(kept)}
        listed = self._journal.tags(numbers, directory)
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
            self._say("the number of requests for the repositories is known after these")

    def _go(self, walk: Walk) -> None:
        """Request all pages of a walk.

        :raises _CrawlStopped: some are left.
        """
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
    """The repositories of the list, most pulls first; can be iterated several times.

    :param every: reads all repositories.
    :param size: of the sample; None: all are kept.
    :param seed: random seed of the sample.
    :ivar population: number of all repositories.
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
