"""Files by class, group, type, extension and directory: what there is, and how much of it twice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.text_values import path_text
from .common_names import CODES, MOST
from .file_rows import DEPTHS, EXTENSION
from .growth import ratio
from .inputs import summed_by

Sums = dict[str, np.ndarray]
"""files, contents, bytes, content_bytes -> an array of whole numbers."""


@dataclass(frozen=True)
class Whole:
    """All regular files, their bytes, and the redundant ones among these."""

    files: int
    bytes: int
    redundant_bytes: int

    @classmethod
    def of(cls, sums: Sums) -> Whole:
        """Return what sums over parts make together, if each content is in one part only."""
        files, size, content = (
            int(sums[name].sum()) for name in ("files", "bytes", "content_bytes")
        )
        return cls(files, size, size - content)


def amounts(sums: Sums, whole: Whole) -> Sums:
    """Return the columns that stand for `…amounts` in the schema."""
    table = dict(sums)
    table["redundant_bytes"] = sums["bytes"] - sums["content_bytes"]
    table["mean_size"] = ratio(sums["bytes"], sums["files"])
    table["dedup_ratio_by_count"] = ratio(sums["files"], sums["contents"])
    table["dedup_ratio_by_capacity"] = ratio(sums["bytes"], sums["content_bytes"])
    for name in ("files", "bytes", "redundant_bytes"):
        table[f"share_of_{name}"] = ratio(
            table[name], np.full(len(table[name]), getattr(whole, name))
        )
    return table


_LEVELS = {"classes": ["class"], "groups": ["class", "group"], "types": ["class", "group", "type"]}


def by_type(dataset: Dataset, sums: Sums) -> dict[str, dict[str, Any]]:
    """Return `classes`, `groups` and `types` from sums by row of /types; rows add up from one to
    the next."""
    whole = Whole.of(sums)
    words = {"class": "class", "group": "group", "type": "description"}
    columns = {name: dataset.types.readable(column).astype(str) for name, column in words.items()}
    found: dict[str, dict[str, Any]] = {}
    keys: list[np.ndarray] = []
    for table, names in _LEVELS.items():
        joined = np.array(
            ["\0".join(row) for row in zip(*(columns[name] for name in names), strict=True)], str
        )
        _, first, place = np.unique(joined, return_index=True, return_inverse=True)
        place = place.reshape(-1)
        added = {name: summed_by(place, values, len(first)) for name, values in sums.items()}
        # Of the last key lexsort thinks first: the class's bytes, its name, the group's bytes, …
        keys = [columns[names[-1]], -added["bytes"][place], *keys]
        order = first[np.lexsort([key[first] for key in keys])]
        texts = {name: columns[name][order].tolist() for name in names}
        found[table] = {
            **texts,
            **amounts({name: values[place[order]] for name, values in added.items()}, whole),
        }
    return found


def by_name(
    texts: dict[tuple[int, int], bytes], sums: Sums, whole: Whole
) -> dict[str, dict[str, Any]]:
    """Return `extensions` and `directories` from sums by code of names."""
    extensions = _names(texts, sums, EXTENSION)
    parts = [_names(texts, sums, kind) for kind in range(DEPTHS)]
    depth = np.repeat(np.arange(1, DEPTHS + 1), [len(part["text"]) for part in parts])
    joined = {name: list(chain.from_iterable(part[name] for part in parts)) for name in parts[0]}
    found = {
        "extensions": {"extension": extensions.pop("text"), **extensions},
        "directories": {"depth": depth, "directory": joined.pop("text"), **joined},
    }
    for table in found.values():
        own = {name: np.array(table.pop(name), np.int64) for name in sums}
        table.update(amounts(own, whole))
    return found


def _names(texts: dict[tuple[int, int], bytes], sums: Sums, kind: int) -> dict[str, Any]:
    """Return the names of one kind, most files first, and the rest of them, if there is one,
    last."""
    mine = slice(kind * CODES, (kind + 1) * CODES)
    found = {name: values[mine] for name, values in sums.items()}
    numbers = [number for number in range(MOST) if (kind, number) in texts]
    numbers.sort(key=lambda number: (-int(found["files"][number]), texts[kind, number]))
    names = [path_text(texts[kind, number]) for number in numbers]
    rest = bool(found["files"][MOST])
    rows = np.array([*numbers, *[MOST] * rest], np.int64)
    flags = np.array([0] * len(numbers) + [1] * rest, np.uint8)
    return {
        "text": [*names, *[""] * rest],
        "is_other": flags,
        **{name: values[rows] for name, values in found.items()},
    }
