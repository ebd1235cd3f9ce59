"""The numbers of a figure as CSV: one value a line, so that one file holds all of its tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset.metrics import Metrics
from . import Figure

_HEAD = ("table", "row", "column", "value")


def figure_data(figure: Figure, metrics: Metrics) -> bytes:
    r"""Return the numbers that a figure draws, as CSV in UTF-8.

    A distribution is the tables `NAME quantiles` and `NAME histogram`; the others are tables of
    `/metrics`, whole. For example:

        table,row,column,value
        layers/CLS quantiles,0,probability,0.0
        layers/CLS quantiles,0,value,1071.0
        what_if,0,scenario,no_sharing
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    for name in figure.distributions:
        one = metrics.distribution(name)
        quantiles = {"probability": one.probability, "value": one.value}
        bins = {"low": one.low, "high": one.high, "count": one.bin_count}
        writer.writerows(_lines(f"{name} quantiles", quantiles))
        writer.writerows(_lines(f"{name} histogram", bins))
    for name in figure.tables:
        table = metrics[name]
        columns = {column: table.readable(column) for column in table.columns}
        writer.writerows(_lines(name, columns))
    return text.getvalue().encode("utf-8", "backslashreplace")


def is_figure_data(path: Path) -> bool:
    """Return whether a file begins as :func:`figure_data` does."""
    head = ",".join(_HEAD).encode()
    with open(path, "rb") as file:
        return file.readline(len(head) + 1).rstrip() == head


def _lines(name: str, columns: dict[str, np.ndarray]) -> Iterable[tuple[Any, ...]]:
    """Yield the lines of a table, row by row."""
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    for row, numbers in enumerate(values):
        for column, value in zip(columns, numbers, strict=True):
            yield name, row, column, value
