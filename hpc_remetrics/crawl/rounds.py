"""Work off a walk: take known pages from the journal, request the others, and keep results first.

walk -> request -> in the journal?  yes: page back to the walk
                                    no:  task pool -> result -> journal -> page to the walk
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from ..progress import StatusLine, rough_time
from ..wording import counted, verb
from .page_journal import PageJournal
from .pages import ListingPage, PageRequest, PageResult
from .walks import Novelty, Walk

log = logging.getLogger(__name__)

_GIVE_UP = 20
"""Failed requests in a row after which the host is considered out of order."""


class Round:
    """The walk that is under way, as the tasks of a `TaskPool`.

    :param budget: requests that this run may send; None: any number.
    :param per_second: rate that the user allows, for the estimate; 0: any.
    :ivar limit: rate limit of the host: (requests, requests left, Unix time when all are back).
    :ivar reason: why the last request failed, "" if it did not.
    :ivar given_up: key of a page -> why its listing ends there.
    """

    def __init__(
        self, journal: PageJournal, budget: int | None, per_second: float, quiet: bool
    ) -> None:
        self._journal = journal
        self._budget = budget
        self._per_second = per_second
        self._quiet = quiet
        self._asked = 0
        self._missed = 0
        self._in_row = 0
        self._postponed: set[str] = set()
        self._novelty = Novelty()
        self.given_up: dict[str, str] = {}
        self.limit: tuple[int, int, float] | None = None
        self.reason = ""

    def begin(self, walk: Walk) -> None:
        """Begin a walk."""
        self._walk = walk
        self._cost_is_known = walk.surveyed
        self._begun = time.monotonic()
        self._asked_before = self._asked
        self._status = StatusLine(self._line, quiet=self._quiet)

    def next(self) -> PageRequest | None:
        """Return the next request that the journal can't result, None if there is none."""
        while not self.obstacle and (request := self._walk.next()) is not None:
            if request not in self._journal:
                self._asked += 1
                return request
            self._give_to_walk(request, self._journal[request])
        return None

    def take(self, request: PageRequest, result: PageResult | None) -> None:
        """Keep a result and give its page to the walk; None: the job was stopped before."""
        if result is None:
            return
        self.limit = result.limit or self.limit
        page = result.page or ListingPage([])
        self._in_row = 0 if result.page else self._in_row + 1
        self.reason = result.reason
        # Keep a page before anything is done with it. Try a passing failure once more, at the end.
        if result.page:
            page = replace(page, fresh=self._novelty.count(request, page))
            self._journal.add(request, page)
        elif result.passing and request.key not in self._postponed:
            self._postponed.add(request.key)
            return self._walk.postpone(request)
        else:
            self._fail(request, result)
        self._give_to_walk(request, page)

    def _give_to_walk(self, request: PageRequest, page: ListingPage) -> None:
        """Give a page to the walk, and log the listings that the walk gives up."""
        self._walk.take(request, page)
        for key, reason in self._walk.given_up.items():
            log.warning("%s %s: %s; the rest is left out", request.kind, request.name, reason)
            self.given_up[key] = reason
        self._walk.given_up.clear()

    def _fail(self, request: PageRequest, result: PageResult) -> None:
        log.warning("%s", result.reason)
        if result.passing:
            self._missed += 1
        else:
            self._journal.fail(request, result.reason)

    @property
    def obstacle(self) -> str:
        """Why this run sends no more requests, "" if it does."""
        if self._in_row >= _GIVE_UP:
            return f"the last {counted(self._in_row, 'request')} failed"
        if self._budget is not None and self._asked >= self._budget:
            count = counted(self._budget, "request")
            return f"the {count} that --budget allows {verb(self._budget, 'is', 'are')} used up"
        return ""

    @property
    def lacking(self) -> str:
        """Why the walk is incomplete, "" if it is complete; for when no request is under way."""
        if self.obstacle and self._walk.next() is not None:
            return self.obstacle
        return f"{counted(self._missed, 'request')} failed" if self._missed else ""

    def cost_of(self, walk: Walk) -> str:
        """Return the remaining cost of a walk as a message."""
        return cost_in_words(walk.waiting, self._per_second, self.limit)

    def show(self) -> str:
        """Update the progress line; return the cost once, when it has become known, else ""."""
        self._status.update()
        if not self._cost_is_known and self._walk.surveyed:
            self._cost_is_known = True
            return self.cost_of(self._walk)
        return ""

    def finish(self) -> None:
        """Print the last progress line of the walk."""
        if self._asked > self._asked_before + 1:
            self._status.finish()

    def _line(self) -> str:
        rate = (self._asked - self._asked_before) / max(time.monotonic() - self._begun, 1e-9)
        left = self._walk.waiting
        parts = [
            f"{counted(self._asked, 'request')}, {left:,} to come",
            counted(self._journal.seen, "row"),
            f"{rate:.1f} a second",
        ]
        if self._missed or self._journal.failures:
            parts.append(f"{self._missed + len(self._journal.failures):,} failed")
        return ", ".join(parts)


def rate_of(per_second: float, limit: tuple[int, int, float] | None, now: float) -> float:
    """Return the requests per second that a crawl can expect, 0.0 if nothing limits them.

    :param per_second: rate that the user allows; 0: any.
    :param limit: (requests, requests left, Unix time when all are back), as the host states.
    :param now: Unix time.

    >>> limit = (180, 180, 1060.0)
    >>> rate_of(0, limit, 1000.0), rate_of(2, limit, 1000.0), rate_of(5, None, 0)
    (3.0, 2, 5)
    """
    stated = limit[0] / max(limit[2] - now, 1.0) if limit else 0.0
    return min(filter(None, (per_second, stated)), default=0.0)


def cost_in_words(requests: int, per_second: float, limit: tuple[int, int, float] | None) -> str:
    """Return what a number of requests costs, as a message.

    :param per_second: rate that the user allows; 0: any.
    :param limit: rate limit of the host, as in `rate_of`.
    """
    now = time.time()
    rate = rate_of(per_second, limit, now)
    text = counted(requests, "request")
    if rate:
        text += f" at {rate:.3g} a second: {rough_time(requests / rate)}"
    else:
        text += ", as fast as they go"
    if limit is None:
        return f"{text}; the host states no limit"
    allowed, left, reset = limit
    seconds = max(reset - now, 0)
    return f"{text}; the host allows {allowed:,}, {left:,} are left for the next {seconds:.0f} s"
