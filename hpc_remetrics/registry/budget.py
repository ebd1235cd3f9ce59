"""The requests that a job may send to registries: a rate, and the pauses that registries ask for.

The rate is divided among the ranks. A pause that a registry asks one rank for is sent to the others
(`new_pauses` there, `apply_pauses` here), so that all of them wait.
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
"""The requests that a pause stops: all, or GETs of manifests, which count as pulls."""


@dataclass(frozen=True)
class Pause:
    """A pause that a registry asks for, as ranks send it to each other.

    :param kind: `ALL` or `PULLS`.
    :param seconds: from now on.
    """

    host: str
    kind: str
    seconds: float


@dataclass(frozen=True)
class PullLimit:
    """A registry's limit by its headers: `limit` pulls in `window` seconds, `remaining` left.

    `remaining` is -1 where the headers don't state it.
    """

    limit: int
    window: int
    remaining: int

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> PullLimit | None:
        """Parse the headers of a response, None if they state no limit.

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
    """The share of one process in a job's budget; shared by threads.

    :ivar limits: host -> its limit on pulls, as last stated.
    :ivar requests: number of requests so far.
    """

    def __init__(self, access: Access) -> None:
        self._gap = access.ranks / access.requests_per_second if access.requests_per_second else 0.0
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}
        self._next: dict[str, float] = {}
        self._unsent: set[tuple[str, str]] = set()
        self.limits: dict[str, PullLimit] = {}
        self.requests = 0

    def claim(self, host: str, kind: str = ALL) -> float:
        """Count one request and return 0.0, or return the seconds until one is allowed."""
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
        """Pause requests to a registry on this rank, and with the next message on all others."""
        if self._hold(host, seconds, kind):
            with self._lock:
                self._unsent.add((host, kind))

    def apply_headers(self, host: str, headers: Mapping[str, str]) -> None:
        """Take the pull limit from the response to a pull; if none are left, pull at its rate."""
        limit = PullLimit.of(headers)
        if limit is None:
            return
        self.limits[host] = limit
        if limit.remaining == 0 and limit.limit:
            self.pause(host, limit.window / limit.limit, PULLS)

    def new_pauses(self) -> list[Pause]:
        """Return the pauses that have not been sent to other ranks yet."""
        if not self._unsent:
            return []
        with self._lock:
            fresh, self._unsent = self._unsent, set()
            now = time.monotonic()
            return [
                Pause(*key, self._until[key] - now)
                for key in sorted(fresh)
                if self._until[key] > now
            ]

    def apply_pauses(self, pauses: Iterable[Pause]) -> None:
        """Apply the pauses of other ranks."""
        for pause in pauses:
            self._hold(pause.host, pause.seconds, pause.kind)

    def _hold(self, host: str, seconds: float, kind: str) -> bool:
        """Extend the pause of a registry; return whether that made a difference."""
        with self._lock:
            until = time.monotonic() + max(seconds, 0.0)
            # Ignore differences below 50 ms, so that ranks don't send them around.
            if until <= self._until.get((host, kind), 0.0) + 0.05:
                return False
            self._until[host, kind] = until
            return True
