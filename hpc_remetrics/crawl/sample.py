"""A stratified sample of repositories that can be drawn again, and the weights that go with it.

Strata are decades of pulls, with Docker Hub's official images apart. What is drawn depends on the
names and the seed alone: not on the order of a crawl, nor on what else was found. A larger sample
of the same seed holds the smaller one.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..sources.repositories import Repository

_LEAST = 2
"""Repositories of each stratum at least, so that a variance can be estimated."""


@dataclass(frozen=True)
class SampleStratum:
    """What one stratum holds and what was drawn of it."""

    population: int
    drawn: int

    @property
    def weight(self) -> float:
        """Repositories that a drawn one stands for."""
        return self.population / self.drawn if self.drawn else 0.0


def stratum_of(repository: Repository) -> str:
    """Return the stratum of a repository.

    >>> stratum_of(Repository(0, 4711, "a/b")), stratum_of(Repository(0, 0, "a/b"))
    ('pulls 1e3', 'pulls 0')
    >>> stratum_of(Repository(0, 10**9, "library/redis", official=True)), stratum_of(Repository(None, None, "x"))
    ('official', 'pulls unknown')
    """
    if repository.official:
        return "official"
    if repository.pulls is None:
        return "pulls unknown"
    return f"pulls 1e{len(str(repository.pulls)) - 1}" if repository.pulls else "pulls 0"


def allot(populations: Mapping[str, int], size: int) -> dict[str, int]:
    """Divide a sample among strata, by the square root of what they hold, at least two each.

    Between equal shares, which tell most about small strata, and proportional ones, which tell most
    about all together. No stratum gives more than it has.

    Each next place goes to the stratum that has the fewest for its due, so a larger sample takes
    nothing away from any.

    >>> allot({"pulls 0": 10_000, "pulls 1e1": 100, "official": 1}, 112)
    {'pulls 0': 101, 'pulls 1e1': 10, 'official': 1}
    """
    shares = {name: min(_LEAST, population) for name, population in populations.items()}
    due = [
        (-math.sqrt(n) / (shares[name] + 1), name)
        for name, n in populations.items()
        if shares[name] < n
    ]
    heapq.heapify(due)
    for _ in range(size - sum(shares.values())):
        if not due:
            break
        name = due[0][1]
        shares[name] += 1
        if shares[name] < populations[name]:
            heapq.heapreplace(due, (-math.sqrt(populations[name]) / (shares[name] + 1), name))
        else:
            heapq.heappop(due)
    return shares


def strata(repositories: Iterable[Repository], size: int) -> dict[str, SampleStratum]:
    """Count the strata and divide a sample of `size` among them."""
    populations = Counter(map(stratum_of, repositories))
    shares = allot(dict(sorted(populations.items())), size)
    return {name: SampleStratum(populations[name], shares[name]) for name in shares}


def draw(
    repositories: Iterable[Repository], parts: Mapping[str, SampleStratum], seed: int
) -> set[str]:
    """Return `REGISTRY/NAME` of what is drawn: of each stratum those whose hash with the seed is
    smallest."""
    drawn: dict[str, list[tuple[int, str]]] = {name: [] for name in parts}
    for repository in repositories:
        stratum, name = stratum_of(repository), f"{repository.registry}/{repository.name}"
        key = -int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:16], "big")
        heap, room = drawn[stratum], parts[stratum].drawn
        if len(heap) < room:
            heapq.heappush(heap, (key, name))
        elif heap and key > heap[0][0]:
            heapq.heapreplace(heap, (key, name))
    return {name for heap in drawn.values() for _, name in heap}
