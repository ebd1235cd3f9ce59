"""Handing out the asks of a walk: what is known already is not asked, and what is learned is kept
first."""

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
"""Asks in a row without an answer, after which the host is taken to be out of order."""


class Round:
    """The walk that is under way; a `TaskPool` works it off.

    :param budget: requests that this start may make; None: as many as there are.
    :param per_second: requests that the user allows, for the estimate; 0: all.
    :ivar limit: what the host says of its limit: (requests, those left, Unix time when all are
    back).
    :ivar reason: why the last ask had no answer, "" if it had.
    :ivar given_up: key of a page -> why its listing was left there.
    """

    def __init__(
        self, memory: PageJournal, budget: int | None, per_second: float, quiet: bool
    ) -> None:
        self._memory, self._budget, self._per_second, self._quiet = (
            memory,
            budget,
            per_second,
            quiet,
        )
        self._asked = self._missed = self._in_row = 0
        self._put_off: set[str] = set()
        self._novelty = Novelty()
        self.given_up: dict[str, str] = {}
        self.limit: tuple[int, int, float] | None = None
        self.reason = ""

    def begin(self, walk: Walk) -> None:
        """Take up a walk."""
        self._walk, self._told = walk, walk.surveyed
        self._begun, self._asked_before = time.monotonic(), self._asked
        self._status = StatusLine(self._line, quiet=self._quiet)

    def next(self) -> PageRequest | None:
        while not self.obstacle and (ask := self._walk.next()) is not None:
            if ask not in self._memory:
                self._asked += 1
                return ask
            self._tell_walk(ask, self._memory[ask])
        return None

    def take(self, ask: PageRequest, answer: PageResult | None) -> None:
        if answer is None:
            return
        self.limit = answer.limit or self.limit
        page = answer.page or ListingPage([])
        self._in_row = 0 if answer.page else self._in_row + 1
        self.reason = answer.reason
        if answer.page:
            page = replace(page, fresh=self._novelty.count(ask, page))
            self._memory.add(ask, page)
        elif answer.passing and ask.key not in self._put_off:
            self._put_off.add(ask.key)
            return self._walk.put_off(ask)
        else:
            self._fail(ask, answer)
        self._tell_walk(ask, page)

    def _tell_walk(self, ask: PageRequest, page: ListingPage) -> None:
        """Give the walk a page, and say where it leaves a listing for good."""
        self._walk.take(ask, page)
        for key, reason in self._walk.given_up.items():
            log.warning("%s %s: %s; the rest is left out", ask.kind, ask.name, reason)
            self.given_up[key] = reason
        self._walk.given_up.clear()

    def _fail(self, ask: PageRequest, answer: PageResult) -> None:
        log.warning("%s", answer.reason)
        if answer.passing:
            self._missed += 1
        else:
            self._memory.fail(ask, answer.reason)

    @property
    def obstacle(self) -> str:
        """Why nothing more is asked in this start, "" if nothing is in the way."""
        if self._in_row >= _GIVE_UP:
            return f"the last {counted(self._in_row, 'request')} had no answer"
        if self._budget is not None and self._asked >= self._budget:
            return f"the {counted(self._budget, 'request')} that --budget allows {verb(self._budget, 'is', 'are')} made"
        return ""

    @property
    def lacking(self) -> str:
        """Why the walk is not whole, "" if it is; to be asked when nothing is under way."""
        if self.obstacle and self._walk.next() is not None:
            return self.obstacle
        return f"{counted(self._missed, 'request')} had no answer" if self._missed else ""

    def cost_of(self, walk: Walk) -> str:
        """Return in words what a walk still costs."""
        return cost_in_words(walk.waiting, self._per_second, self.limit)

    def show(self) -> str:
        """Show how far the walk is; return its cost, once, when all of it has become known."""
        self._status.update()
        if not self._told and self._walk.surveyed:
            self._told = True
            return self.cost_of(self._walk)
        return ""

    def finish(self) -> None:
        """Show the last line of the walk."""
        if self._asked > self._asked_before + 1:
            self._status.finish()

    def _line(self) -> str:
        rate = (self._asked - self._asked_before) / max(time.monotonic() - self._begun, 1e-9)
        left = self._walk.waiting
        parts = [
            f"{counted(self._asked, 'request')}, {left:,} to come",
            counted(self._memory.seen, "row"),
            f"{rate:.1f} a second",
        ]
        if self._missed or self._memory.failures:
            parts.append(f"{self._missed + len(self._memory.failures):,} failed")
        return ", ".join(parts)


def rate_of(per_second: float, limit: tuple[int, int, float] | None, now: float) -> float:
    """Return the requests a second that a crawl can count on, 0.0 if nothing bounds them.

    :param per_second: what the user allows; 0: all.
    :param limit: (requests, those left, Unix time when all are back), as the host says.

    >>> rate_of(0, (180, 180, 1060.0), 1000.0), rate_of(2, (180, 180, 1060.0), 1000.0), rate_of(5, None, 0)
    (3.0, 2, 5)
    """
    stated = limit[0] / max(limit[2] - now, 1.0) if limit else 0.0
    return min(filter(None, (per_second, stated)), default=0.0)


def cost_in_words(requests: int, per_second: float, limit: tuple[int, int, float] | None) -> str:
    """Return the cost of so many requests."""
    now = time.time()
    rate = rate_of(per_second, limit, now)
    text = counted(requests, "request")
    text += (
        f" at {rate:.3g} a second: {rough_time(requests / rate)}"
        if rate
        else ", as fast as they go"
    )
    if limit:
        text += f"; the host allows {limit[0]:,}, {limit[1]:,} are left for the next {max(limit[2] - now, 0):.0f} s"
    else:
        text += "; the host states no limit"
    return text
