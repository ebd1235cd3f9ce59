"""All metrics of a dataset as JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..dataset.metrics import Metrics

_BY_ROW = ("layers", "images", "bases", "image_steps", "updates")
"""Tables with rows for each layer, image or pair of images: they are in the dataset, and `export` writes them."""

_PARTS = ("distributions", "quantiles", "histograms")


def metrics_as_json(metrics: Metrics) -> dict[str, Any]:
    """Return all metrics but those of single layers, images and pairs; missing values are null.

    Tables are lists of rows, `totals` is one object, and `distributions` has for each its numbers, quantiles and bins.
    """
    found: dict[str, Any] = {"totals": plain(metrics.totals)}
    found["distributions"] = {
        name: plain(dataclasses.asdict(metrics.distribution(name)))
        for name in metrics.distributions
    }
    for name in metrics:
        if name not in (*_BY_ROW, *_PARTS, "totals"):
            found[name] = rows(metrics[name])
    return found


def rows(table: Any) -> list[dict[str, Any]]:
    """Return a table as a list of objects of readable values."""
    every = table.key("row")
    columns = [table.take(every, name).tolist() for name in table.columns]
    return [
        plain(dict(zip(table.columns, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def plain(value: Any) -> Any:
    """Return a value as JSON can have it.

    >>> plain({"a": float("nan"), "b": np.array([1, 2])})
    {'a': None, 'b': [1, 2]}
    """
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
