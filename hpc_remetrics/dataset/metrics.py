"""Read `/metrics`: tables like those of a dataset, distributions as arrays, totals by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..wording import counted
from .byte_source import Place
from .metrics_schema import METRICS, METRICS_VERSION
from .stored_file import StoredGroup, damaged
from .table import Table, stored_columns
from .value_checks import check_columns

_MAX_ROWS = 1_000_000
"""Rows of a table of metrics at most, besides one for each row of `_BY_ROW`."""

_BY_ROW = ("layers", "images", "image_layers", "types")

_POINTED = {"quantiles": ("first_quantile", "quantiles"), "histograms": ("first_bin", "bins")}
"""Table -> the columns of `distributions` that say which of its rows belong to each."""

_COMMAND = "`hpc-remetrics reduce FILE` computes them"


@dataclass(frozen=True)
class Distribution:
    """One distribution, as `metrics_schema.py` describes it; without values its arrays are empty.

    :ivar probability: (q,) float; `value[i]` is the smallest value that at least this fraction of
        all values does not exceed.
    :ivar low: (b,) float; bin i has `bin_count[i]` values from `low[i]` to below `high[i]`, their
        sum is `bin_sum[i]`.
    """

    name: str
    population: str
    unit: str
    scale: str
    description: str
    count: int
    sum: float
    mean: float
    min: float
    median: float
    p90: float
    p99: float
    max: float
    probability: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bin_count: np.ndarray
    bin_sum: np.ndarray


class Metrics:
    """The metrics of an open dataset: `metrics["growth"]` is a table, `metrics.totals["files"]` a
    number.

    :param group: `/metrics` of the file, or None where there is none.
    :raises DatasetError: there are none, or those of another version.
    """

    def __init__(
        self, path: Place, group: StoredGroup | None, siblings: Mapping[str, Table]
    ) -> None:
        if group is None:
            raise DatasetError(f"{path} has no metrics", _COMMAND)

        # Refuse metrics of another version, and incomplete ones.
        version = group.attributes.get("version", 0)
        if np.ndim(version) or version != METRICS_VERSION:
            versions = f"version {str(version)[:40]}, this program reads {METRICS_VERSION}"
            raise DatasetError(f"{path} has metrics of {versions}", _COMMAND)
        if missing := [name for name in METRICS if name not in group]:
            names = ", ".join(f"/metrics/{name}" for name in missing)
            raise DatasetError(f"{path} lacks {names}", _COMMAND)

        # Open the tables.
        self._path = path
        self._tables: dict[str, Table] = {}
        for name, form in METRICS.items():
            stored = group.group(name)
            rows = check_columns(stored, form, lambda table: len(siblings[table]))
            self._tables[name] = Table(path, form, rows, stored_columns(stored, form), siblings)
        self._check(siblings)

    def _check(self, siblings: Mapping[str, Table]) -> None:
        """Check the lengths of the tables, and that distributions point into theirs."""
        limit = _MAX_ROWS + sum(len(siblings[name]) for name in _BY_ROW)

        # No table may be longer than any that could have made it.
        for name, table in self._tables.items():
            if len(table) > limit:
                raise damaged(self._path, f"/metrics/{name} has {counted(len(table), 'row')}")

        # Some have the rows of another table.
        lengths = {
            "totals": 1,
            "layers": len(siblings["layers"]),
            "images": len(siblings["images"]),
        }
        for name, wanted in lengths.items():
            if (rows := len(self._tables[name])) != wanted:
                message = f"/metrics/{name} has {counted(rows, 'row')}, not {wanted:,}"
                raise damaged(self._path, message)

        # Rows that point to others must stay within them.
        for points, (first, count) in _POINTED.items():
            table = self["distributions"]
            if np.any(table[first].astype(float) + table[count] > len(self[points])):
                message = f"/metrics/distributions/{first} points beyond /metrics/{points}"
                raise damaged(self._path, message)

    def __getitem__(self, name: str) -> Table:
        """Return a table; the message of a `KeyError` names all tables."""
        if name not in self._tables:
            raise KeyError(f"/metrics has no table {name!r}, it has {', '.join(self._tables)}")
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def keys(self) -> list[str]:
        """Return the names of the tables."""
        return list(self._tables)

    def _ipython_key_completions_(self) -> list[str]:
        return self.keys()

    @property
    def totals(self) -> dict[str, int | float]:
        """The row of `totals` by column."""
        table = self["totals"]
        return {name: table[name][0].item() for name in table.columns}

    @property
    def distributions(self) -> list[str]:
        """Names of the distributions."""
        return [str(name) for name in self["distributions"].readable("name")]

    def distribution(self, name: str) -> Distribution:
        """Return one distribution; the message of a `KeyError` names all distributions."""
        names = self.distributions
        if name not in names:
            raise KeyError(f"there is no distribution {name!r}, there are {', '.join(names)}")
        table = self["distributions"]
        row = names.index(name)

        # Take the row of the distribution, with Python's numbers
        values: dict[str, Any] = {}
        for column in table.columns:
            value = table.readable(column, row, row + 1)[0]
            values[column] = value if isinstance(value, str) else value.item()

        # Add its quantiles and bins
        values |= self._rows("quantiles", values.pop("first_quantile"), values.pop("quantiles"))
        bins = self._rows("histograms", values.pop("first_bin"), values.pop("bins"))
        values["bin_count"] = bins.pop("count")
        values["bin_sum"] = bins.pop("sum")
        values |= bins
        return Distribution(**values)

    def _rows(self, name: str, first: int, count: int) -> dict[str, np.ndarray]:
        table = self[name]
        return {column: table.column(column, first, first + count) for column in table.columns}
