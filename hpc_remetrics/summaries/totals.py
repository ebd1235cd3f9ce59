"""Totals of a dataset: counts, bytes, ratios, types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..dataset.ledger import Ledger
from ..dataset.metrics import Metrics
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS
from ..dataset.table import Table
from ..row_ranges import block_ranges

_MOST = 12
"""Rows of the lists of the most common types."""


@dataclass(frozen=True)
class TypeTotal:
    """One type, group or class: distinct contents, their copies, and bytes of all copies."""

    name: str
    contents: int
    copies: int
    bytes: int
    share_of_copies: float
    share_of_bytes: float


@dataclass(frozen=True)
class Totals:
    """The totals of one dataset; a ratio whose denominator is 0 is 0.0.

    :ivar CLS: counts each layer once, `bytes_without_sharing` once for each image that has it.
    """

    images: int
    repositories: int
    ledger: Ledger
    CLS: int
    TLS: int
    FLS: int
    bytes_without_sharing: int
    sharing_ratio: float
    entries: int
    kinds: dict[str, int]
    files: int
    directories: int
    contents: int
    content_bytes: int
    dedup_ratio_by_count: float
    dedup_ratio_by_capacity: float
    redundant_share_of_bytes: float
    types_by_copies: list[TypeTotal]
    types_by_bytes: list[TypeTotal]
    classes: list[TypeTotal]
    failures: dict[str, int]
    skipped: dict[str, int]


def totals(dataset: Dataset) -> Totals:
    """Return the totals of a dataset, from its metrics or, without these, by reading its tables."""
    # Sum up the small tables.
    layers = dataset.layers
    contents = len(dataset.contents)
    files = int(layers["files"].sum())
    CLS = int(layers["CLS"].sum())
    FLS = int(layers["FLS"].sum())
    without_sharing = bytes_without_sharing(dataset)

    # Take from the metrics what would need a pass over the large ones.
    if dataset.has_metrics:
        metrics = dataset.metrics
        content_bytes = int(metrics.totals["content_bytes"])
        kinds = _kinds_of_metrics(metrics)
        types = _types_of_metrics(dataset, metrics)
    else:
        sums = sums_by_type(dataset)
        content_bytes = int(sums[:, 3].sum())
        kinds = _count_words(dataset.entries, "kind")
        types = _type_totals(_names(dataset), *sums.T[:3])
    return Totals(
        images=len(dataset.images),
        repositories=len(dataset.repositories),
        ledger=dataset.ledger,
        CLS=CLS,
        TLS=int(layers["TLS"].sum()),
        FLS=FLS,
        bytes_without_sharing=without_sharing,
        sharing_ratio=ratio(without_sharing, CLS),
        entries=len(dataset.entries),
        kinds=kinds,
        files=files,
        directories=int(layers["directories"].sum()),
        contents=contents,
        content_bytes=content_bytes,
        dedup_ratio_by_count=ratio(files, contents),
        dedup_ratio_by_capacity=ratio(FLS, content_bytes),
        redundant_share_of_bytes=ratio(FLS - content_bytes, FLS),
        types_by_copies=sorted(types, key=lambda one: (-one.copies, one.name))[:_MOST],
        types_by_bytes=_by_bytes(types)[:_MOST],
        classes=_class_totals(dataset, types),
        failures=_count_words(dataset.failures, "cause"),
        skipped=_count_words(dataset.skipped, "cause"),
    )


def ratio(part: float, whole: float) -> float:
    """Return part / whole, 0.0 if the whole is 0."""
    return part / whole if whole else 0.0


def bytes_without_sharing(dataset: Dataset) -> int:
    """Return the compressed bytes that images would take if each stored its layers for itself."""
    sizes = dataset.layers["CLS"]
    layers = dataset.image_layers
    blocks = block_ranges(len(layers), CHUNK_ROWS)
    return sum(int(sizes[layers.column("layer", *block)].sum()) for block in blocks)


def sums_by_type(dataset: Dataset) -> np.ndarray:
    """Read all contents, and return sums over those of each type.

    :returns: (types, 4) int64: contents, copies, bytes of all copies, bytes of the contents.
    """
    sums = np.zeros((len(dataset.types), 4), np.int64)
    contents = dataset.contents
    for start, stop in block_ranges(len(contents), CHUNK_ROWS):
        copies = contents.column("copies", start, stop)
        size = contents.column("size", start, stop)
        amounts = np.stack([np.ones_like(size), copies, copies * size, size], axis=1)
        np.add.at(sums, contents.column("type", start, stop), amounts)
    return sums


def _names(dataset: Dataset) -> list[str]:
    names: list[str] = dataset.types.readable("description").tolist()
    return names


def _kinds_of_metrics(metrics: Metrics) -> dict[str, int]:
    """Return the number of entries of each kind, most common first."""
    table = metrics["value_counts"]
    is_kind = table.readable("variable") == "kind"
    words = table.readable("value")[is_kind].tolist()
    return _most_common(zip(words, table["count"][is_kind].tolist(), strict=True))


def _count_words(table: Table, name: str) -> dict[str, int]:
    """Count the words that an enum column has, most common first."""
    words = table.words(name)
    counts: Counter[int] = Counter()
    for start, stop in block_ranges(len(table), CHUNK_ROWS):
        numbers = np.bincount(table.column(name, start, stop))
        counts.update(dict(enumerate(numbers.tolist())))
    return _most_common((words[number], count) for number, count in counts.items() if count)


def _most_common(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return words and their counts, most common first, equal counts by word."""
    return dict(sorted(counts, key=lambda pair: (-pair[1], pair[0])))


def _types_of_metrics(dataset: Dataset, metrics: Metrics) -> list[TypeTotal]:
    """Return the totals of every type, in the order of /types."""
    names = _names(dataset)
    table = metrics["types"]
    row_of = {name: row for row, name in enumerate(table.readable("type").tolist())}
    rows = [row_of[name] for name in names]
    return _type_totals(names, table["contents"][rows], table["files"][rows], table["bytes"][rows])


def _class_totals(dataset: Dataset, types: list[TypeTotal]) -> list[TypeTotal]:
    """Add up the totals of the types of every class, most bytes first.

    :param types: in the order of /types.
    """
    names, place = np.unique(dataset.types.readable("class").astype(str), return_inverse=True)
    sums = np.zeros((len(names), 3), np.int64)
    for row, total in zip(place.tolist(), types, strict=True):
        sums[row] += total.contents, total.copies, total.bytes
    return _by_bytes(_type_totals(names.tolist(), *sums.T))


def _by_bytes(types: list[TypeTotal]) -> list[TypeTotal]:
    return sorted(types, key=lambda one: (-one.bytes, one.name))


def _type_totals(
    names: list[str], contents: np.ndarray, copies: np.ndarray, size: np.ndarray
) -> list[TypeTotal]:
    """Return totals with their shares of all copies and of all bytes.

    :param contents: (n,) int64, a value for each name, as in `copies` and `size`.
    """
    all_copies = int(copies.sum())
    all_bytes = int(size.sum())
    result = []
    for row, name in enumerate(names):
        copied = int(copies[row])
        taken = int(size[row])
        shares = ratio(copied, all_copies), ratio(taken, all_bytes)
        result.append(TypeTotal(name, int(contents[row]), copied, taken, *shares))
    return result
