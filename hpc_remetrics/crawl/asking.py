"""Asking for one page: the part of a crawl that runs in many threads of all ranks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import RegistryError
from ..registry.budget import Budget
from ..registry.endpoint import scope_of
from ..registry.header_fields import each
from ..registry.pool import Registries
from ..sources.documents import Malformed
from .pages import Ask, Page, parse_page, path_of

_PAGE_BYTES = 16 << 20

_FINAL = frozenset({400, 404, 410, 422})
"""Statuses that another start would meet again; a 403 may be a server that has had enough for
today."""


@dataclass(frozen=True)
class Answer:
    """What became of an ask.

    :param page: None if it can't be had.
    :param reason: why not.
    :param passing: whether another start may have it.
    :param limit: what the answer says of its limit: (requests, those left, Unix time when all are
        back).
    """

    page: Page | None
    reason: str = ""
    passing: bool = False
    limit: tuple[int, int, float] | None = None


class Asker:
    """Asks the host that answers; `TaskPool` calls it.

    :param workers: threads of all ranks, each of which may be asking just now.
    """

    def __init__(self, registries: Registries, host: str, workers: int) -> None:
        self._registries, self._host, self._workers = registries, host, workers

    def __call__(self, ask: Ask) -> Answer | None:
        """Return the answer, None if the job was told to stop before there was one."""
        try:
            small = self._registries.get(self._host).client.get(
                path_of(ask), scope=_scope(ask), limit=_PAGE_BYTES
            )
            limit = limit_of(small.headers)
            self._heed(self._registries.budget, limit)
            return Answer(parse_page(ask, small.data, each(small.headers, "link")), limit=limit)
        except Malformed as error:
            return self._failed(ask, f"an answer that makes no sense: {error}", True)
        except RegistryError as error:
            if error.status == 404 and (ask.kind == "repository" or _is_numbered(ask)):
                return Answer(
                    Page([])
                )  # there is none of that name; the listing has become shorter meanwhile
            return self._failed(
                ask, str(error), ask.kind == "catalog" or error.status not in _FINAL
            )

    def _failed(self, ask: Ask, reason: str, passing: bool) -> Answer | None:
        return (
            None
            if self._registries.stopped.is_set()
            else Answer(None, f"{ask.kind} {ask.name}: {reason}", passing)
        )

    def _heed(self, budget: Budget, limit: tuple[int, int, float] | None) -> None:
        """Wait for new requests while there are still some left for those who are asking just
        now."""
        if limit and limit[1] < self._workers:
            budget.pause(self._host, max(limit[2] - time.time(), 0.0))


def _is_numbered(ask: Ask) -> bool:
    """Tell whether a page was asked for by its number, which may be beyond the end."""
    return isinstance(ask.page, int) and ask.page > 1


def _scope(ask: Ask) -> str:
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
