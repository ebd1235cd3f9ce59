"""The pages of listings: what to ask for, and what the answer says. Nothing in an answer is
trusted.

Docker Hub has an API that its documentation describes (namespaces, tags) and one that it doesn't
(search); a registry has `_catalog` and `tags/list`, which continue by a `Link` header.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from ..errors import RegistryError
from ..registry.budget import Budget
from ..registry.endpoint import Registries, scope_of
from ..registry.header_fields import each, next_page
from ..sources.documents import Malformed, get_list, get_text, parse

PAGE_SIZE = 100
"""What Docker Hub gives at most."""

_CATALOG_SIZE = 1000

_NAME = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


@dataclass(frozen=True)
class PageRequest:
    """One page to ask for.

    :param kind: a member of :data:`KINDS`.
    :param name: what is asked about: a query, a namespace, a repository; "" for a catalog.
    :param page: from 1 on; of a registry's listing 1, then path and query of the page as its `Link`
        header has them (a journal of an older version: the name after which the page begins).
    """

    kind: str
    name: str
    page: int | str = 1

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name} {self.page}"


@dataclass(frozen=True)
class ListingPage:
    """What came back.

    :param rows: `search`, `namespace` and `repository`: [name, stars, pulls, official]; `catalog`:
        [name]; `tags` and `tag_list`: [tag, digest, bytes, updated].
    :param count: how many there are in all, as the answer says (at most 10,000 for a search).
    :param more: what :class:`PageRequest` has as the next page; None if this is the last.
    :param narrow: whether the rows have the query in their names, so that a longer one would find
        less.
    :param dropped: rows that were none, such as names that no registry can have.
    :param fresh: rows that their listing had not shown before.
    """

    rows: list[list[Any]]
    count: int = 0
    more: int | str | None = None
    narrow: bool = False
    dropped: int = 0
    fresh: int = 0


def path_of(ask: PageRequest) -> str:
    """Return the path and query of a page's URL at its host."""
    if isinstance(ask.page, str) and ask.page.startswith("/"):
        return ask.page
    return KINDS[ask.kind][0](ask)


def parse_page(ask: PageRequest, body: bytes, links: Sequence[str] = ()) -> ListingPage:
    """Read an answer; `Malformed` if it is none.

    :param links: its `Link` headers.
    """
    return KINDS[ask.kind][1](ask, parse(body), links)


def _search_path(ask: PageRequest) -> str:
    return "/v2/search/repositories/?" + urlencode(
        {"query": ask.name, "page": ask.page, "page_size": PAGE_SIZE}
    )


def _namespace_path(ask: PageRequest) -> str:
    return f"/v2/namespaces/{quote(ask.name)}/repositories?page={ask.page}&page_size={PAGE_SIZE}"


def _repository_path(ask: PageRequest) -> str:
    namespace, _, name = ask.name.partition("/")
    return f"/v2/namespaces/{quote(namespace)}/repositories/{quote(name)}"


def _tags_path(ask: PageRequest) -> str:
    return f"{_repository_path(ask)}/tags?page={ask.page}&page_size={PAGE_SIZE}"


def _catalog_path(ask: PageRequest) -> str:
    return f"/v2/_catalog?{_after(ask)}"


def _tag_list_path(ask: PageRequest) -> str:
    return f"/v2/{quote(ask.name)}/tags/list?{_after(ask)}"


def _after(ask: PageRequest) -> str:
    return urlencode({"n": _CATALOG_SIZE, **({} if ask.page == 1 else {"last": ask.page})})


def _parse_search(ask: PageRequest, answer: dict[str, Any], links: Sequence[str]) -> ListingPage:
    found = _listed(
        ask,
        answer,
        lambda item: _hub_row(item, get_text(item, "repo_name"), item.get("is_official")),
    )
    narrow = any(ask.name in row[0].removeprefix("library/") for row in found.rows)
    return ListingPage(found.rows, found.count, found.more, narrow, found.dropped)


def _parse_namespace(ask: PageRequest, answer: dict[str, Any], links: Sequence[str]) -> ListingPage:
    return _listed(ask, answer, _documented_row)


def _parse_repository(
    ask: PageRequest, answer: dict[str, Any], links: Sequence[str]
) -> ListingPage:
    row = _documented_row(answer)
    return ListingPage([row] if row else [], 1, dropped=int(row is None))


def _parse_tags(ask: PageRequest, answer: dict[str, Any], links: Sequence[str]) -> ListingPage:
    return _listed(ask, answer, _tag_row)


def _parse_catalog(ask: PageRequest, answer: dict[str, Any], links: Sequence[str]) -> ListingPage:
    names = get_list(answer, "repositories")
    rows = [[name] for name in names if isinstance(name, str) and is_name(name)]
    return ListingPage(rows, len(names), _next(ask, links), dropped=len(names) - len(rows))


