"""Compare two datasets: images, layers, files and contents that came and went, types and ratios.

Layers and contents are matched by digest. Both tables are sorted by digest, so they are merged side
by side, in memory that does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS
from ..dataset.table import Table
from .config_changes import FIELDS
from .image_changes import ImageChange, Images, image_changes
from .totals import bytes_without_sharing, ratio, sums_by_type

_LEVELS = ("description", "group", "class")
"""Columns of `/types` by which files are summed: each type by itself, and two wider names."""


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
        """All that the first dataset has."""
        return self.removed + self.unchanged

    @property
    def after(self) -> Amount:
        """All that the second dataset has."""
        return self.added + self.unchanged


@dataclass(frozen=True)
class TypeChange:
    """One type, group or class: files (copies) and their bytes, before and after."""

    name: str
    files: tuple[int, int]
    bytes: tuple[int, int]

    @property
    def added_bytes(self) -> int:
        """Bytes of its files that were added, below 0 if there are fewer than before."""
        return self.bytes[1] - self.bytes[0]


@dataclass(frozen=True)
class Comparison:
    """Two datasets compared; pairs are (first, second), a ratio whose denominator is 0 is 0.0.

    :ivar image_changes: the images that came, went or moved, in order of their names.
    :ivar config_changes: field of a config -> moved images in whose config it differs.
    :ivar layers: with compressed bytes (CLS).
    :ivar files: the files of these layers, with their bytes (FLS); a content counts as often as
        files have it.
    :ivar contents: with the bytes of each content once.
    :ivar retyped: contents that both have, under another type (another libmagic, or other options).
    :ivar typed: what typed the files of each dataset, as `/run` says it.
    :ivar numbers: sums and ratios by name.
    :ivar types: the types whose files or bytes changed, largest change of bytes first; `groups` and
        `classes` likewise.
    """

    images: Images
    image_changes: list[ImageChange]
    config_changes: dict[str, int]
    layers: Changes
    files: Changes
    contents: Changes
    retyped: int
    typed: tuple[str, str]
    numbers: dict[str, tuple[float, float]]
    types: list[TypeChange]
    groups: list[TypeChange]
    classes: list[TypeChange]


def compare(first: Dataset, second: Dataset) -> Comparison:
    """Compare two datasets."""
    layers = Changes()
    files = Changes()
    is_gone = np.ones(len(first.layers), bool)
    is_new = np.ones(len(second.layers), bool)
    for rows in _side_by_side(first.layers, second.layers):
        rows.count("CLS", layers)
        rows.count("FLS", files, "files")
        is_gone[rows.before][rows.in_before] = False
        is_new[rows.after][rows.in_after] = False

    # Contents that both have may have another type
    contents = Changes()
    retyped = 0
    names_before = first.types.readable("description")
    names_after = second.types.readable("description")
    for rows in _side_by_side(first.contents, second.contents):
        rows.count("size", contents)
        types_before, types_after = rows.common("type")
        retyped += int((names_before[types_before] != names_after[types_after]).sum())

    images, changed_images = image_changes(first, second, is_gone, is_new)
    before = _sums(first, contents.before)
    after = _sums(second, contents.after)
    types, groups, classes = _type_changes(first, second)
    return Comparison(
        images=images,
        image_changes=changed_images,
        config_changes=_config_changes(changed_images),
        layers=layers,
        files=files,
        contents=contents,
        retyped=retyped,
        typed=(str(first.run.get("types", "")), str(second.run.get("types", ""))),
        numbers={name: (before[name], after[name]) for name in before},
        types=types,
        groups=groups,
        classes=classes,
    )


@dataclass(frozen=True)
class _Rows:
    """Rows of two sorted tables with all digests of both up to some digest.

    :ivar before: rows of the table `first`, and `after`: of `second`.
    :ivar in_before: (n,) int64, places in `before` of the n digests that both have; `in_after`
        likewise.
    """

    first: Table
    second: Table
    before: slice
    after: slice
    in_before: np.ndarray
    in_after: np.ndarray

    def common(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return two (n,) arrays, a column's values for the digests that both have."""
        before = self.first.column(name, self.before.start, self.before.stop)
        after = self.second.column(name, self.after.start, self.after.stop)
        return before[self.in_before], after[self.in_after]

    def count(self, size: str, changes: Changes, number: str | None = None) -> None:
        """Add the rows, and the sums of their column `size`, to the changes.

        :param number: a column that says how many things a row stands for; None: one.
        """
        gone, _ = _amounts(self.first, self.before, self.in_before, size, number)
        come, kept = _amounts(self.second, self.after, self.in_after, size, number)
        changes.removed += gone
        changes.added += come
        changes.unchanged += kept


