"""Pages of a listing: their URLs, the HTTP request, and the parsed result.

Docker Hub has a documented API (namespaces, tags) and an undocumented one (search); a registry has
`_catalog` and `tags/list`, which continue by a `Link` header. No content of a response is trusted.

    PageRequest -> path_of -> HTTP -> parse_page -> ListingPage -> PageResult
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from ..errors import RegistryError
from ..registry.budget import Budget
from ..registry.endpoint import scope_of
from ..registry.header_fields import each, next_page
from ..registry.registries import Registries
from ..sources.documents import Malformed, get_list, get_text, parse

PAGE_SIZE = 100
"""Rows of a page of Docker Hub, the most that it allows."""

_CATALOG_SIZE = 1000
"""Rows of a page of a registry."""

_NAME = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


@dataclass(frozen=True)
class PageRequest:
    """A request for one page.

    :param kind: a key of :data:`KINDS`.
    :param name: the query, namespace or repository; "" for a catalog.
    :param page: from 1 on. In a registry's listing 1, then path and query of the `Link` header (in
        a journal of an older version: the name after which the page begins).
    """

    kind: str
    name: str
    page: int | str = 1

    @property
    def key(self) -> str:
        """The key of the page in the journal."""
        return f"{self.kind} {self.name} {self.page}"


@dataclass(frozen=True)
class ListingPage:
    """The content of one page.

    :param rows: `search`, `namespace` and `repository`: [name, stars, pulls, official]; `catalog`:
        [name]; `tags` and `tag_list`: [tag, digest, bytes, updated].
    :param count: rows of the whole listing, as the server states (at most 10,000 for a search).
    :param more: `PageRequest.page` of the next page; None if this is the last.
    :param narrow: whether a row has the query in its name, so that a longer query finds fewer.
    :param dropped: rows that are not valid, such as names that no registry can have.
    :param fresh: rows that the listing has not shown before.
    """

    rows: list[list[Any]]
    count: int = 0
    more: int | str | None = None
    narrow: bool = False
    dropped: int = 0
    fresh: int = 0


def path_of(request: PageRequest) -> str:
    """Return path and query of the URL of a page."""
    if isinstance(request.page, str) and request.page.startswith("/"):
        return request.page
    return KINDS[request.kind][0](request)


def parse_page(request: PageRequest, body: bytes, links: Sequence[str] = ()) -> ListingPage:
    """Parse the body of a response.

    :param links: the `Link` headers of the response.
    :raises Malformed: the body is not a page of that kind.
    """
    return KINDS[request.kind][1](request, parse(body), links)


def _search_path(request: PageRequest) -> str:
    return "/v2/search/repositories/?" + urlencode(
        {"query": request.name, "page": request.page, "page_size": PAGE_SIZE}
    )


def _namespace_path(request: PageRequest) -> str:
    namespace = quote(request.name)
    return f"/v2/namespaces/{namespace}/repositories?page={request.page}&page_size={PAGE_SIZE}"


def _repository_path(request: PageRequest) -> str:
    namespace, _, name = request.name.partition("/")
    return f"/v2/namespaces/{quote(namespace)}/repositories/{quote(name)}"


def _tags_path(request: PageRequest) -> str:
    return f"{_repository_path(request)}/tags?page={request.page}&page_size={PAGE_SIZE}"


def _catalog_path(request: PageRequest) -> str:
    return f"/v2/_catalog?{_after(request)}"


def _tag_list_path(request: PageRequest) -> str:
    return f"/v2/{quote(request.name)}/tags/list?{_after(request)}"


def _after(request: PageRequest) -> str:
    return urlencode({"n": _CATALOG_SIZE, **({} if request.page == 1 else {"last": request.page})})


def _parse_search(
    request: PageRequest, document: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    def row_of(item: dict[str, Any]) -> list[Any] | None:
        return _hub_row(item, get_text(item, "repo_name"), item.get("is_official"))

    page = _listed(request, document, row_of)
    narrow = any(request.name in row[0].removeprefix("library/") for row in page.rows)
    return replace(page, narrow=narrow)


def _parse_namespace(
    request: PageRequest, document: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    return _listed(request, document, _documented_row)


def _parse_repository(
    request: PageRequest, document: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    row = _documented_row(document)
    return ListingPage([row] if row else [], 1, dropped=int(row is None))


def _parse_tags(
    request: PageRequest, document: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    return _listed(request, document, _tag_row)


def _parse_catalog(
    request: PageRequest, document: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    names = get_list(document, "repositories")
    rows = [[name] for name in names if isinstance(name, str) and is_name(name)]
    return ListingPage(rows, len(names), _next(request, links), dropped=len(names) - len(rows))


def _parse_tag_list(
    request: PageRequest, document: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    tags = get_list(document, "tags")
    rows = [[tag, "", None, ""] for tag in tags if isinstance(tag, str) and _TAG.match(tag)]
    return ListingPage(rows, len(tags), _next(request, links), dropped=len(tags) - len(rows))


KINDS: dict[
    str,
    tuple[
        Callable[[PageRequest], str],
        Callable[[PageRequest, dict[str, Any], Sequence[str]], ListingPage],
    ],
] = {
    "search": (_search_path, _parse_search),
    "namespace": (_namespace_path, _parse_namespace),
    "repository": (_repository_path, _parse_repository),
    "tags": (_tags_path, _parse_tags),
    "catalog": (_catalog_path, _parse_catalog),
    "tag_list": (_tag_list_path, _parse_tag_list),
}
"""Kind of a page -> its path, and its parser."""


def is_name(name: str) -> bool:
    """Tell whether a registry can have a repository of this name."""
    return len(name) <= 255 and _NAME.match(name) is not None


def _listed(
    request: PageRequest,
    document: dict[str, Any],
    row: Callable[[dict[str, Any]], list[Any] | None],
) -> ListingPage:
    """Parse a page of one of Docker Hub's listings.

    :param row: makes a row of an item; None if the item is not valid.
    """
    results = get_list(document, "results")
    rows = [made for item in results if isinstance(item, dict) and (made := row(item))]
    assert isinstance(request.page, int)
    more = request.page + 1 if get_text(document, "next") and results else None
    return ListingPage(rows, _whole(document, "count") or 0, more, dropped=len(results) - len(rows))


def _documented_row(item: dict[str, Any]) -> list[Any] | None:
    """Return the row of a repository of the documented API."""
    namespace = get_text(item, "namespace")
    return _hub_row(item, f"{namespace}/{get_text(item, 'name')}", namespace == "library")


def _hub_row(item: dict[str, Any], name: str, official: Any) -> list[Any] | None:
    name = name if "/" in name else f"library/{name}"
    if not is_name(name):
        return None
    return [name, _whole(item, "star_count"), _whole(item, "pull_count"), bool(official)]


def _tag_row(item: dict[str, Any]) -> list[Any] | None:
    tag = get_text(item, "name")
    if not _TAG.match(tag):
        return None
    return [
        tag,
        get_text(item, "digest")[:200],
        _whole(item, "full_size"),
        (get_text(item, "tag_last_pushed") or get_text(item, "last_updated"))[:40],
    ]


def _whole(item: dict[str, Any], key: str) -> int | None:
    """Return a member that is a count, None if it is missing.

    :raises Malformed: it is not an integer from 0 on.
    """
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Malformed(f"{key!r} is not a count")
    return value


def _next(request: PageRequest, links: Sequence[str]) -> str | None:
    """Return path and query of the next page, None if this is the last.

    :raises Malformed: the `Link` headers can't be followed.
    """
    try:
        return next_page(links, path_of(request)) or None
    except ValueError as error:
        raise Malformed(str(error)) from None


_PAGE_BYTES = 16 << 20
"""Longest body of a page, bytes."""

_FINAL = frozenset({400, 404, 410, 422})
"""HTTP statuses that a later run would get too. (A 403 may only mean "enough for today".)"""


@dataclass(frozen=True)
class PageResult:
    """The result of a page request.

    :param page: None if the page is not available.
    :param reason: why it is not.
    :param passing: whether a later run may get it.
    :param limit: rate limit as the response states it: (requests, requests left, Unix time when all
        are available again).
    """

    page: ListingPage | None
    reason: str = ""
    passing: bool = False
    limit: tuple[int, int, float] | None = None


class PageFetcher:
    """Requests a page; a task of the `TaskPool`.

    :param host: the server of the API.
    :param workers: threads of all ranks, each of which may have a request under way.
    """

    def __init__(self, registries: Registries, host: str, workers: int) -> None:
        self._registries, self._host, self._workers = registries, host, workers

    def __call__(self, request: PageRequest) -> PageResult | None:
        """Return the result, None if the job was stopped before there was one."""
        client = self._registries.get(self._host).client
        try:
            response = client.get(path_of(request), scope=_scope(request), limit=_PAGE_BYTES)
            limit = limit_of(response.headers)
            self._pause(self._registries.budget, limit)
            page = parse_page(request, response.data, each(response.headers, "link"))
            return PageResult(page, limit=limit)
        except Malformed as error:
            return self._failed(request, f"a response that can't be read: {error}", True)
        except RegistryError as error:
            # There is no such repository, or the listing has become shorter since it was counted.
            if error.status == 404 and (request.kind == "repository" or _is_numbered(request)):
                return PageResult(ListingPage([]))
            passing = request.kind == "catalog" or error.status not in _FINAL
            return self._failed(request, str(error), passing)

    def _failed(self, request: PageRequest, reason: str, passing: bool) -> PageResult | None:
        if self._registries.stopped.is_set():
            return None
        return PageResult(None, f"{request.kind} {request.name}: {reason}", passing)

    def _pause(self, budget: Budget, limit: tuple[int, int, float] | None) -> None:
        """Pause while the rate limit still has room for the requests that are under way."""
        if limit and limit[1] < self._workers:
            budget.pause(self._host, max(limit[2] - time.time(), 0.0))


def _is_numbered(request: PageRequest) -> bool:
    """Tell whether a page has a number, which may be beyond the end of the listing."""
    return isinstance(request.page, int) and request.page > 1


def _scope(request: PageRequest) -> str:
    return {"catalog": "registry:catalog:*", "tag_list": scope_of(request.name)}.get(
        request.kind, ""
    )


def limit_of(headers: Mapping[str, str]) -> tuple[int, int, float] | None:
    """Return the rate limit in the headers of Docker Hub's API, None if they state none.

    :returns: (requests, requests left, Unix time when all are available again).

    >>> values = {"limit": "180", "remaining": "12", "reset": "1764038400"}
    >>> limit_of({f"x-ratelimit-{name}": value for name, value in values.items()})
    (180, 12, 1764038400.0)
    """
    texts = [headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining", "reset")]
    if not all(text.isdecimal() and len(text) < 13 for text in texts):
        return None
    return int(texts[0]), int(texts[1]), float(texts[2])
