"""Put the tables of `/metrics` together on rank 0, from the results of all passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import ratio
from ..dataset.metrics_schema import HIDDEN_BY, SCENARIOS
from ..dataset.reader import Dataset
from ..dataset.text_values import path_text
from ..records import STATUSES
from ..tar.paths import clean
from . import compression, small_tables
from .amounts import FileTotals, by_name, by_type
from .base_tables import (
    base_counts,
    base_distributions,
    base_numbers,
    base_table,
    base_totals,
    top_bases,
)
from .bases import BaseResults
from .distribution import distribution_tables
from .estimates import estimates
from .growth import growth_summary
from .inputs import MetricsInputs
from .results import ContentResults, FileResults, HiddenResults, StepResults, Tables
from .steps import step_tables
from .update_tables import update_growth, update_table, update_totals
from .updates import UpdateResults


def assemble(
    inputs: MetricsInputs,
    contents: ContentResults,
    files: FileResults,
    hidden: HiddenResults,
    steps: StepResults,
    updates: UpdateResults,
    found_bases: BaseResults,
) -> Tables:
    """Return all tables of `/metrics`."""
    # Compute columns of layers and images, and the totals.
    layers = _layers(inputs, files, hidden)
    images = _images(inputs, layers, hidden)
    totals = _totals(inputs, contents, files, images)
    totals["undated_images"] = updates.pairs.undated
    bases = base_numbers(inputs, found_bases)
    totals |= base_totals(bases, images)
    file_totals = FileTotals.of(contents.by_type)

    # Collect the distributions of all passes.
    distributions = {
        **contents.distributions,
        **files.distributions,
        **small_tables.layer_distributions(inputs, layers),
        **small_tables.image_distributions(inputs, images),
        **base_distributions(bases),
        **small_tables.repository_distributions(inputs),
    }

    # Name the tables.
    return {
        "totals": {name: [value] for name, value in totals.items()},
        **distribution_tables(distributions),
        "value_counts": small_tables.value_counts(
            inputs, files.kinds, images["CLS"], base_counts(bases, images["CLS"])
        ),
        **by_type(inputs.dataset, contents.by_type),
        **by_name(files.name_texts, files.names, file_totals),
        "same_path": _same_path(files.same_path, file_totals),
        "dedup_levels": _dedup_levels(contents.dedup_levels, file_totals),
        "growth": files.growth,
        "growth_summary": growth_summary(files.growth),
        "what_if": _what_if(totals, contents),
        "pulls": small_tables.pulls(inputs, images),
        "hidden": _hidden(hidden.causes, totals["image_FLS"]),
        "top_layers": small_tables.top_layers(inputs),
        "top_contents": _top_contents(inputs.dataset, contents, files),
        "top_paths": _top_paths(inputs.dataset, files.top_paths),
        "top_repositories": small_tables.top_repositories(inputs),
        "top_hidden": small_tables.top_hidden(inputs, images),
        **step_tables(inputs, steps, layers),
        "layers": layers,
        "images": images,
        "samples": compression.samples(contents.compression),
        "chunks": contents.chunks.table(),
        "bases": base_table(bases),
        "top_bases": top_bases(inputs, bases),
        "updates": update_table(inputs, updates),
        "update_totals": update_totals(updates),
        "update_growth": update_growth(updates),
        "estimates": estimates(inputs, images),
    }


def _layers(
    inputs: MetricsInputs, files: FileResults, hidden: HiddenResults
) -> dict[str, np.ndarray]:
    """Return the table `layers`."""
    layers = files.layers | hidden.layers
    layers["redundant_files"] = inputs.layer("files") - layers.pop("first_contents")
    layers["redundant_bytes"] = inputs.layer("FLS") - layers.pop("first_bytes")
    return layers


def _images(
    inputs: MetricsInputs, layers: dict[str, np.ndarray], hidden: HiddenResults
) -> dict[str, np.ndarray]:
    """Return the table `images`."""
    columns = {name: inputs.layer(name) for name in ("CLS", "TLS", "FLS", "files", "directories")}
    columns |= {name: layers[name] for name in ("shared_files", "shared_bytes")}
    images = {name: inputs.by_image(values) for name, values in columns.items()}
    images["hidden_files"] = hidden.images[:, 0]
    images["hidden_bytes"] = hidden.images[:, 1]
    return images


_TABLES = ("repositories", "images", "image_layers", "layers", "entries", "contents")
_LAYER_SIZES = ("CLS", "TLS", "FLS")
_LAYER_COUNTS = ("files", "directories", "symlinks", "hardlinks", "devices", "whiteouts", "others")
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


def _totals(
    inputs: MetricsInputs,
    contents: ContentResults,
    files: FileResults,
    images: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Return the one row of `totals`."""
    data = inputs.dataset
    totals: dict[str, Any] = {name: len(getattr(data, name)) for name in _TABLES}
    by_status = np.bincount(data.layers["status"], minlength=len(STATUSES))
    totals |= {f"layers_{word}": int(by_status[number]) for word, number in STATUSES.items()}
    # Sums over layers, then over the layers of images.
    totals |= {name: int(inputs.layer(name).sum()) for name in (*_LAYER_SIZES, *_LAYER_COUNTS)}
    totals |= {f"image_{name}": int(images[name].sum()) for name in (*_LAYER_SIZES, "files")}
    totals |= {name: int(images[name].sum()) for name in _IMAGE_SUMS}
    # Contents and paths.
    totals["empty_files"] = contents.empty_files
    totals["content_bytes"] = int(contents.by_type["content_bytes"].sum())
    totals["paths"] = int(files.same_path[:2, 0].sum())
    totals["path_contents"] = files.path_contents
    # Quotients.
    for name, (part, whole) in _RATIOS.items():
        totals[name] = float(ratio(totals[part], totals[whole]))
    redundant = totals["FLS"] - totals["content_bytes"]
    totals["redundant_byte_share"] = float(ratio(redundant, totals["FLS"]))
    return totals