def _amounts(
    table: Table, rows: slice, common: np.ndarray, size: str, number: str | None
) -> tuple[Amount, Amount]:
    """Return the amounts of those rows of a table that it alone has, and of those in both.

    :param common: (n,) int64, places in `rows` of the rows in both.
    """
    sizes = table.column(size, rows.start, rows.stop)
    numbers = np.ones(len(sizes), np.int64)
    if number is not None:
        numbers = table.column(number, rows.start, rows.stop)
    kept = Amount(int(numbers[common].sum()), int(sizes[common].sum()))
    alone = Amount(int(numbers.sum()) - kept.count, int(sizes.sum()) - kept.bytes)
    return alone, kept


def _side_by_side(first: Table, second: Table) -> Iterator[_Rows]:
    """Yield the rows of both tables in blocks, cut so that equal digests are in the same block.

    With blocks of three rows, the first block ends with the lower of the two last digests, `d`:

        first   a b d │ f g
        second  b c d │ e f g
    """
    start_a = 0
    start_b = 0
    while start_a < len(first) or start_b < len(second):
        # Read a block of each, and take both up to the lower of their last digests. All digests
        # have 32 bytes, so it does not matter that `S32` ignores zeros at their end
        digests_a = first.column("digest", start_a, start_a + CHUNK_ROWS).view("S32")
        digests_b = second.column("digest", start_b, start_b + CHUNK_ROWS).view("S32")
        last = min(digests[-1] for digests in (digests_a, digests_b) if len(digests))
        digests_a = digests_a[: np.searchsorted(digests_a, last, "right")]
        digests_b = digests_b[: np.searchsorted(digests_b, last, "right")]

        # Find the digests that both have
        _, in_a, in_b = np.intersect1d(
            digests_a, digests_b, assume_unique=True, return_indices=True
        )
        stop_a = start_a + len(digests_a)
        stop_b = start_b + len(digests_b)
        yield _Rows(first, second, slice(start_a, stop_a), slice(start_b, stop_b), in_a, in_b)
        start_a = stop_a
        start_b = stop_b


def _config_changes(images: list[ImageChange]) -> dict[str, int]:
    """Return in how many images each field of a config differs, without those that none does."""
    numbers = Counter(name for image in images for name in image.config)
    return {name: numbers[name] for name in FIELDS if name in numbers}


def _type_changes(first: Dataset, second: Dataset) -> Iterator[list[TypeChange]]:
    """Yield the changes of types, of groups and of classes."""
    sums_before = sums_by_type(first)
    sums_after = sums_by_type(second)
    for level in _LEVELS:
        before = _files_and_bytes(first, sums_before, level)
        after = _files_and_bytes(second, sums_after, level)
        changes = []
        for name in before.keys() | after.keys():
            files, size = before.get(name, (0, 0))
            files_after, size_after = after.get(name, (0, 0))
            if (files, size) != (files_after, size_after):
                changes.append(TypeChange(name, (files, files_after), (size, size_after)))
        yield sorted(changes, key=lambda one: (-abs(one.added_bytes), one.name))


def _files_and_bytes(dataset: Dataset, sums: np.ndarray, level: str) -> dict[str, tuple[int, int]]:
    """Return the files and their bytes of each type, group or class.

    :param sums: (types, 4) int64, as `sums_by_type` returns them.
    :param level: one of `_LEVELS`.
    """
    result: dict[str, tuple[int, int]] = {}
    for name, (_, copies, size, _) in zip(
        dataset.types.readable(level).tolist(), sums.tolist(), strict=True
    ):
        files_before, size_before = result.get(name, (0, 0))
        result[name] = files_before + copies, size_before + size
    return result


def _sums(dataset: Dataset, contents: Amount) -> dict[str, float]:
    """Return the sums and ratios of a dataset by name."""
    sums = {name: int(dataset.layers[name].sum()) for name in ("CLS", "TLS", "FLS", "files")}
    return {
        "images": len(dataset.images),
        "layers": len(dataset.layers),
        "files": sums["files"],
        "contents": contents.count,
        "CLS": sums["CLS"],
        "TLS": sums["TLS"],
        "FLS": sums["FLS"],
        "content_bytes": contents.bytes,
        "sharing_ratio": ratio(bytes_without_sharing(dataset), sums["CLS"]),
        "compression_ratio_FLS": ratio(sums["FLS"], sums["CLS"]),
        "compression_ratio_TLS": ratio(sums["TLS"], sums["CLS"]),
        "dedup_ratio_by_count": ratio(sums["files"], contents.count),
        "dedup_ratio_by_capacity": ratio(sums["FLS"], contents.bytes),
    }
