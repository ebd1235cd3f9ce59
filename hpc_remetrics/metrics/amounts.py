"""Files by class, group, type, extension and directory: how many, and how much is redundant."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ..arrays import ratio, summed_by
from ..dataset.reader import Dataset
from ..dataset.text_values import path_text
from .common_names import CODES, MOST
from .file_rows import DEPTHS, EXTENSION
from .results import Sums


@dataclass(frozen=True)
class FileTotals:
    """All regular files, their bytes, and the redundant ones among these."""

    files: int
    bytes: int
    redundant_bytes: int

    @classmethod
    def of(cls, sums: Sums) -> FileTotals:
        """Return the totals of sums by parts, if each content is in one part only."""
        size = int(sums["bytes"].sum())
        return cls(int(sums["files"].sum()), size, size - int(sums["content_bytes"].sum()))


def amounts(sums: Sums, totals: FileTotals) -> Sums:
    """Return the columns that `…amounts` stands for in the schema, (n,) each."""
    table = dict(sums)
    table["redundant_bytes"] = sums["bytes"] - sums["content_bytes"]
    table["mean_size"] = ratio(sums["bytes"], sums["files"])
    table["dedup_ratio_by_count"] = ratio(sums["files"], sums["contents"])
    table["dedup_ratio_by_capacity"] = ratio(sums["bytes"], sums["content_bytes"])
    for name in ("files", "bytes", "redundant_bytes"):
        whole = np.full(len(table[name]), getattr(totals, name))
        table[f"share_of_{name}"] = ratio(table[name], whole)
    return table


_LEVELS = {"classes": ["class"], "groups": ["class", "group"], "types": ["class", "group", "type"]}
_TYPE_COLUMNS = {"class": "class", "group": "group", "type": "description"}
"""Column of `classes`, `groups` and `types` -> column of /types."""


def by_type(dataset: Dataset, sums: Sums) -> dict[str, dict[str, Any]]:
    """Return the tables `classes`, `groups` and `types`; rows add up from one to the next.

    :param sums: (types,) each, by row of /types.
    """
    totals = FileTotals.of(sums)
    columns = {
        name: dataset.types.readable(column).astype(str) for name, column in _TYPE_COLUMNS.items()
    }
    tables: dict[str, dict[str, Any]] = {}
    keys: list[np.ndarray] = []
    for table, names in _LEVELS.items():
        # Add up the types that have the same class, group and so on.
        rows = zip(*(columns[name] for name in names), strict=True)
        joined = np.array(["\0".join(row) for row in rows], str)
        _, first, place = np.unique(joined, return_index=True, return_inverse=True)
        place = place.ravel()
        added = {name: summed_by(place, values, len(first)) for name, values in sums.items()}
        # The last key counts most: by the class's bytes, its name, the group's bytes, …
        keys = [columns[names[-1]], -added["bytes"][place], *keys]
        order = first[np.lexsort([key[first] for key in keys])]
        ordered = {name: values[place[order]] for name, values in added.items()}
        tables[table] = {
            **{name: columns[name][order].tolist() for name in names},
            **amounts(ordered, totals),
        }
    return tables


def by_name(
    texts: dict[tuple[int, int], bytes], sums: Sums, totals: FileTotals
) -> dict[str, dict[str, Any]]:
    """Return the tables `extensions` and `directories`.

    :param texts: (kind, number) -> the name.
    :param sums: (kinds * CODES,) each, by code of a name.
    """
    extensions = _names_of_kind(texts, sums, EXTENSION)
    parts = [_names_of_kind(texts, sums, kind) for kind in range(DEPTHS)]
    depth = np.repeat(np.arange(1, DEPTHS + 1), [len(part["text"]) for part in parts])
    joined = {name: list(chain.from_iterable(part[name] for part in parts)) for name in parts[0]}
    tables = {
        "extensions": {"extension": extensions.pop("text"), **extensions},
        "directories": {"depth": depth, "directory": joined.pop("text"), **joined},
    }
    for table in tables.values():
        own = {name: np.array(table.pop(name), np.int64) for name in sums}
        table.update(amounts(own, totals))
    return tables


def _names_of_kind(texts: dict[tuple[int, int], bytes], sums: Sums, kind: int) -> dict[str, Any]:
    """Return the names of one kind, most files first; all others, if there are any, last."""
    codes = slice(kind * CODES, (kind + 1) * CODES)
    mine = {name: values[codes] for name, values in sums.items()}
    numbers = [number for number in range(MOST) if (kind, number) in texts]
    numbers.sort(key=lambda number: (-int(mine["files"][number]), texts[kind, number]))
    has_others = bool(mine["files"][MOST])
    rows = np.array([*numbers, *[MOST] * has_others], np.int64)
    return {
        "text": [*(path_text(texts[kind, number]) for number in numbers), *[""] * has_others],
        "is_other": np.array([0] * len(numbers) + [1] * has_others, np.uint8),
        **{name: values[rows] for name, values in mine.items()},
    }
