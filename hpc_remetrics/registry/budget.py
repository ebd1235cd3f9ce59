"""What a job may ask of registries, shared by all its ranks: a rate of requests, and pauses that
registries demand.

The rate is divided among the ranks. A pause that one rank is told is news, which its owner sends to
the others (`new_pauses` there, `apply_pauses` here), so that all of them wait.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .access import Access

_LIMIT = re.compile(r"(\d{1,9})\s*(?:;\s*w=(\d{1,9}))?")

ALL, PULLS = "requests", "pulls"
"""What a pause holds back: every request, or the GETs of manifests that registries count as
pulls."""


@dataclass(frozen=True)
class Pause:
    """A registry's wish to be left alone, as ranks tell each other.

    :param kind: `ALL` or `PULLS`.
    :param seconds: from now on.
    """

    host: str
    kind: str
    seconds: float


@dataclass(frozen=True)
class PullLimit:
    """A registry's limit as its headers say it: `limit` pulls in `window` seconds, `remaining` left
    (-1: unsaid)."""

    limit: int
    window: int
    remaining: int

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> PullLimit | None:
        """Read the headers of an answer, None if they say nothing.

        >>> PullLimit.of({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"})
        PullLimit(limit=100, window=21600, remaining=76)
        """
        limit, remaining = (
            _LIMIT.match(headers.get("ratelimit-limit", "")),
            headers.get("ratelimit-remaining", ""),
        )
        if limit is None:
            return None
        left = _LIMIT.match(remaining)
        return cls(int(limit[1]), int(limit[2] or 0), int(left[1]) if left else -1)


class Budget:
    """One process's share of a job's budget; threads may share it."""

    def __init__(self, access: Access) -> None:
        self._gap = access.ranks / access.requests_per_second if access.requests_per_second else 0.0
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}
        self._next: dict[str, float] = {}
        self._news: set[tuple[str, str]] = set()
        self.limits: dict[str, PullLimit] = {}
        self.requests = 0

    def claim(self, host: str, kind: str = ALL) -> float:
        """Return 0.0 and take leave for one request to a registry, or the seconds until one may ask
        again."""
        with self._lock:
            now = time.monotonic()
            kinds = {ALL, kind}
            wait = max(self._until.get((host, one), 0.0) for one in kinds) - now
            wait = max(wait, self._next.get(host, 0.0) - now)
            if wait > 0:
                return wait
            self.requests += 1
            if self._gap:
                self._next[host] = now + self._gap
            return 0.0

    def pause(self, host: str, seconds: float, kind: str = ALL) -> None:
        """Take note that a registry wants to be left alone."""
        if self._hold(host, seconds, kind):
            with self._lock:
                self._news.add((host, kind))

    def apply_headers(self, host: str, headers: Mapping[str, str]) -> None:
        """Read what the answer to a pull says of the pulls left; when none are, pulls go on at the
        limit's pace."""
        limit = PullLimit.of(headers)
        if limit is None:
            return
        self.limits[host] = limit
        if limit.remaining == 0 and limit.limit:
            self.pause(host, limit.window / limit.limit, PULLS)

    def new_pauses(self) -> list[Pause]:
        """Return the pauses that other ranks have not been told yet."""
        if not self._news:
            return []
        with self._lock:
            fresh, self._news = self._news, set()
            now = time.monotonic()
            return [
                Pause(*key, self._until[key] - now)
                for key in sorted(fresh)
                if self._until[key] > now
            ]

    def apply_pauses(self, pauses: Iterable[Pause]) -> None:
        """Take the news of other ranks."""
        for pause in pauses:
            self._hold(pause.host, pause.seconds, pause.kind)

    def _hold(self, host: str, seconds: float, kind: str) -> bool:
        with self._lock:
            until = time.monotonic() + max(seconds, 0.0)
            # What moves an end by less than a moment is no news.
            if until <= self._until.get((host, kind), 0.0) + 0.05:
                return False
            self._until[host, kind] = until
            return True
