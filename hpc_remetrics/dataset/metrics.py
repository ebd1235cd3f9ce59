"""The reader of `/metrics`: tables as those of a dataset, distributions as arrays, totals by
name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..wording import counted
from .metrics_schema import METRICS, METRICS_VERSION
from .stored_file import StoredGroup, damaged
from .table import Table, stored_columns
from .value_checks import check_columns

_MOST_ROWS = 1_000_000
"""Rows of a table of metrics, beside those that stand for a layer, an image or a type."""

_POINTED = {"quantiles": ("first_quantile", "quantiles"), "histograms": ("first_bin", "bins")}
"""Table -> the columns of `distributions` that say which of its rows belong to each."""

_COMMAND = "`hpc-remetrics reduce FILE` computes them"


@dataclass(frozen=True)
class Distribution:
    """One distribution, as `metrics_schema.py` describes it; arrays are empty where there is no
    value.

    :ivar probability: `value[i]` is the least value that at least this share of all values does not
    exceed.
    :ivar low: bin i holds `bin_count[i]` values, `bin_sum[i]` in all, from `low[i]` to below
    `high[i]`.
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
        self, path: Path, group: StoredGroup | None, siblings: Mapping[str, Table]
    ) -> None:
        if group is None:
            raise DatasetError(f"{path} has no metrics", _COMMAND)
        version = group.attributes.get("version", 0)
        if np.ndim(version) or version != METRICS_VERSION:
            raise DatasetError(
                f"{path} has metrics of version {str(version)[:40]}, this program reads {METRICS_VERSION}",
                _COMMAND,
            )
        if missing := [name for name in METRICS if name not in group]:
            raise DatasetError(
                f"{path} lacks {', '.join('/metrics/' + name for name in missing)}", _COMMAND
            )
        self._path = path
        self._tables: dict[str, Table] = {}
        for name, form in METRICS.items():
            of = group.group(name)
            rows = check_columns(of, form, lambda table: len(siblings[table]))
            self._tables[name] = Table(path, form, rows, stored_columns(of, form), siblings)
        self._check(siblings)

    def _check(self, siblings: Mapping[str, Table]) -> None:
        """Check the lengths on which readers rely."""
        most = _MOST_ROWS + sum(len(siblings[name]) for name in ("layers", "images", "types"))
        for name, table in self._tables.items():
            if len(table) > most:
                raise damaged(self._path, f"/metrics/{name} has {counted(len(table), 'row')}")
        lengths = {
            "totals": 1,
            "layers": len(siblings["layers"]),
            "images": len(siblings["images"]),
        }
        for name, wanted in lengths.items():
            if (rows := len(self._tables[name])) != wanted:
                raise damaged(
                    self._path, f"/metrics/{name} has {counted(rows, 'row')}, not {wanted:,}"
                )
        for points, (first, count) in _POINTED.items():
            table, there = self["distributions"], len(self[points])
            if np.any(table[first].astype(float) + table[count] > there):
                raise damaged(
                    self._path, f"/metrics/distributions/{first} points beyond /metrics/{points}"
                )

    def __getitem__(self, name: str) -> Table:
        """Return a table; `KeyError` names those that there are."""
        if name not in self._tables:
            raise KeyError(f"/metrics has no table {name!r}, it has {', '.join(self._tables)}")
        return self._tables[name]

    @property
    def tables(self) -> list[str]:
        """Names of the tables."""
        return list(self._tables)

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
        """Return one distribution; `KeyError` names those that there are."""
        names = self.distributions
        if name not in names:
            raise KeyError(f"there is no distribution {name!r}, there are {', '.join(names)}")
        table, row = self["distributions"], names.index(name)
        one: dict[str, Any] = {
            column: table.readable(column, row, row + 1)[0] for column in table.columns
        }
        points = self._rows("quantiles", one.pop("first_quantile"), one.pop("quantiles"))
        bins = self._rows("histograms", one.pop("first_bin"), one.pop("bins"))
        one = {
            column: value if isinstance(value, str) else value.item()
            for column, value in one.items()
        }
        one |= {**points, "bin_count": bins.pop("count"), "bin_sum": bins.pop("sum"), **bins}
        return Distribution(**one)

    def _rows(self, name: str, first: int, count: int) -> dict[str, np.ndarray]:
        table = self[name]
        return {column: table.column(column, first, first + count) for column in table.columns}
