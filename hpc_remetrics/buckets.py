"""The four size buckets into which layers are divided, as the 2017 tool's job divider had them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .records import Layer

MB = 10**6

BUCKETS: tuple[tuple[str, int | None], ...] = (
    ("up to 50 MB", 50 * MB),
    ("up to 1 GB", 1_000 * MB),
    ("up to 2 GB", 2_000 * MB),
    ("above 2 GB", None),
)
"""Name and maximum size of each bucket, compressed bytes."""


@dataclass(frozen=True)
class Bucket:
    """The layers of one range of sizes, the largest first."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def bytes(self) -> int:
        """Compressed bytes of the layers."""
        return total_size(self.layers)


def total_size(layers: Iterable[Layer]) -> int:
    """Return the compressed bytes of layers; an unknown size counts as 0."""
    return sum(max(layer.size, 0) for layer in layers)


def by_size(layers: Iterable[Layer]) -> list[Layer]:
    """Return layers from the largest to the smallest, those of one size in order of digest."""
    # Two stable sorts take less time than one by pairs.
    ordered = sorted(layers, key=lambda layer: layer.digest.raw)
    ordered.sort(key=lambda layer: -layer.size)
    return ordered


def divide(layers: Iterable[Layer]) -> tuple[Bucket, ...]:
    """Divide layers by compressed size into the four buckets; an unknown size counts as small."""
    parts: list[list[Layer]] = [[] for _ in BUCKETS]
    for layer in by_size(layers):
        parts[bucket_of(layer.size)].append(layer)
    return tuple(Bucket(name, tuple(part)) for (name, _), part in zip(BUCKETS, parts, strict=True))


def bucket_of(size: int) -> int:
    """Return the number of the bucket of a layer of `size` bytes.

    >>> bucket_of(50_000_000), bucket_of(50_000_001), bucket_of(3 * 10**9)
    (0, 1, 3)
    """
    return next(number for number, (_, most) in enumerate(BUCKETS) if most is None or size <= most)