def _parse_tag_list(ask: PageRequest, answer: dict[str, Any], links: Sequence[str]) -> ListingPage:
    tags = get_list(answer, "tags")
    rows = [[tag, "", None, ""] for tag in tags if isinstance(tag, str) and _TAG.match(tag)]
    return ListingPage(rows, len(tags), _next(ask, links), dropped=len(tags) - len(rows))


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
"""How each kind of page is asked for, and read."""


def is_name(name: str) -> bool:
    """Say whether a registry can have a repository of this name."""
    return len(name) <= 255 and _NAME.match(name) is not None


def _listed(
    ask: PageRequest, answer: dict[str, Any], row: Callable[[dict[str, Any]], list[Any] | None]
) -> ListingPage:
    """Read a page of one of Docker Hub's listings."""
    results = get_list(answer, "results")
    rows = [made for item in results if isinstance(item, dict) and (made := row(item))]
    assert isinstance(ask.page, int)
    more = ask.page + 1 if get_text(answer, "next") and results else None
    return ListingPage(rows, _whole(answer, "count") or 0, more, dropped=len(results) - len(rows))


def _documented_row(item: dict[str, Any]) -> list[Any] | None:
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
        get_text(item, "last_updated")[:40],
    ]


def _whole(item: dict[str, Any], key: str) -> int | None:
    """Return a member that is a count, None if it is missing; `Malformed` if it can't be one."""
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Malformed(f"{key!r} is no count")
    return value


def _next(ask: PageRequest, links: Sequence[str]) -> str | None:
    """Return where a listing goes on; `Malformed` if its `Link` headers can't be followed."""
    try:
        return next_page(links, path_of(ask)) or None
    except ValueError as error:
        raise Malformed(str(error)) from None


_PAGE_BYTES = 16 << 20

_FINAL = frozenset({400, 404, 410, 422})
"""Statuses that another start would meet again; a 403 may be a server that has had enough for
today."""


@dataclass(frozen=True)
class PageResult:
    """What became of an ask.

    :param page: None if it can't be had.
    :param reason: why not.
    :param passing: whether another start may have it.
    :param limit: what the answer says of its limit: (requests, those left, Unix time when all are
        back).
    """

    page: ListingPage | None
    reason: str = ""
    passing: bool = False
    limit: tuple[int, int, float] | None = None


class PageFetcher:
    """Asks the host that answers; `TaskPool` calls it.

    :param workers: threads of all ranks, each of which may be asking just now.
    """

    def __init__(self, registries: Registries, host: str, workers: int) -> None:
        self._registries, self._host, self._workers = registries, host, workers

    def __call__(self, ask: PageRequest) -> PageResult | None:
        """Return the answer, None if the job was told to stop before there was one."""
        try:
            small = self._registries.get(self._host).client.get(
                path_of(ask), scope=_scope(ask), limit=_PAGE_BYTES
            )
            limit = limit_of(small.headers)
            self._heed(self._registries.budget, limit)
            return PageResult(parse_page(ask, small.data, each(small.headers, "link")), limit=limit)
        except Malformed as error:
            return self._failed(ask, f"an answer that makes no sense: {error}", True)
        except RegistryError as error:
            if error.status == 404 and (ask.kind == "repository" or _is_numbered(ask)):
                return PageResult(
                    ListingPage([])
                )  # there is none of that name; the listing has become shorter meanwhile
            return self._failed(
                ask, str(error), ask.kind == "catalog" or error.status not in _FINAL
            )

    def _failed(self, ask: PageRequest, reason: str, passing: bool) -> PageResult | None:
        return (
            None
            if self._registries.stopped.is_set()
            else PageResult(None, f"{ask.kind} {ask.name}: {reason}", passing)
        )

    def _heed(self, budget: Budget, limit: tuple[int, int, float] | None) -> None:
        """Wait for new requests while there are still some left for those who are asking just
        now."""
        if limit and limit[1] < self._workers:
            budget.pause(self._host, max(limit[2] - time.time(), 0.0))


def _is_numbered(ask: PageRequest) -> bool:
    """Tell whether a page was asked for by its number, which may be beyond the end."""
    return isinstance(ask.page, int) and ask.page > 1


def _scope(ask: PageRequest) -> str:
    return {"catalog": "registry:catalog:*", "tag_list": scope_of(ask.name)}.get(ask.kind, "")


def limit_of(headers: Mapping[str, str]) -> tuple[int, int, float] | None:
    """Return requests, those left, and when all are back (Unix time), as the headers of Docker
    Hub's API say it.

    >>> limit_of({"x-ratelimit-limit": "180", "x-ratelimit-remaining": "12", "x-ratelimit-reset": "1764038400"})
    (180, 12, 1764038400.0)
    """
    texts = [headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining", "reset")]
    if not all(text.isdecimal() and len(text) < 13 for text in texts):
        return None
    return int(texts[0]), int(texts[1]), float(texts[2])