def _top_contents(dataset: Dataset, contents: ContentResults, files: FileResults) -> dict[str, Any]:
    """Return the table `top_contents`: most copies, then most redundant bytes."""
    rows = np.concatenate(list(contents.top.values()))
    table: dict[str, Any] = {
        "ranked_by": [by for by, listed in contents.top.items() for _ in listed],
        "content": rows,
    }
    # A few rows of a long table: read each by itself; of none, the empty column has the dtype.
    for name in ("digest", "size", "copies", "layers", "images", "type"):
        values = [dataset.contents.column(name, row, row + 1) for row in rows.tolist()]
        table[name] = np.concatenate([dataset.contents.column(name, 0, 0), *values])
    table["redundant_bytes"] = (table["copies"] - 1) * table["size"]
    table["type"] = dataset.types.readable("description")[table["type"]].tolist()
    table["path"] = [_path(dataset, files.first_file[row]) for row in rows.tolist()]
    return table


def _top_paths(dataset: Dataset, paths: np.ndarray) -> dict[str, Any]:
    texts = [_path(dataset, row) for row in paths["row"].tolist()]
    return {"path": texts, "contents": paths["contents"], "files": paths["files"]}


def _path(dataset: Dataset, row: int) -> str:
    """Return the cleaned path of a row of /entries; empty if there is no such row."""
    paths = dataset.paths(row, row + 1)
    return path_text(clean(paths[0])) if paths else ""


_PATH_CATEGORIES = [
    "paths_one_content",
    "paths_several_contents",
    "contents_one_path",
    "contents_several_paths",
]


def _same_path(counts: np.ndarray, totals: FileTotals) -> dict[str, Any]:
    """Return the table `same_path` from (4, 2) counts and files, see `FileResults`."""
    paths = counts[:2, 0].sum()
    contents = counts[2:, 0].sum()
    return {
        "category": _PATH_CATEGORIES,
        "count": counts[:, 0],
        "files": counts[:, 1],
        "share": ratio(counts[:, 0], np.array([paths, paths, contents, contents])),
        "share_of_files": ratio(counts[:, 1], np.full(4, totals.files)),
    }


def _dedup_levels(levels: np.ndarray, totals: FileTotals) -> dict[str, Any]:
    """Return the table `dedup_levels` from (2, 2) files and bytes, see `ContentResults`."""
    rows = np.vstack([levels, levels.sum(axis=0)])
    return {
        "level": ["within_layers", "across_layers", "all"],
        "files": rows[:, 0],
        "bytes": rows[:, 1],
        "share_of_files": ratio(rows[:, 0], np.full(3, totals.files)),
        "share_of_bytes": ratio(rows[:, 1], np.full(3, totals.bytes)),
    }


def _hidden(causes: np.ndarray, image_fls: int) -> dict[str, Any]:
    """Return the table `hidden` from (4, 2) files and bytes by cause."""
    return {
        "cause": list(HIDDEN_BY),
        "files": causes[:, 0],
        "bytes": causes[:, 1],
        "share_of_bytes": ratio(causes[:, 1], np.full(len(HIDDEN_BY), image_fls)),
    }


_STORED = {
    "no_sharing": "image_CLS",
    "layer_sharing": "CLS",
    "no_sharing_uncompressed": "image_FLS",
    "layer_sharing_uncompressed": "FLS",
    "file_dedup": "content_bytes",
}
"""Scenario -> the total that it stores."""


def _what_if(totals: dict[str, Any], contents: ContentResults) -> dict[str, Any]:
    """Return the table `what_if`: exact scenarios, then those from a sample or from chunks."""
    rows = []
    for scenario, column in _STORED.items():
        rows.append(_exact(scenario, totals[column], column.endswith("CLS")))
    rows += compression.what_if_rows(contents.compression)
    rows += contents.chunks.what_if_rows(totals["content_bytes"])
    table: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    # Compressed bytes are compared with compressed ones, uncompressed with uncompressed.
    without = [totals["image_CLS" if row["is_compressed"] else "image_FLS"] for row in rows]
    table["ratio"] = ratio(np.array(without), np.array(table["bytes"], float))
    table["description"] = [SCENARIOS[name] for name in table["scenario"]]
    return table


def _exact(scenario: str, size: int, is_compressed: bool) -> dict[str, Any]:
    return {
        "scenario": scenario,
        "bytes": size,
        "ci_low": size,
        "ci_high": size,
        "is_estimated": False,
        "estimated_from": "",
        "is_compressed": is_compressed,
    }
