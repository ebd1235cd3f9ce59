"""A reproducible stratified sample of repositories, and its weights.

Strata are decades of pulls, and one of Docker Hub's official images. The sample depends only on
names and seed, not on the order of a crawl or on other repositories. A larger sample with the same
seed contains the smaller one.
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
"""Repositories drawn of each stratum at least, so that a variance can be estimated."""


@dataclass(frozen=True)
class SampleStratum:
    """The number of repositories in one stratum, and of those that are drawn."""

    population: int
    drawn: int

    @property
    def weight(self) -> float:
        """Repositories that a drawn one represents."""
        return self.population / self.drawn if self.drawn else 0.0


def stratum_of(repository: Repository) -> str:
    """Return the stratum of a repository.

    >>> stratum_of(Repository(0, 4711, "a/b")), stratum_of(Repository(0, 0, "a/b"))
    ('pulls 1e3', 'pulls 0')
    >>> stratum_of(Repository(0, 10**9, "library/redis", official=True))
    'official'
    >>> stratum_of(Repository(None, None, "x"))
    'pulls unknown'
    """
    if repository.official:
        return "official"
    if repository.pulls is None:
        return "pulls unknown"
    return f"pulls 1e{len(str(repository.pulls)) - 1}" if repository.pulls else "pulls 0"


def allot(populations: Mapping[str, int], size: int) -> dict[str, int]:
    """Divide a sample among strata by the square root of their population, at least two each.

    This is between equal shares, which say most about small strata, and proportional ones, which
    say most about the whole. Each repository is given to the stratum that is furthest below its
    share, so a larger sample takes nothing away from any stratum.

    :param populations: stratum -> repositories in it.
    :param size: of the whole sample.
    :returns: stratum -> repositories to draw, at most its population.

    >>> allot({"pulls 0": 10_000, "pulls 1e1": 100, "official": 1}, 112)
    {'pulls 0': 101, 'pulls 1e1': 10, 'official': 1}
    """
    shares = {name: min(_LEAST, population) for name, population in populations.items()}
    # A heap of (-sqrt(population) / next share, stratum), for strata that are not used up.
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
    """Count the repositories of each stratum and divide a sample of `size` among the strata."""
    populations = Counter(map(stratum_of, repositories))
    shares = allot(dict(sorted(populations.items())), size)
    return {name: SampleStratum(populations[name], shares[name]) for name in shares}


def draw(
    repositories: Iterable[Repository], parts: Mapping[str, SampleStratum], seed: int
) -> set[str]:
    """Return `REGISTRY/NAME` of the drawn repositories: the smallest hashes with the seed.

    :param parts: stratum -> how many to draw of it.
    """
    # A heap for each stratum, its largest hash on top.
    drawn: dict[str, list[tuple[int, str]]] = {name: [] for name in parts}
    for repository in repositories:
        stratum = stratum_of(repository)
        name = f"{repository.registry}/{repository.name}"
        key = -int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:16], "big")
        heap = drawn[stratum]
        room = parts[stratum].drawn
        if len(heap) < room:
            heapq.heappush(heap, (key, name))
        elif heap and key > heap[0][0]:
            heapq.heapreplace(heap, (key, name))
    return {name for heap in drawn.values() for _, name in heap}
