"""Quantiles of the sizes of files, by type, group or class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..arrow import import_pandas

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset

LEVELS = ("description", "mime", "group", "class")
"""Columns of /types by which sizes can be grouped."""


def size_quantiles(
    data: Dataset, levels: Sequence[float], by: str, each_copy: bool
) -> pandas.DataFrame:
    """Return the frame of `Dataset.size_quantiles`."""
    pandas = import_pandas()
    if by not in LEVELS:
        raise KeyError(f"sizes can be grouped by {', '.join(LEVELS)}, not by {by!r}")
    if not all(0 <= level <= 1 for level in levels):
        raise ValueError(f"quantiles are numbers from 0 to 1, not {list(levels)}")

    # Sort the contents by group, and by size within each.
    names, group_of_type = np.unique(data.types.readable(by).astype(str), return_inverse=True)
    group = group_of_type[data.contents["type"]]
    size = data.contents["size"]
    count = data.contents["copies"] if each_copy else np.ones(len(size), np.int64)
    order = np.lexsort([size, group])
    group, size, count = group[order], size[order], count[order]
    bounds = np.searchsorted(group, np.arange(len(names) + 1))

    quantiles = np.zeros((len(names), len(levels)), np.int64)
    counts = np.zeros(len(names), np.int64)
    sums = np.zeros(len(names), np.int64)
    for number in range(len(names)):
        mine = slice(bounds[number], bounds[number + 1])
        up_to = np.cumsum(count[mine])
        counts[number] = up_to[-1] if len(up_to) else 0
        sums[number] = (count[mine] * size[mine]).sum()
        if counts[number]:
            quantiles[number] = _of_sorted(size[mine], up_to, levels)
    columns = {"count": counts, "bytes": sums}
    columns.update((f"q{level:g}", quantiles[:, at]) for at, level in enumerate(levels))
    frame = pandas.DataFrame(columns, pandas.Index(names, name=by))
    return frame[frame["count"] > 0].sort_values("bytes", ascending=False, kind="stable")


def _of_sorted(sizes: np.ndarray, up_to: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the smallest sizes that at least a share `level` of the files don't exceed.

    :param sizes: (n,) int64, ascending, and `up_to` (n,) the number of files up to each of them.
    :returns: (levels,) int64.

    >>> _of_sorted(np.array([1, 5, 9]), np.array([1, 3, 4]), [0, 0.25, 0.5, 1]).tolist()
    [1, 1, 5, 9]
    """
    wanted = np.maximum(np.ceil(np.asarray(levels, float) * up_to[-1]), 1)
    return sizes[np.searchsorted(up_to, wanted)]
