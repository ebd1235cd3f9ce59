"""What a listing has shown already: a server that repeats itself would be asked without end."""

from __future__ import annotations

from collections import OrderedDict

from .pages import Ask, Page

_OPEN = 4096
"""Listings whose rows are remembered at once; those of the oldest then count as new once more."""


class Novelty:
    """Counts rows that are new in their listing, by a hash of each row of the listings that go
    on."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], set[int]] = OrderedDict()

    def count(self, ask: Ask, page: Page) -> int:
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
