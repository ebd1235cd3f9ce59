"""Tables and distributions that come from the small tables: layers, images, repositories, failures.

Rank 0 makes them alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import ratio
from ..mpi.comm import SerialComm
from ..records import KINDS, NOTES
from .distribution import Summary, ValueCounts, summaries
from .inputs import MetricsInputs

MOST = 100
"""Rows of the lists of layers, repositories and images."""

Columns = dict[str, np.ndarray]


def layer_distributions(inputs: MetricsInputs, layers: Columns) -> dict[str, Summary]:
    """Return the distributions over layers that were read.

    :param layers: columns of `/metrics/layers`.
    """
    read = inputs.was_read
    names = ("CLS", "TLS", "FLS", "files", "directories", "depth", "images")
    values = {name: inputs.layer(name)[read] for name in names}
    values["hidden_bytes_max"] = layers["hidden_bytes_max"][read]
    values["FLS_CLS"] = ratio(values["FLS"], values["CLS"])
    values["TLS_CLS"] = ratio(values["TLS"], values["CLS"])
    values["dedup_ratio_by_count"] = ratio(values["files"], layers["contents"][read])
    return distributions_of("layers", values)


def image_distributions(inputs: MetricsInputs, images: Columns) -> dict[str, Summary]:
    """Return the distributions over images.

    :param images: columns of `/metrics/images`.
    """
    names = ("CLS", "TLS", "FLS", "files", "directories", "hidden_bytes")
    values = {name: images[name] for name in names}
    values["layers"] = inputs.dataset.images["layers"]
    values["FLS_CLS"] = ratio(values["FLS"], values["CLS"])
    values["TLS_CLS"] = ratio(values["TLS"], values["CLS"])
    values["shared_file_share"] = ratio(images["shared_files"], images["files"])
    values["shared_byte_share"] = ratio(images["shared_bytes"], images["FLS"])
    values["hidden_byte_share"] = ratio(images["hidden_bytes"], images["FLS"])
    return distributions_of("images", values)


def repository_distributions(inputs: MetricsInputs) -> dict[str, Summary]:
    """Return the distributions over repositories; unknown pulls and stars are left out."""
    values = {}
    for name in ("pulls", "stars"):
        column = inputs.dataset.repositories.column(name)
        values[name] = column[column >= 0]
    values["images"] = images_of_repositories(inputs)
    return distributions_of("repositories", values)


def distributions_of(population: str, columns: Columns) -> dict[str, Summary]:
    """Summarize columns; NaN is left out."""
    counts = {}
    for name, values in columns.items():
        is_float = values.dtype.kind == "f"
        counts[f"{population}/{name}"] = one = ValueCounts(np.float64 if is_float else np.int64)
        one.add(values[~np.isnan(values)] if is_float else values.astype(np.int64))
    return summaries(SerialComm(), counts)


def images_of_repositories(inputs: MetricsInputs) -> np.ndarray:
    """Return the number of images of each repository, (repositories,) int64."""
    images = inputs.dataset.images
    return np.bincount(images["repository"], minlength=len(inputs.dataset.repositories))


ValueCount = tuple[str, str, int, int]
"""A row of `value_counts`."""


def value_counts(
    inputs: MetricsInputs,
    kinds: np.ndarray,
    image_cls: np.ndarray,
    of_bases: list[list[ValueCount]],
) -> dict[str, list[Any]]:
    """Return the table `value_counts`.

    :param kinds: (kinds,) int64, entries of each kind.
    :param image_cls: (images,) int64, compressed bytes.
    :param of_bases: rows about bases and what images claim of them.
    """
    data = inputs.dataset
    cls = inputs.layer("CLS")
    sizes = np.maximum(data.skipped.column("size"), 0)
    of_layers = ("status", "compression", "media_type")
    of_images = ("manifest_type", "platform")
    parts = [
        _count_kinds(inputs, kinds),
        *(count_values(name, data.layers.readable(name), cls) for name in of_layers),
        _count_notes(data.layers["notes"], cls),
        *(count_values(name, data.images.readable(name), image_cls) for name in of_images),
        *(count_values(name, data.failures.readable(name), None) for name in ("stage", "cause")),
        count_values("skip_cause", data.skipped.readable("cause"), sizes),
        *of_bases,
    ]
    # Most frequent first, of equals by value.
    rows = [row for part in parts for row in sorted(part, key=lambda row: (-row[2], row[1]))]
    names = ("variable", "value", "count", "bytes")
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


def _count_notes(notes: np.ndarray, cls: np.ndarray) -> list[ValueCount]:
    """Count layers by each note that they have.

    :param notes: (layers,) bits.
    """
    rows = [(word, (notes & bit) != 0) for word, bit in NOTES.items()]
    return [("notes", word, int(has.sum()), int(cls[has].sum())) for word, has in rows if has.any()]


def _count_kinds(inputs: MetricsInputs, kinds: np.ndarray) -> list[ValueCount]:
    """Return the rows of the kinds of entries that occur."""
    size = int(inputs.layer("FLS").sum())
    return [
        ("kind", word, int(kinds[n]), size if word == "file" else 0)
        for word, n in KINDS.items()
        if kinds[n]
    ]


def count_values(variable: str, values: np.ndarray, sizes: np.ndarray | None) -> list[ValueCount]:
    """Count the values that occur, and sum their sizes; without sizes the bytes are -1."""
    unique, place = np.unique(values.astype(str), return_inverse=True)
    place = place.ravel()
    counts = np.bincount(place, minlength=len(unique))
    size_sums = np.full(len(unique), -1)
    if sizes is not None:
        size_sums[:] = 0
        np.add.at(size_sums, place, sizes)
    rows = zip(unique, counts.tolist(), size_sums.tolist(), strict=True)
    return [(variable, str(value), count, size) for value, count, size in rows]


def _largest(values: np.ndarray) -> np.ndarray:
    """Return the rows of the `MOST` largest values, the first of equals first, (n,) int64."""
    return np.lexsort((np.arange(len(values)), -values))[:MOST]


def top_layers(inputs: MetricsInputs) -> dict[str, Any]:
    """Return the table `top_layers`."""
    data = inputs.dataset
    users = inputs.layer("images")
    rows = _largest(users)
    # Find the first image that uses each layer.
    first = np.full(len(users), len(data.images))
    np.minimum.at(first, inputs.image_layers, inputs.image_of)
    return {
        "layer": rows,
        "digest": data.layers["digest"][rows],
        "images": users[rows],
        **{name: inputs.layer(name)[rows] for name in ("CLS", "FLS", "files")},
        "image": data.images.readable("name")[first[rows]].tolist(),
    }


def top_repositories(inputs: MetricsInputs) -> dict[str, Any]:
    """Return the table `top_repositories`."""
    table = inputs.dataset.repositories
    pulls = table.column("pulls")
    rows = _largest(pulls)
    rows = rows[pulls[rows] >= 0]
    return {
        "repository": rows,
        "name": table.readable("name")[rows].tolist(),
        "pulls": pulls[rows],
        "stars": table.column("stars")[rows],
        "images": images_of_repositories(inputs)[rows],
    }


def top_hidden(inputs: MetricsInputs, images: Columns) -> dict[str, Any]:
    """Return the table `top_hidden`.

    :param images: columns of `/metrics/images`.
    """
    hidden = images["hidden_bytes"]
    rows = _largest(hidden)
    rows = rows[hidden[rows] > 0]
    columns = {name: images[name][rows] for name in ("FLS", "hidden_files", "hidden_bytes")}
    return {
        "image": rows,
        "name": inputs.dataset.images.readable("name")[rows].tolist(),
        **columns,
        "hidden_byte_share": ratio(columns["hidden_bytes"], columns["FLS"]),
    }


def pulls(inputs: MetricsInputs, images: Columns) -> dict[str, Any]:
    """Return the table `pulls`; unknown pulls count as 0.

    :param images: columns of `/metrics/images`.
    """
    # An image gets an equal part of its repository's pulls.
    repository = inputs.dataset.images["repository"]
    known = np.maximum(inputs.dataset.repositories.column("pulls"), 0)[repository]
    weight = ratio(known, images_of_repositories(inputs)[repository])
    names = ["CLS", "FLS", "shared_bytes", "hidden_bytes"]
    unweighted = np.array([int(images[name].sum()) for name in names], float)
    pulled = np.array([float((weight * images[name]).sum()) for name in names])
    # Shares are of FLS, that of CLS of itself.
    whole = np.array([0, 1, 1, 1])
    return {
        "quantity": names,
        "bytes": unweighted.astype(np.int64),
        "share": ratio(unweighted, unweighted[whole]),
        "pulled_bytes": pulled,
        "pulled_share": ratio(pulled, pulled[whole]),
    }
