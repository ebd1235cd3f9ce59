"""Images that came, went and moved between two datasets.

Images are matched by name and platform. Both tables are sorted by name, so they are read side by
side, a block at a time; only what changed is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import TypeAlias

import numpy as np

from ..arrays import distinct
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS
from ..records import Digest
from ..row_ranges import block_ranges
from .config_changes import changed_fields

_Manifests: TypeAlias = dict[str, dict[bytes, int]]
"""Platform -> digest of a manifest -> row in `/images`, for the images of one name."""


@dataclass(frozen=True)
class Images:
    """Images by name and platform: `moved` have another manifest, `unchanged` the same."""

    added: int = 0
    removed: int = 0
    moved: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class ImageChange:
    """An image that only one of two datasets has, or whose name has another manifest in the second.

    :ivar change: `added`, `removed` or `moved`.
    :ivar before: digest of its manifest in the first dataset, "" if it is not there; `after` of
        that in the second.
    :ivar layers: how many of its layers only the second dataset has; of a removed image, only the
        first. `CLS` and `FLS` are their bytes.
    :ivar config: of a moved image, the fields of its config that differ, a part of `FIELDS`.
    """

    change: str
    name: str
    platform: str
    before: str
    after: str
    layers: int
    CLS: int
    FLS: int
    config: tuple[str, ...] = ()


def image_changes(
    first: Dataset, second: Dataset, is_gone: np.ndarray, is_new: np.ndarray
) -> tuple[Images, list[ImageChange]]:
    """Count the images that changed, and list them in order of their names.

    :param is_gone: (layers of the first,) bool, those that the second does not have.
    :param is_new: (layers of the second,) bool, those that the first does not have.
    """
    sums_before = _LayerSums(first, is_gone)
    sums_after = _LayerSums(second, is_new)
    changes: list[ImageChange] = []
    # Rows of the images that moved, by place in `changes`.
    moved: dict[int, tuple[int, int]] = {}
    unchanged = 0
    for name, before, after in _side_by_side(first, second):
        for platform in sorted(before.keys() | after.keys()):
            old = before.get(platform, {})
            new = after.get(platform, {})
            unchanged += len(old.keys() & new.keys())
            # Pair what is left; mostly there is one manifest, or none
            gone = sorted(old.keys() - new.keys())
            come = sorted(new.keys() - old.keys())
            for one, other in zip_longest(gone, come):
                change = "removed" if other is None else "added" if one is None else "moved"
                sums = sums_before.of(old[one]) if other is None else sums_after.of(new[other])
                digests = _text(one), _text(other)
                if change == "moved":
                    moved[len(changes)] = old[one], new[other]
                changes.append(ImageChange(change, name, platform, *digests, *sums))
    # Compare their configs.
    config_before = first.images.column("config")
    config_after = second.images.column("config")
    fields = changed_fields(
        first,
        second,
        [int(config_before[row]) for row, _ in moved.values()],
        [int(config_after[row]) for _, row in moved.values()],
    )
    for place, names in zip(moved, fields, strict=True):
        changes[place] = replace(changes[place], config=names)
    kinds = [one.change for one in changes]
    counts = {word: kinds.count(word) for word in ("added", "removed", "moved")}
    return Images(**counts, unchanged=unchanged), changes


def _side_by_side(first: Dataset, second: Dataset) -> Iterator[tuple[str, _Manifests, _Manifests]]:
    """Yield each name of both datasets, with its manifests in the first and in the second."""
    sides = (_rows(dataset, side) for side, dataset in enumerate((first, second)))
    for name, rows in groupby(heapq.merge(*sides, key=itemgetter(0)), itemgetter(0)):
        found: tuple[_Manifests, _Manifests] = ({}, {})
        for _, side, platform, digest, row in rows:
            found[side].setdefault(platform, {})[digest] = row
        yield name, *found


def _rows(dataset: Dataset, side: int) -> Iterator[tuple[str, int, str, bytes, int]]:
    """Yield name, side, platform, digest and row of each image, in order of the names."""
    images = dataset.images
    for start, stop in block_ranges(len(images), CHUNK_ROWS):
        names = images.readable("name", start, stop).tolist()
        platforms = images.readable("platform", start, stop).tolist()
        digests = images.column("digest", start, stop).tolist()
        rows = range(start, stop)
        for name, platform, digest, row in zip(names, platforms, digests, rows, strict=True):
            yield name, side, platform, digest, row


def _text(digest: bytes | None) -> str:
    return "" if digest is None else str(Digest(digest))


class _LayerSums:
    """Sums over those layers of an image that the other dataset does not have."""

    def __init__(self, dataset: Dataset, is_counted: np.ndarray) -> None:
        self._is_counted = is_counted
        self._first = dataset.images["first_layer"]
        self._layers = dataset.images["layers"]
        self._layer = dataset.image_layers["layer"]
        self._sizes = [dataset.layers[name] for name in ("CLS", "FLS")]

    def of(self, image: int) -> tuple[int, int, int]:
        """Return the number of the layers, their CLS and their FLS.

        :param image: its row.
        """
        first = int(self._first[image])
        layers = distinct(self._layer[first : first + int(self._layers[image])])
        counted = layers[self._is_counted[layers]]
        CLS, FLS = (int(size[counted].sum()) for size in self._sizes)
        return len(counted), CLS, FLS
