"""In which order pages are asked for, and which ones an answer makes necessary. No requests are
made here.

A walk hands out asks and takes pages; given the same pages it hands out the same asks, so a crawl
that was killed goes through its journal first and then knows what is left.
"""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from ..limits import EMPTY_PAGES
from .pages import PAGE_SIZE, ListingPage, PageRequest, is_name, path_of

CAP = 10_000
"""What Docker Hub's search gives at most for a query."""

_LONGEST = 255
_LETTERS = string.ascii_lowercase + string.digits
_SIGNS = "-_./"


class Walk(ABC):
    """Asks that wait, oldest first. Those that tell how much there is stand before those that fetch
    it.

    :ivar surveyed: whether the number of asks that wait is all that is left.
    :ivar given_up: key of a page that is not asked for -> why its listing is left there.
    """

    surveyed = True

    def __init__(self) -> None:
        self._waiting: deque[PageRequest] = deque()
        self.given_up: dict[str, str] = {}

    def next(self) -> PageRequest | None:
        """Return the next page to ask for, None if there is none (yet)."""
        return self._waiting.popleft() if self._waiting else None

    def back(self, ask: PageRequest) -> None:
        """Take back an ask that was not asked."""
        self._waiting.appendleft(ask)

    def put_off(self, ask: PageRequest) -> None:
        """Take back an ask that got no answer, to be asked after the others."""
        self._waiting.append(ask)

    @property
    def waiting(self) -> int:
        """How many asks wait, as far as is known."""
        return len(self._waiting)

    @abstractmethod
    def take(self, ask: PageRequest, page: ListingPage) -> None:
        """Take a page, and see what it makes necessary."""


class Search(Walk):
    """All repositories by Docker Hub's search: two letters, and one more wherever a query reaches
    the cap.

    :ivar cut: queries that reach the cap and that no longer query divides.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first = deque(
            PageRequest("search", a + b) for a in _LETTERS for b in _LETTERS + _SIGNS
        )
        self._probes: deque[PageRequest] = deque()
        self._open = len(self._first)
        self.cut: list[str] = []

    def next(self) -> PageRequest | None:
        for asks in (self._first, self._probes):
            if asks:
                return asks.popleft()
        return super().next() if self.surveyed else None

    def back(self, ask: PageRequest) -> None:
        (self._first if ask.page == 1 else self._waiting).appendleft(ask)

    def put_off(self, ask: PageRequest) -> None:
        (self._first if ask.page == 1 else self._waiting).append(ask)

    @property
    def surveyed(self) -> bool:  # type: ignore[override]
        return not self._open

    @property
    def waiting(self) -> int:
        return len(self._first) + len(self._probes) + len(self._waiting)

    def take(self, ask: PageRequest, page: ListingPage) -> None:
        if ask.kind != "search" or ask.page != 1:
            return
        self._open -= 1
        if page.count < CAP:
            self._fetch(ask.name, page.count)
        elif page.narrow and len(ask.name) < _LONGEST:
            self._divide(ask.name)
        else:
            self.cut.append(ask.name)
            self._fetch(ask.name, CAP)

    def _fetch(self, query: str, count: int) -> None:
        pages = -(-count // PAGE_SIZE)
        self._waiting.extend(PageRequest("search", query, page) for page in range(2, pages + 1))

    def _divide(self, query: str) -> None:
        """PageRequest for every longer query, and for the repository that is called just like this one."""
        longer = [
            PageRequest("search", query + letter)
            for letter in _LETTERS + _SIGNS
            if _can_begin(query + letter)
        ]
        self._first.extend(longer)
        self._open += len(longer)
        whole = query if "/" in query else f"library/{query}"
        if is_name(whole):
            self._probes.append(PageRequest("repository", whole))


def _can_begin(query: str) -> bool:
    """Say whether a name of Docker Hub can begin like this.

    >>> _can_begin("a/b"), _can_begin("a/b/"), _can_begin("a-/"), _can_begin("a..")
    (True, False, False, False)
    """
    return query.count("/") <= 1 and not any(
        pair in query for pair in ("..", "/-", "/_", "/.", "-/", "_/", "./")
    )


class Pages(Walk):
    """Listings that are read from their first page to their last: namespaces, tags, a catalog.

    :param asks: their first pages; taken one by one, so they may be many.
    :param total: how many these are.
    :param enough: rows of a listing after which its other pages are left.
    :param empty_pages: pages in a row without anything new after which a listing is given up.
    """

    def __init__(
        self,
        asks: Iterable[PageRequest],
        total: int,
        enough: int | None = None,
        empty_pages: int = EMPTY_PAGES,
    ) -> None:
        super().__init__()
        self._asks: Iterator[PageRequest] = iter(asks)
        self._left, self._enough, self._empty_pages = total, enough, empty_pages
        self._seen: set[str] = set()
        self._empty: dict[tuple[str, str], int] = {}

    def next(self) -> PageRequest | None:
        if (waiting := super().next()) is not None:
            return waiting
        ask = next(self._asks, None)
        self._left -= ask is not None
        return ask

    @property
    def waiting(self) -> int:
        return super().waiting + self._left

    def take(self, ask: PageRequest, page: ListingPage) -> None:
        if page.more is None:
            self._empty.pop((ask.kind, ask.name), None)
            return
        if (
            self._enough is not None
            and isinstance(ask.page, int)
            and ask.page * PAGE_SIZE >= self._enough
        ):
            return
        following = PageRequest(ask.kind, ask.name, page.more)
        if reason := self._dead_end(ask, page, following):
            self.given_up[following.key] = reason
        else:
            self._waiting.append(following)

    def _dead_end(self, ask: PageRequest, page: ListingPage, following: PageRequest) -> str:
        """Return why a listing is not followed to its next page, "" if it is."""
        listing = (ask.kind, ask.name)
        empty = 0 if page.fresh else self._empty.get(listing, 0) + 1
        self._empty[listing] = empty
        if empty >= self._empty_pages:
            return f"{empty:,} pages in a row have nothing new"
        # Pages that have numbers can't lead back.
        if isinstance(following.page, int):
            return ""
        if following.key in self._seen or path_of(following) == path_of(ask):
            return "its pages lead in a circle"
        self._seen.add(following.key)
        return ""


class First(Walk):
    """The first page of another walk, for what its answer tells of limits; the other walk finds it
    known."""

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        if (ask := walk.next()) is not None:
            walk.back(ask)
            self._waiting.append(ask)

    def take(self, ask: PageRequest, page: ListingPage) -> None:
        pass


_OPEN = 4096
"""Listings whose rows are remembered at once; those of the oldest then count as new once more."""


class Novelty:
    """Counts rows that are new in their listing, by a hash of each row of the listings that go
    on."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], set[int]] = OrderedDict()

    def count(self, ask: PageRequest, page: ListingPage) -> int:
        """Return how many rows of a page its listing has not shown before."""
        listing = (ask.kind, ask.name)
        seen = self._seen.pop(listing, set())
        before = len(seen)
        seen.update(hash(row[0]) for row in page.rows)
        fresh = len(seen) - before
        if page.more is not None:
            self._seen[listing] = seen
            if len(self._seen) > _OPEN:
                self._seen.popitem(last=False)
        return fresh
