"""The order in which pages are requested, and the pages that a result makes necessary.

A walk gives out page requests and takes pages; it sends nothing itself. The same pages lead to the
same requests, so a crawl that was killed walks through its journal first and then knows what is
left. A search is divided where Docker Hub shows only a part of the results:

    aa  5 pages           -> pages 2 … 5
    ab  10,000 or more    -> aba, abb, … ab9, ab-, ab_, ab., ab/   and the repository library/ab
"""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from ..limits import EMPTY_PAGES
from .pages import PAGE_SIZE, ListingPage, PageRequest, is_name, path_of

CAP = 10_000
"""Results that Docker Hub shows for a query at most."""

_LONGEST = 255
_LETTERS = string.ascii_lowercase + string.digits
_SIGNS = "-_./"


class Walk(ABC):
    """Page requests to be sent, oldest first; those that count rows come before all others.

    :ivar surveyed: whether the waiting requests are all that are left.
    :ivar given_up: key of a page that is not requested -> why its listing ends there.
    """

    surveyed = True

    def __init__(self) -> None:
        self._waiting: deque[PageRequest] = deque()
        self.given_up: dict[str, str] = {}

    def next(self) -> PageRequest | None:
        """Return the next request, None if there is none (yet)."""
        return self._waiting.popleft() if self._waiting else None

    def take_back(self, request: PageRequest) -> None:
        """Take back a request that was not sent, as the next one."""
        self._waiting.appendleft(request)

    def postpone(self, request: PageRequest) -> None:
        """Take back a request that failed, as the last one."""
        self._waiting.append(request)

    @property
    def waiting(self) -> int:
        """Number of waiting requests, as far as known."""
        return len(self._waiting)

    @abstractmethod
    def take(self, request: PageRequest, page: ListingPage) -> None:
        """Take a page and add the requests that it makes necessary."""


class Search(Walk):
    """All repositories by Docker Hub's search: queries of two letters, longer ones at the cap.

    :ivar cut: queries that reach the cap and can't be divided by longer ones.
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
        for requests in (self._first, self._probes):
            if requests:
                return requests.popleft()
        return super().next() if self.surveyed else None

    def take_back(self, request: PageRequest) -> None:
        (self._first if request.page == 1 else self._waiting).appendleft(request)

    def postpone(self, request: PageRequest) -> None:
        (self._first if request.page == 1 else self._waiting).append(request)

    @property
    def surveyed(self) -> bool:  # type: ignore[override]
        return not self._open

    @property
    def waiting(self) -> int:
        return len(self._first) + len(self._probes) + len(self._waiting)

    def take(self, request: PageRequest, page: ListingPage) -> None:
        if request.kind != "search" or request.page != 1:
            return
        self._open -= 1
        if page.count < CAP:
            self._fetch(request.name, page.count)
        elif page.narrow and len(request.name) < _LONGEST:
            self._divide(request.name)
        else:
            self.cut.append(request.name)
            self._fetch(request.name, CAP)

    def _fetch(self, query: str, count: int) -> None:
        pages = -(-count // PAGE_SIZE)
        self._waiting.extend(PageRequest("search", query, page) for page in range(2, pages + 1))

    def _divide(self, query: str) -> None:
        """Add every query that is one letter longer, and the repository named like the query."""
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
    """Tell whether a name at Docker Hub can begin like this.

    >>> _can_begin("a/b"), _can_begin("a/b/"), _can_begin("a-/"), _can_begin("a..")
    (True, False, False, False)
    """
    pairs = ("..", "/-", "/_", "/.", "-/", "_/", "./")
    return query.count("/") <= 1 and not any(pair in query for pair in pairs)


class Pages(Walk):
    """Listings that are read from their first page to their last: namespaces, tags, a catalog.

    :param requests: requests for their first pages; taken one by one, since there may be millions.
    :param total: number of these.
    :param enough: rows of a listing after which its other pages are skipped; None: all are read.
    :param empty_pages: pages in a row without new rows after which a listing is given up.
    """

    def __init__(
        self,
        requests: Iterable[PageRequest],
        total: int,
        enough: int | None = None,
        empty_pages: int = EMPTY_PAGES,
    ) -> None:
        super().__init__()
        self._requests: Iterator[PageRequest] = iter(requests)
        self._left, self._enough, self._empty_pages = total, enough, empty_pages
        self._seen: set[str] = set()
        self._empty: dict[tuple[str, str], int] = {}

    def next(self) -> PageRequest | None:
        if (waiting := super().next()) is not None:
            return waiting
        request = next(self._requests, None)
        self._left -= request is not None
        return request

    @property
    def waiting(self) -> int:
        return super().waiting + self._left

    def take(self, request: PageRequest, page: ListingPage) -> None:
        if page.more is None:
            self._empty.pop((request.kind, request.name), None)
            return
        if (
            self._enough is not None
            and isinstance(request.page, int)
            and request.page * PAGE_SIZE >= self._enough
        ):
            return
        following = PageRequest(request.kind, request.name, page.more)
        if reason := self._dead_end(request, page, following):
            self.given_up[following.key] = reason
        else:
            self._waiting.append(following)

    def _dead_end(self, request: PageRequest, page: ListingPage, following: PageRequest) -> str:
        """Return why the next page of a listing is not requested, "" if it is."""
        listing = (request.kind, request.name)
        empty = 0 if page.fresh else self._empty.get(listing, 0) + 1
        self._empty[listing] = empty
        if empty >= self._empty_pages:
            return f"{empty:,} pages in a row have nothing new"
        # Numbered pages can't lead back.
        if isinstance(following.page, int):
            return ""
        if following.key in self._seen or path_of(following) == path_of(request):
            return "its pages lead in a circle"
        self._seen.add(following.key)
        return ""


class First(Walk):
    """The first page of another walk, whose response states the limits; the journal keeps it."""

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        if (request := walk.next()) is not None:
            walk.take_back(request)
            self._waiting.append(request)

    def take(self, request: PageRequest, page: ListingPage) -> None:
        pass


_OPEN = 4096
"""Listings whose rows are remembered; rows of older listings count as new again."""


class Novelty:
    """Counts rows that are new in their listing, since a server may repeat itself without end.

    It keeps a 64-bit hash of each row of the listings that are not at their end.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], set[int]] = OrderedDict()

    def count(self, request: PageRequest, page: ListingPage) -> int:
        """Return the number of rows of a page that its listing has not shown before."""
        listing = (request.kind, request.name)
        seen = self._seen.pop(listing, set())
        before = len(seen)
        seen.update(hash(row[0]) for row in page.rows)
        fresh = len(seen) - before
        if page.more is not None:
            self._seen[listing] = seen
            if len(self._seen) > _OPEN:
                self._seen.popitem(last=False)
        return fresh
