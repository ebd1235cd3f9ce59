"""Fields of configs that differ between two datasets, for images whose name has another manifest.

Configs are read a block at a time, and only those of such images. What is kept of a field is a
number for each config, the hash of its value in this process:

    /configs       cmd              /labels   config   key       value
    12             ["redis"]        40        12       version   7.2
    13             ["redis-cli"]    41        12       vendor    x      the sum of both rows' hashes
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ..arrays import distinct
from ..dataset.reader import Dataset
from ..dataset.table import Table
from ..row_ranges import block_ranges

TEXTS = (
    *("os", "architecture", "variant", "os_version", "author", "user", "working_dir"),
    *("stop_signal", "entrypoint", "cmd", "exposed_ports", "volumes", "healthcheck", "shell"),
    "on_build",
)
"""Columns of `/configs` that are texts."""

FIELDS = ("created", *TEXTS, "labels", "environment", "history")
"""What is compared, in the order in which it is reported."""

_ITEMS = {
    "labels": ("key", "value"),
    "environment": ("key", "value"),
    "history": ("created_by", "comment", "author"),
}
"""Table with several rows for a config -> its texts that are compared."""

_ROWS = 1 << 12
"""Rows that are read at a time; one text has up to some MB."""


def changed_fields(
    first: Dataset, second: Dataset, before: Sequence[int], after: Sequence[int]
) -> list[tuple[str, ...]]:
    """Return the names of the fields that differ, for each pair of configs.

    :param before: rows in `/configs` of the first dataset, and `after` of the second; -1: none is
        known, and no field differs.
    """
    rows_before = np.array(before, np.int64)
    rows_after = np.array(after, np.int64)
    known = np.flatnonzero((rows_before >= 0) & (rows_after >= 0))
    found: list[list[str]] = [[] for _ in before]
    if len(known):
        fields_before = _hashes(first, rows_before[known])
        fields_after = _hashes(second, rows_after[known])
        for (name, one), (_, other) in zip(fields_before, fields_after, strict=True):
            for place in known[one != other].tolist():
                found[place].append(name)
    return [tuple(names) for names in found]


def _hashes(dataset: Dataset, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each field, and a number that equal values share: (n,) int64 for (n,) configs."""
    wanted = distinct(rows)
    place = np.searchsorted(wanted, rows)
    configs = dataset.configs
    for name in FIELDS:
        if name == "created":
            columns = [configs.column(one)[wanted] for one in ("created", "created_ns")]
            pairs = zip(*(column.tolist() for column in columns), strict=True)
            found = np.array([hash(pair) for pair in pairs], np.int64)
        elif name in _ITEMS:
            found = _of_items(getattr(dataset, name), wanted)
        else:
            found = _of_texts(configs, name, wanted)
        yield name, found[place]


def _of_texts(configs: Table, name: str, wanted: np.ndarray) -> np.ndarray:
    """Return the hashes of a text of some configs, (n,) int64.

    :param wanted: (n,) rows of `/configs`, ascending.
    """
    found = np.zeros(len(wanted), np.int64)
    for start, stop in block_ranges(len(configs), _ROWS):
        low, high = np.searchsorted(wanted, (start, stop))
        if low < high:
            texts = _texts(configs, name, start, stop)
            found[low:high] = [hash(texts[row]) for row in (wanted[low:high] - start).tolist()]
    return found


def _of_items(table: Table, wanted: np.ndarray) -> np.ndarray:
    """Return the sums of the hashes of the rows that some configs have, (n,) int64.

    The order of labels and of variables does not matter, that of steps does; their dates do not.

    :param wanted: (n,) rows of `/configs`, ascending.
    """
    found = np.zeros(len(wanted), np.int64)
    is_ordered = table.form.name == "history"
    # Of steps count how many a config has so far.
    steps = np.zeros(len(wanted), np.int64)
    for start, stop in block_ranges(len(table), _ROWS):
        config = table.column("config", start, stop)
        places = np.searchsorted(wanted, config)
        is_wanted = wanted[np.minimum(places, len(wanted) - 1)] == config
        if not is_wanted.any():
            continue
        columns = [_texts(table, name, start, stop) for name in _ITEMS[table.form.name]]
        if is_ordered:
            columns.append(table.column("is_empty_layer", start, stop).tolist())
        for row in np.flatnonzero(is_wanted).tolist():
            place = places[row]
            # Hashes of tuples are almost linear in what is in them, so their sums would collide.
            value = hash(repr((*(column[row] for column in columns), int(steps[place]))))
            steps[place] += is_ordered
            # Sums of hashes wrap around.
            found[place : place + 1] += np.int64(value)
    return found


def _texts(table: Table, name: str, start: int, stop: int) -> list[bytes]:
    """Return the texts of some rows."""
    data, bounds = table.blob(name, start, stop)
    ends = (bounds - bounds[0]).tolist()
    return [data[first:last] for first, last in pairwise(ends)]
