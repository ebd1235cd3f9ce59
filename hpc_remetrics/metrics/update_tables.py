"""The tables about updates, which rank 0 makes: by pair, summed, and over the first n updates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import ratio, summed_by
from ..dataset.metrics_schema import UPDATE_METHODS
from .compression import CODECS, Estimate, estimate, strata
from .inputs import MetricsInputs
from .update_chunks import SampledUpdates
from .updates import UpdateResults

_EXACT = {
    "images": "image_bytes",
    "layers": "layer_bytes",
    "images_uncompressed": "image_FLS",
    "files": "content_bytes",
}
"""Method -> the column of `updates` that it sums up."""

_SAMPLED = {"chunks": "sampled_chunks", "delta": "sampled_deltas"}
"""What a second pass measures -> the column with the number of those in the sample."""

_UNCOMPRESSED = ("images_uncompressed", "files", "chunks")

_GROWING = ("image_bytes", "layer_bytes", "content_bytes")


Measured = Mapping[str, SampledUpdates]
"""chunks, delta -> what a second pass over the layers measured."""


def update_table(
    inputs: MetricsInputs, results: UpdateResults, measured: Measured | None = None
) -> dict[str, Any]:
    """Return the table `updates`."""
    pairs = results.pairs
    # Without a second pass nothing is known of chunks and deltas.
    columns: dict[str, Any] = {}
    for name, sampled in _SAMPLED.items():
        columns[sampled] = np.zeros(len(pairs), np.int64)
        for end in ("", "_ci_low", "_ci_high"):
            columns[f"{name}{end}"] = np.full(len(pairs), math.nan)
    for one in (measured or {}).values():
        columns |= one.columns
    return {
        "repository": inputs.dataset.images["repository"][pairs.new],
        "old": pairs.old,
        "new": pairs.new,
        "update": pairs.update,
        **results.counts,
        **results.estimates,
        **columns,
    }


def update_totals(results: UpdateResults, measured: Measured | None = None) -> dict[str, Any]:
    """Return the table `update_totals`: what all pairs together pull, by method."""
    rows = [_exact(method, int(results.counts[name].sum())) for method, name in _EXACT.items()]
    for codec in CODECS:
        classes = strata(results.compression, codec)
        found = estimate(classes)
        if found is not None:
            is_estimated = any(one.unsampled_size for one in classes)
            rows.append(_row(f"files_{codec}", found, is_estimated))
    for method, one in (measured or {}).items():
        if one.total is not None:
            rows.append(_row(method, one.total, one.is_estimated))
    table: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    # Compressed bytes are compared with compressed ones, uncompressed with uncompressed.
    sizes = dict(zip(table["method"], table["bytes"], strict=True))
    wholes = [sizes["images" if one else "images_uncompressed"] for one in table["is_compressed"]]
    table["share"] = ratio(np.array(table["bytes"]), np.array(wholes))
    table["description"] = [UPDATE_METHODS[method] for method in table["method"]]
    return table


def _exact(method: str, size: int) -> dict[str, Any]:
    return _row(method, Estimate(size, size, size), is_estimated=False)


def _row(method: str, found: Estimate, is_estimated: bool) -> dict[str, Any]:
    return {
        "method": method,
        "bytes": found.bytes,
        "ci_low": found.low,
        "ci_high": found.high,
        "is_estimated": is_estimated,
        "is_compressed": method not in _UNCOMPRESSED,
    }


def update_growth(results: UpdateResults) -> dict[str, Any]:
    """Return the table `update_growth`: sums over the first n updates of every repository."""
    update = results.pairs.update
    most = int(update.max(initial=0))
    columns = {"pairs": np.ones_like(update)} | {name: results.counts[name] for name in _GROWING}
    table: dict[str, Any] = {"updates": np.arange(1, most + 1)}
    for name, values in columns.items():
        table[name] = np.cumsum(summed_by(update, values, most + 1))[1:]
    return table
