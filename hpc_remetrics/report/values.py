"""Format single values for readers: bytes with units, shares in percent, ratios."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dataset.metrics import Metrics
from ..dataset.schema import Column
from ..dataset.table import Table
from ..log import escape
from .text import size

NOTHING = "–"


def shown(value: Any, column: Column) -> str:
    """Return a value of a metrics table as people read it.

    >>> from hpc_remetrics.dataset.metrics_schema import METRICS
    >>> columns = METRICS["totals"].columns
    >>> shown(1_250_000, columns["CLS"]), shown(0.25, columns["unique_file_share"]), shown(1234, columns["files"])
    ('1.25 MB', '25 %', '1,234')
    >>> shown(float("nan"), columns["dedup_ratio_by_count"])
    '–'
    """
    if isinstance(value, str):
        return escape(value)
    return number(value, unit_of(column))


def number(value: float, unit: str) -> str:
    """Return a number with its unit: byte, share, or any other.

    >>> number(2.6047, "1"), number(1234.6, "1"), number(7, "1"), number(0.0123, "share")
    ('2.6', '1,235', '7', '1.23 %')
    """
    if math.isnan(value) or (unit == "byte" and value < 0):
        return NOTHING
    if unit == "byte":
        return size(int(value))
    if unit == "share":
        return "< 0.01 %" if 0 < value < 1e-4 else f"{100 * value:.4g} %"
    # Three digits of a number that rounds to 1000 or more would be 1e+03
    is_whole = float(value).is_integer() or abs(value) >= 999.5
    return f"{value:,.0f}" if is_whole else f"{value:.3g}"


def unit_of(column: Column) -> str:
    """Return the unit of a column, `share` where that is what its numbers are."""
    is_share = column.name.startswith("share") or column.name.endswith("_share")
    return "share" if is_share and column.type == "f8" else column.unit


def kinds_with_layers(steps: Table) -> np.ndarray:
    """Return the rows of the kinds of steps that made layers of images, (n,) int64.

    None are returned where no image says which steps made its layers.

    :param steps: the table `steps` of the metrics.
    """
    rows = np.flatnonzero(steps["image_layers"])
    return rows if set(steps.readable("kind")[rows]) - {"no_history"} else rows[:0]


def said_by_images(metrics: Metrics, variable: str) -> dict[str, int]:
    """Return the values of a variable of `config_values`, each with the images that have it.

    An empty value is "(none)". Nothing is returned where no image says anything.
    """
    table = metrics["config_values"]
    rows = np.flatnonzero(table.readable("variable") == variable)
    values = table.readable("value")[rows].tolist()
    if not any(values):
        return {}
    return dict(zip((value or "(none)" for value in values), table["images"][rows], strict=True))
