"""The tables of `/metrics`, put together on the root from what all ranks counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..dataset.metrics_schema import HIDDEN_BY, SCENARIOS
from ..dataset.reader import Dataset
from ..dataset.text_values import path_text
from ..records import STATUSES
from ..tar.paths import clean
from . import compression, small_tables
from .amounts import Whole, by_type
from .chunk_dedup import Chunks
from .distribution import Distributions
from .estimates import estimates
from .growth import ratio
from .inputs import Inputs

Tables = dict[str, dict[str, Any]]
"""Table of `/metrics` -> column -> values."""

_EMPTY = np.empty(0, np.int64)


@dataclass
class Found:
    """What all ranks counted together.

    :ivar types: files, contents, bytes, content_bytes by row of /types.
    :ivar sample: sums over the contents that were compressed, and all.
    :ivar chunks: what came of cutting contents into chunks.
    :ivar levels: duplicates within and across layers: files, bytes.
    :ivar top_contents: copies, bytes -> the contents of the two lists.
    :ivar first_file: a listed content -> the row of its first file in /entries.
    :ivar kinds: entries of each kind.
    :ivar pairs: distinct pairs of path and content.
    :ivar same: paths with one content and with more, contents with one path and with more: how
    many, and files.
    :ivar layers: columns of `/metrics/layers`.
    :ivar hidden_of_images: files and bytes that each image hides.
    :ivar how: files and bytes hidden, by how.
    :ivar tables: those that are complete.
    """

    distributions: Distributions = field(default_factory=Distributions)
    types: dict[str, np.ndarray] = field(default_factory=dict)
    levels: np.ndarray = field(default_factory=_EMPTY.copy)
    sample: np.ndarray = field(default_factory=_EMPTY.copy)
    chunks: Chunks = field(default_factory=Chunks)
    empty_files: int = 0
    top_contents: dict[str, np.ndarray] = field(default_factory=dict)
    first_file: dict[int, int] = field(default_factory=dict)
    top_paths: np.ndarray = field(default_factory=_EMPTY.copy)
    kinds: np.ndarray = field(default_factory=_EMPTY.copy)
    pairs: int = 0
    same: np.ndarray = field(default_factory=_EMPTY.copy)
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    hidden_of_images: np.ndarray = field(default_factory=_EMPTY.copy)
    how: np.ndarray = field(default_factory=_EMPTY.copy)
    tables: Tables = field(default_factory=dict)

    @cached_property
    def whole(self) -> Whole:
        """All regular files."""
        return Whole.of(self.types)


def assemble(inputs: Inputs, found: Found) -> Tables:
    """Return all tables."""
    images = _images(inputs, found)
    totals = _totals(inputs, found, images)
    small_tables.take_layers(inputs, found.distributions, found.layers)
    small_tables.take_images(inputs, found.distributions, images)
    small_tables.take_repositories(inputs, found.distributions)
    return {
        **found.tables,
        "layers": found.layers,
        "images": images,
        "totals": {name: [value] for name, value in totals.items()},
        **found.distributions.tables(),
        **by_type(inputs.dataset, found.types),
        "value_counts": small_tables.value_counts(inputs, found.kinds, images["CLS"]),
        "top_layers": small_tables.top_layers(inputs),
        "top_contents": _top_contents(inputs.dataset, found),
        "top_paths": _top_paths(inputs.dataset, found.top_paths),
        "top_repositories": small_tables.top_repositories(inputs),
        "top_hidden": small_tables.top_hidden(inputs, images),
        "pulls": small_tables.pulls(inputs, images),
        "same_path": _same_path(found),
        "dedup_levels": _dedup_levels(found),
        "hidden": _how(found, totals["image_FLS"]),
        "what_if": _what_if(totals, found),
        "estimates": estimates(inputs, images),
        "samples": compression.samples(found.sample),
        "chunks": found.chunks.table(),
    }


def _images(inputs: Inputs, found: Found) -> dict[str, np.ndarray]:
    columns = {name: inputs.layer(name) for name in ("CLS", "TLS", "FLS", "files", "directories")}
    columns |= {name: found.layers[name] for name in ("shared_files", "shared_bytes")}
    images = {name: inputs.by_image(values) for name, values in columns.items()}
    images["hidden_files"], images["hidden_bytes"] = found.hidden_of_images.T
    return images


_TABLES = ("repositories", "images", "image_layers", "layers", "entries", "contents")
_LAYER_SUMS = (
    "CLS",
    "TLS",
    "FLS",
    "files",
    "directories",
    "symlinks",
    "hardlinks",
    "devices",
    "whiteouts",
    "others",
)
_IMAGE_SUMS = ("shared_files", "shared_bytes", "hidden_files", "hidden_bytes")
_RATIOS = {
    "sharing_ratio": ("image_CLS", "CLS"),
    "compression_ratio_FLS": ("FLS", "CLS"),
    "compression_ratio_TLS": ("TLS", "CLS"),
    "dedup_ratio_by_count": ("files", "contents"),
    "dedup_ratio_by_capacity": ("FLS", "content_bytes"),
    "unique_file_share": ("contents", "files"),
    "shared_file_share": ("shared_files", "image_files"),
    "hidden_byte_share": ("hidden_bytes", "image_FLS"),
}
"""Ratio of `totals` -> the totals whose quotient it is."""


def _totals(inputs: Inputs, found: Found, images: dict[str, np.ndarray]) -> dict[str, Any]:
    data = inputs.dataset
    status = np.bincount(data.layers["status"], minlength=len(STATUSES))
    totals: dict[str, Any] = {name: len(getattr(data, name)) for name in _TABLES}
    totals |= {f"layers_{word}": int(status[number]) for word, number in STATUSES.items()}
    totals |= {name: int(inputs.layer(name).sum()) for name in _LAYER_SUMS}
    totals |= {f"image_{name}": int(images[name].sum()) for name in ("CLS", "TLS", "FLS", "files")}
    totals |= {name: int(images[name].sum()) for name in _IMAGE_SUMS}
    totals["empty_files"], totals["content_bytes"] = (
        found.empty_files,
        int(found.types["content_bytes"].sum()),
    )
    totals["paths"], totals["path_contents"] = int(found.same[:2, 0].sum()), found.pairs
    totals |= {
        name: float(ratio(totals[part], totals[whole])) for name, (part, whole) in _RATIOS.items()
    }
    totals["redundant_byte_share"] = float(
        ratio(totals["FLS"] - totals["content_bytes"], totals["FLS"])
    )
    return totals


def _top_contents(dataset: Dataset, found: Found) -> dict[str, Any]:
    """Return `top_contents`: those with the most copies, then those with the most redundant
    bytes."""
    rows = np.concatenate([found.top_contents["copies"], found.top_contents["redundant_bytes"]])
    table: dict[str, Any] = {
        "ranked_by": [by for by, contents in found.top_contents.items() for _ in contents]
    }
    table["content"] = rows
    for name in ("digest", "size", "copies", "layers", "images", "type"):
        values = [dataset.contents.column(name, row, row + 1) for row in rows.tolist()]
        table[name] = np.concatenate([dataset.contents.column(name, 0, 0), *values])
    table["redundant_bytes"] = (table["copies"] - 1) * table["size"]
    table["type"] = dataset.types.readable("description")[table["type"]].tolist()
    table["path"] = [_path(dataset, found.first_file[row]) for row in rows.tolist()]
    return table


def _top_paths(dataset: Dataset, paths: np.ndarray) -> dict[str, Any]:
    texts = [_path(dataset, row) for row in paths["row"].tolist()]
    return {"path": texts, "contents": paths["contents"], "files": paths["files"]}


def _path(dataset: Dataset, row: int) -> str:
    """Return the cleaned path of a row of /entries as text; of none, nothing."""
    paths = dataset.paths(row, row + 1)
    return path_text(clean(paths[0])) if paths else ""


def _same_path(found: Found) -> dict[str, Any]:
    counts = found.same
    things = np.repeat([counts[:2, 0].sum(), counts[2:, 0].sum()], 2)
    return {
        "category": [
            "paths_one_content",
            "paths_several_contents",
            "contents_one_path",
            "contents_several_paths",
        ],
        "count": counts[:, 0],
        "files": counts[:, 1],
        "share": ratio(counts[:, 0], things),
        "share_of_files": ratio(counts[:, 1], np.full(4, found.whole.files)),
    }


def _dedup_levels(found: Found) -> dict[str, Any]:
    rows = np.vstack([found.levels, found.levels.sum(axis=0)])
    return {
        "level": ["within_layers", "across_layers", "all"],
        "files": rows[:, 0],
        "bytes": rows[:, 1],
        "share_of_files": ratio(rows[:, 0], np.full(3, found.whole.files)),
        "share_of_bytes": ratio(rows[:, 1], np.full(3, found.whole.bytes)),
    }


def _how(found: Found, size: int) -> dict[str, Any]:
    share = ratio(found.how[:, 1], np.full(len(HIDDEN_BY), size))
    return {
        "cause": list(HIDDEN_BY),
        "files": found.how[:, 0],
        "bytes": found.how[:, 1],
        "share_of_bytes": share,
    }


_STORED = {
    "no_sharing": "image_CLS",
    "layer_sharing": "CLS",
    "no_sharing_uncompressed": "image_FLS",
    "layer_sharing_uncompressed": "FLS",
    "file_dedup": "content_bytes",
}
"""Scenario -> the column of `totals` that it stores."""


def _what_if(totals: dict[str, Any], found: Found) -> dict[str, Any]:
    """Return `what_if`: what is known of all datasets, and what came of a sample or of cutting."""
    rows = [
        _exact(name, totals[column], column.endswith("CLS")) for name, column in _STORED.items()
    ]
    rows += compression.what_if_rows(found.sample) + found.chunks.what_if_rows(
        totals["content_bytes"]
    )
    table: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    base = [totals["image_CLS" if row["is_compressed"] else "image_FLS"] for row in rows]
    table["ratio"] = ratio(np.array(base), np.array(table["bytes"], float))
    return table | {"description": [SCENARIOS[name] for name in table["scenario"]]}


def _exact(scenario: str, size: int, compressed: bool) -> dict[str, Any]:
    row = {"scenario": scenario, "bytes": size, "ci_low": size, "ci_high": size}
    return row | {"is_estimated": False, "estimated_from": "", "is_compressed": compressed}
