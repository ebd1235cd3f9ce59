"""Read the configs of datasets as a gather takes them: by digest, each once, a few at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.schema import MISSING
from ..dataset.table import Table
from ..records import Configs, Digest, ImageConfig, Step

_CONFIGS = 1 << 10
"""The most configs that are read at a time."""

_BYTES = 1 << 23
"""The bytes that configs which are read at a time had, unless one has more."""

_FIELDS = (
    *("size", "created", "created_ns", "os", "architecture", "variant", "os_version", "author"),
    *("user", "working_dir", "stop_signal", "entrypoint", "cmd", "exposed_ports", "volumes"),
    *("healthcheck", "shell", "on_build", "notes", "secrets"),
)
"""Columns of `/configs` that are fields of `ImageConfig`."""

_STEP = ("created", "created_ns", "created_by", "comment", "author", "is_empty_layer", "secrets")
"""Columns of `/history` in the order of the fields of `Step`."""


class DatasetConfigs(Configs):
    """The configs of several datasets; nothing is read before they are iterated.

    Where datasets have different rows of one config, that with more secrets replaced counts.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        super().__init__()
        self._datasets = datasets

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[ImageConfig]:
        digest = attrgetter("digest")
        in_order = heapq.merge(*map(configs_of, self._datasets), key=digest)
        for _, same in groupby(in_order, digest):
            yield max(same, key=attrgetter("secrets"))


def configs_of(dataset: Dataset) -> Iterator[ImageConfig]:
    """Yield the configs of a dataset in order of digest."""
    configs = dataset.configs

    # Open the tables whose rows belong to configs.
    labels = _Owned(configs, "first_label", "labels", dataset.labels, ("key", "value"))
    variables = _Owned(
        configs, "first_variable", "variables", dataset.environment, ("key", "value")
    )
    steps = _Owned(configs, "first_step", "steps", dataset.history, _STEP)

    # Read blocks of configs, each with the rows that belong to it.
    for start, stop in _blocks(configs):
        columns = {name: values_of(configs, name, start, stop) for name in _FIELDS}
        columns["digest"] = list(map(Digest, configs.column("digest", start, stop).tolist()))
        columns["labels"] = labels.rows(start, stop)
        columns["environment"] = variables.rows(start, stop)
        columns["history"] = steps.rows(
            start, stop, lambda row: Step(*row)._replace(is_empty=bool(row[5]))
        )
        for values in zip(*columns.values(), strict=True):
            yield ImageConfig(**dict(zip(columns, values, strict=True)))


def _blocks(configs: Table) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of configs that are read together."""
    block = np.cumsum(configs.column("size")) // _BYTES
    starts = np.flatnonzero(np.diff(block, prepend=-1)).tolist()
    for start, stop in pairwise([*starts, len(configs)]):
        for first in range(start, stop, _CONFIGS):
            yield first, min(first + _CONFIGS, stop)


def values_of(table: Table, name: str, start: int, stop: int) -> list[Any]:
    """Return the values of a column as records have them, None for a missing time."""
    column = table.form.columns[name]
    if column.is_blob or column.type == "text":
        return table.readable(name, start, stop).tolist()
    values = table.column(name, start, stop).tolist()
    if column.type != "time":
        return values
    return [None if value == MISSING["NaT"] else value for value in values]


class _Owned:
    """The rows of a table of which each config has some.

    :param first: column of `/configs` with the first row of each, and `count`: with their number.
    :param names: columns of the table that are read.
    """

    def __init__(
        self, configs: Table, first: str, count: str, table: Table, names: Sequence[str]
    ) -> None:
        self._configs = configs
        self._first = first
        self._count = count
        self._table = table
        self._names = names

    def rows(
        self, start: int, stop: int, make: Callable[[tuple[Any, ...]], Any] = tuple
    ) -> list[tuple[Any, ...]]:
        """Return for each of some configs its rows, as `make` makes them of their values."""
        begin = int(self._configs.column(self._first, start, start + 1)[0])
        counts = self._configs.column(self._count, start, stop)
        bounds = np.cumsum([0, *counts]).tolist()
        end = begin + bounds[-1]
        columns = [values_of(self._table, name, begin, end) for name in self._names]
        rows = [make(row) for row in zip(*columns, strict=True)]
        return [tuple(rows[low:high]) for low, high in pairwise(bounds)]
