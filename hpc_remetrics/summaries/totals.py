"""Totals of a dataset: counts, bytes, ratios, types."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dataset.ledger import Ledger
from ..dataset.metrics import Metrics
from ..dataset.reader import Dataset
from ..dataset.table import Table

_ROWS = 1 << 20
_MOST = 12
"""Rows of the lists of what is most common."""


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
    """The totals of one dataset; bytes are bytes, ratios plain numbers, NaN-free (0.0 where nothing
    is).

    `bytes_without_sharing` counts each image's layers for itself, `CLS` each layer once.
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
    """Return the totals: of entries and contents by the metrics, or, without these, by reading them
    in pieces."""
    layers, known = dataset.layers, dataset.metrics if dataset.has_metrics else None
    files, fls = int(layers["files"].sum()), int(layers["FLS"].sum())
    content_bytes = (
        int(known.totals["content_bytes"])
        if known
        else sum(int(one.sum()) for one in _pieces(dataset.contents, "size"))
    )
    without = _bytes_without_sharing(dataset)
    types = _known_types(dataset, known) if known else _types(dataset)
    cls = int(layers["CLS"].sum())
    return Totals(
        images=len(dataset.images),
        repositories=len(dataset.repositories),
        ledger=dataset.ledger,
        CLS=cls,
        TLS=int(layers["TLS"].sum()),
        FLS=fls,
        bytes_without_sharing=without,
        sharing_ratio=_ratio(without, cls),
        entries=len(dataset.entries),
        kinds=_known_words(known, "kind") if known else _words(dataset.entries, "kind"),
        files=files,
        directories=int(layers["directories"].sum()),
        contents=len(dataset.contents),
        content_bytes=content_bytes,
        dedup_ratio_by_count=_ratio(files, len(dataset.contents)),
        dedup_ratio_by_capacity=_ratio(fls, content_bytes),
        redundant_share_of_bytes=_ratio(fls - content_bytes, fls),
        types_by_copies=sorted(types, key=lambda one: (-one.copies, one.name))[:_MOST],
        types_by_bytes=sorted(types, key=lambda one: (-one.bytes, one.name))[:_MOST],
        classes=_classes(dataset, types),
        failures=_words(dataset.failures, "cause"),
        skipped=_words(dataset.skipped, "cause"),
    )


def _pieces(table: Table, name: str):  # type: ignore[no-untyped-def]
    for start in range(0, len(table), _ROWS):
        yield table.column(name, start, start + _ROWS)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _words(table: Table, name: str) -> dict[str, int]:
    """Count the words of an enum column, those that occur, most common first."""
    words = table.words(name)
    counts = np.zeros(max(words) + 1, np.int64)
    for part in _pieces(table, name):
        counts += np.bincount(part, minlength=len(counts))
    found = {words[number]: int(count) for number, count in enumerate(counts.tolist()) if count}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _known_words(metrics: Metrics, variable: str) -> dict[str, int]:
    """Return the same from the metrics."""
    table = metrics["value_counts"]
    chosen = table.readable("variable") == variable
    found = dict(
        zip(table.readable("value")[chosen].tolist(), table["count"][chosen].tolist(), strict=True)
    )
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _known_types(dataset: Dataset, metrics: Metrics) -> list[TypeTotal]:
    """Return the totals of every type, in the order of /types, from the metrics."""
    names, table = dataset.types.readable("description").tolist(), metrics["types"]
    place = {name: row for row, name in enumerate(table.readable("type").tolist())}
    rows = [place[name] for name in names]
    return _shared(names, table["contents"][rows], table["files"][rows], table["bytes"][rows])


def _bytes_without_sharing(dataset: Dataset) -> int:
    cls = dataset.layers["CLS"]
    return sum(int(cls[part].sum()) for part in _pieces(dataset.image_layers, "layer"))


def _types(dataset: Dataset) -> list[TypeTotal]:
    """Return the totals of every type."""
    names = dataset.types.readable("description").tolist()
    contents, copies, size = (np.zeros(len(names), np.int64) for _ in range(3))
    columns = ("type", "copies", "size")
    for type_, copy, length in zip(
        *(_pieces(dataset.contents, name) for name in columns), strict=True
    ):
        contents += np.bincount(type_, minlength=len(names))
        np.add.at(copies, type_, copy)
        np.add.at(size, type_, copy * length)
    return _shared(names, contents, copies, size)


def _classes(dataset: Dataset, types: list[TypeTotal]) -> list[TypeTotal]:
    """Return the totals of every class, from those of its types."""
    names, place = np.unique(dataset.types.readable("class").astype(str), return_inverse=True)
    sums = [np.zeros(len(names), np.int64) for _ in range(3)]
    for total, one in zip(types, place.tolist(), strict=True):
        for values, value in zip(sums, (total.contents, total.copies, total.bytes), strict=True):
            values[one] += value
    return sorted(_shared(names.tolist(), *sums), key=lambda one: (-one.bytes, one.name))


def _shared(
    names: list[str], contents: np.ndarray, copies: np.ndarray, size: np.ndarray
) -> list[TypeTotal]:
    all_copies, all_bytes = int(copies.sum()), int(size.sum())
    rows = zip(names, contents.tolist(), copies.tolist(), size.tolist(), strict=True)
    return [
        TypeTotal(n, c, k, b, _ratio(k, all_copies), _ratio(b, all_bytes)) for n, c, k, b in rows
    ]
