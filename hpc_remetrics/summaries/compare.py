"""Compare two datasets: layers, contents and images added and removed, types and ratios changed.

Layers and contents are matched by digest. Both tables are sorted by digest, so they are merged side
by side, in memory that does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS
from ..dataset.table import Table


@dataclass
class Amount:
    """A number of things, and their bytes; amounts add up."""

    count: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.bytes + other.bytes)


@dataclass
class Changes:
    """What only the second dataset has, what only the first has, and what both have."""

    added: Amount = field(default_factory=Amount)
    removed: Amount = field(default_factory=Amount)
    unchanged: Amount = field(default_factory=Amount)

    @property
    def before(self) -> Amount:
        return self.removed + self.unchanged

    @property
    def after(self) -> Amount:
        return self.added + self.unchanged


@dataclass(frozen=True)
class Images:
    """Images by name and platform: `changed` have another manifest, `unchanged` the same."""

    added: int
    removed: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class TypeChange:
    """One type, group or class: files (copies) and their bytes, before and after."""

    name: str
    files: tuple[int, int]
    bytes: tuple[int, int]

    @property
    def moved(self) -> int:
        """Return by how many bytes it grew, below 0 if it shrank."""
        return self.bytes[1] - self.bytes[0]


@dataclass(frozen=True)
class Comparison:
    """Two datasets compared; pairs are (first, second), NaN-free (0.0 where nothing is).

    :ivar layers: bytes are CLS.
    :ivar contents: bytes are each content's once.
    :ivar retyped: contents that both have, under another type (another libmagic, or other options).
    :ivar typed: what typed the files of each, as `/run` says it.
    :ivar numbers: sums and ratios by name.
    :ivar types: those whose files or bytes moved, most bytes first; `groups` and `classes` alike.
    """

    images: Images
    layers: Changes
    contents: Changes
    retyped: int
    typed: tuple[str, str]
    numbers: dict[str, tuple[float, float]]
    types: list[TypeChange]
    groups: list[TypeChange]
    classes: list[TypeChange]


def compare(first: Dataset, second: Dataset) -> Comparison:
    """Compare two datasets."""
    layers, _ = _moved(first.layers, second.layers, "CLS")
    contents, retyped = _moved(
        first.contents, second.contents, "size", _names(first), _names(second)
    )
    sums = _by_type(first), _by_type(second)
    return Comparison(
        _images(first, second),
        layers,
        contents,
        retyped,
        (str(first.run.get("types", "")), str(second.run.get("types", ""))),
        _numbers(first, second, contents),
        *(_types_moved(*(_summed(one, level) for one in sums)) for level in range(3)),
    )


def _moved(
    first: Table,
    second: Table,
    size: str,
    one: np.ndarray | None = None,
    other: np.ndarray | None = None,
) -> tuple[Changes, int]:
    """Return what moved between two tables with digests, and how many of what unchanged have another
    type."""
    moved, retyped = Changes(), 0
    for (a, digests_a), (b, digests_b) in _side_by_side(first, second):
        _, in_a, in_b = np.intersect1d(
            digests_a, digests_b, assume_unique=True, return_indices=True
        )
        bytes_a, bytes_b = (
            table.column(size, at.start, at.stop) for table, at in ((first, a), (second, b))
        )
        unchanged = Amount(len(in_a), int(bytes_b[in_b].sum()))
        moved.unchanged += unchanged
        moved.removed += Amount(
            len(digests_a) - len(in_a), int(bytes_a.sum() - bytes_a[in_a].sum())
        )
        moved.added += Amount(len(digests_b) - len(in_b), int(bytes_b.sum()) - unchanged.bytes)
        if one is not None and other is not None:
            types_a, types_b = (
                table.column("type", at.start, at.stop) for table, at in ((first, a), (second, b))
            )
            retyped += int((one[types_a[in_a]] != other[types_b[in_b]]).sum())
    return moved, retyped


def _side_by_side(
    first: Table, second: Table
) -> Iterator[tuple[tuple[slice, np.ndarray], tuple[slice, np.ndarray]]]:
    """Yield rows and digests of both tables up to one digest after another, so that equal ones come
    together."""
    tables, at = (first, second), [0, 0]
    while at[0] < len(first) or at[1] < len(second):
        # All digests have 32 bytes, so that it is no matter that `S` ends at trailing zeros.
        digests = [
            table.column("digest", start, start + CHUNK_ROWS).view("S32")
            for table, start in zip(tables, at, strict=True)
        ]
        bound = min(part[-1] for part in digests if len(part))
        ends = [
            start + int(np.searchsorted(part, bound, "right"))
            for start, part in zip(at, digests, strict=True)
        ]
        (low_a, low_b), (high_a, high_b) = at, ends
        yield (
            (slice(low_a, high_a), digests[0][: high_a - low_a]),
            (slice(low_b, high_b), digests[1][: high_b - low_b]),
        )
        at = ends


def _names(dataset: Dataset) -> np.ndarray:
    return dataset.types.readable("description")


def _images(first: Dataset, second: Dataset) -> Images:
    one, other = _manifests(first), _manifests(second)
    both = one.keys() & other.keys()
    same = sum(one[key] == other[key] for key in both)
    return Images(len(other) - len(both), len(one) - len(both), len(both) - same, same)


def _manifests(dataset: Dataset) -> dict[tuple[str, str], str]:
    columns = (dataset.images.readable(name).tolist() for name in ("name", "platform", "digest"))
    return {(name, platform): digest for name, platform, digest in zip(*columns, strict=True)}


def _by_type(dataset: Dataset) -> dict[tuple[str, str, str], np.ndarray]:
    """Return (type, group, class) -> files and bytes."""
    sums = np.zeros((len(dataset.types), 2), np.int64)
    for start in range(0, len(dataset.contents), CHUNK_ROWS):
        types, copies, size = (
            dataset.contents.column(name, start, start + CHUNK_ROWS)
            for name in ("type", "copies", "size")
        )
        np.add.at(sums, types, np.stack([copies, copies * size], axis=1))
    names = (dataset.types.readable(name).tolist() for name in ("description", "group", "class"))
    return dict(zip(zip(*names, strict=True), sums, strict=True))


def _summed(sums: dict[tuple[str, str, str], np.ndarray], level: int) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for names, values in sums.items():
        found[names[level]] = found.get(names[level], 0) + values
    return found


def _types_moved(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> list[TypeChange]:
    none = np.zeros(2, np.int64)
    found = []
    for name in sorted(first.keys() | second.keys()):
        (files, size), (files_now, size_now) = (
            first.get(name, none).tolist(),
            second.get(name, none).tolist(),
        )
        if (files, size) != (files_now, size_now):
            found.append(TypeChange(name, (files, files_now), (size, size_now)))
    return sorted(found, key=lambda one: (-abs(one.moved), one.name))


def _numbers(first: Dataset, second: Dataset, contents: Changes) -> dict[str, tuple[float, float]]:
    before, after = _sums(first, contents.before), _sums(second, contents.after)
    return {name: (before[name], after[name]) for name in before}


def _sums(dataset: Dataset, contents: Amount) -> dict[str, float]:
    CLS, TLS, FLS, files = (
        int(dataset.layers[name].sum()) for name in ("CLS", "TLS", "FLS", "files")
    )
    sizes, shared = dataset.layers["CLS"], dataset.image_layers["layer"]
    without_sharing = int(sizes[shared].sum())
    return {
        "images": len(dataset.images),
        "layers": len(dataset.layers),
        "files": files,
        "contents": contents.count,
        "CLS": CLS,
        "TLS": TLS,
        "FLS": FLS,
        "content_bytes": contents.bytes,
        "sharing_ratio": _ratio(without_sharing, CLS),
        "compression_ratio_FLS": _ratio(FLS, CLS),
        "compression_ratio_TLS": _ratio(TLS, CLS),
        "dedup_ratio_by_count": _ratio(files, contents.count),
        "dedup_ratio_by_capacity": _ratio(FLS, contents.bytes),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
