"""What comes from the small tables alone: layers, images, repositories, and how often each word
occurs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..mpi.comm import SerialComm
from ..records import KINDS, NOTES
from .distribution import Distributions, Tally
from .growth import ratio
from .inputs import Inputs

MOST = 100
"""Rows of the lists of what there is most of."""


def take_layers(inputs: Inputs, into: Distributions, layers: dict[str, np.ndarray]) -> None:
    """Summarise what is spread over layers.

    :param layers: columns of `/metrics/layers`.
    """
    read = inputs.read
    values = {
        name: inputs.layer(name)[read]
        for name in ("CLS", "TLS", "FLS", "files", "directories", "depth", "images")
    }
    values["hidden_bytes_max"] = layers["hidden_bytes_max"][read]
    values["FLS_CLS"], values["TLS_CLS"] = (
        ratio(values["FLS"], values["CLS"]),
        ratio(values["TLS"], values["CLS"]),
    )
    values["dedup_ratio_by_count"] = ratio(values["files"], layers["contents"][read])
    _take_all(into, "layers", values)


def take_images(inputs: Inputs, into: Distributions, images: dict[str, np.ndarray]) -> None:
    """Summarise what is spread over images.

    :param images: columns of `/metrics/images`.
    """
    values = {
        name: images[name] for name in ("CLS", "TLS", "FLS", "files", "directories", "hidden_bytes")
    }
    values["layers"] = inputs.dataset.images["layers"]
    values["FLS_CLS"], values["TLS_CLS"] = (
        ratio(values["FLS"], values["CLS"]),
        ratio(values["TLS"], values["CLS"]),
    )
    values["shared_file_share"] = ratio(images["shared_files"], images["files"])
    values["shared_byte_share"] = ratio(images["shared_bytes"], images["FLS"])
    values["hidden_byte_share"] = ratio(images["hidden_bytes"], images["FLS"])
    _take_all(into, "images", values)


def take_repositories(inputs: Inputs, into: Distributions) -> None:
    """Summarise what is spread over repositories."""
    values = {name: inputs.dataset.repositories[name] for name in ("pulls", "stars")}
    values = {name: column[column >= 0] for name, column in values.items()}
    _take_all(into, "repositories", {**values, "images": images_of_repositories(inputs)})


def _take_all(into: Distributions, of: str, columns: dict[str, np.ndarray]) -> None:
    for name, values in columns.items():
        tally = Tally(np.float64 if values.dtype.kind == "f" else np.int64)
        tally.add(
            values[~np.isnan(values)] if values.dtype.kind == "f" else values.astype(np.int64)
        )
        into.take(SerialComm(), f"{of}/{name}", tally)


def images_of_repositories(inputs: Inputs) -> np.ndarray:
    """Return the number of images of each repository."""
    return np.bincount(
        inputs.dataset.images["repository"], minlength=len(inputs.dataset.repositories)
    )


def value_counts(inputs: Inputs, kinds: np.ndarray, image_cls: np.ndarray) -> dict[str, list[Any]]:
    """Return `value_counts`.

    :param kinds: entries of each kind.
    """
    data, cls = inputs.dataset, inputs.layer("CLS")
    parts = [
        _of_kinds(inputs, kinds),
        *(
            _counted(name, data.layers.readable(name), cls)
            for name in ("status", "compression", "media_type")
        ),
        _of_notes(data.layers["notes"], cls),
        *(
            _counted(name, data.images.readable(name), image_cls)
            for name in ("manifest_type", "platform")
        ),
        *(_counted(name, data.failures.readable(name), None) for name in ("stage", "cause")),
        _counted("skip_cause", data.skipped.readable("cause"), np.maximum(data.skipped["size"], 0)),
    ]
    rows = [row for part in parts for row in sorted(part, key=lambda row: (-row[2], row[1]))]
    return {
        name: [row[n] for row in rows]
        for n, name in enumerate(("variable", "value", "count", "bytes"))
    }


Word = tuple[str, str, int, int]
"""A row of `value_counts`."""


def _of_notes(notes: np.ndarray, cls: np.ndarray) -> list[Word]:
    rows = [(word, (notes & bit) != 0) for word, bit in NOTES.items()]
    return [("notes", word, int(has.sum()), int(cls[has].sum())) for word, has in rows if has.any()]


def _of_kinds(inputs: Inputs, kinds: np.ndarray) -> list[Word]:
    size = int(inputs.layer("FLS").sum())
    return [
        ("kind", word, int(kinds[n]), size if word == "file" else 0)
        for word, n in KINDS.items()
        if kinds[n]
    ]


def _counted(what: str, values: np.ndarray, sizes: np.ndarray | None) -> list[Word]:
    """Return (what, word, count, bytes) of the words that occur; without sizes the bytes are -1."""
    found, place = np.unique(values.astype(str), return_inverse=True)
    counts = np.bincount(place.reshape(-1), minlength=len(found))
    bytes_ = np.full(len(found), -1)
    if sizes is not None:
        bytes_[:] = 0
        np.add.at(bytes_, place.reshape(-1), sizes)
    return [
        (what, str(word), count, size)
        for word, count, size in zip(found, counts.tolist(), bytes_.tolist(), strict=True)
    ]


def top_layers(inputs: Inputs) -> dict[str, Any]:
    """Return `top_layers`."""
    users = inputs.layer("images")
    rows = np.lexsort((np.arange(len(users)), -users))[:MOST]
    first = np.full(len(users), len(inputs.dataset.images))
    np.minimum.at(first, inputs.image_layers, inputs.image_of)
    names = inputs.dataset.images.readable("name")
    return {
        "layer": rows,
        "digest": inputs.dataset.layers["digest"][rows],
        "images": users[rows],
        **{name: inputs.layer(name)[rows] for name in ("CLS", "FLS", "files")},
        "image": names[first[rows]].tolist(),
    }


def top_repositories(inputs: Inputs) -> dict[str, Any]:
    """Return `top_repositories`."""
    table = inputs.dataset.repositories
    pulls = table["pulls"]
    rows = np.lexsort((np.arange(len(pulls)), -pulls))
    rows = rows[pulls[rows] >= 0][:MOST]
    columns = {"pulls": pulls, "stars": table["stars"], "images": images_of_repositories(inputs)}
    names = table.readable("name")[rows].tolist()
    return {
        "repository": rows,
        "name": names,
        **{name: values[rows] for name, values in columns.items()},
    }


def top_hidden(inputs: Inputs, images: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return `top_hidden`."""
    hidden = images["hidden_bytes"]
    rows = np.lexsort((np.arange(len(hidden)), -hidden))
    rows = rows[hidden[rows] > 0][:MOST]
    columns = {name: images[name][rows] for name in ("FLS", "hidden_files", "hidden_bytes")}
    share = ratio(columns["hidden_bytes"], columns["FLS"])
    names = inputs.dataset.images.readable("name")[rows].tolist()
    return {"image": rows, "name": names, **columns, "hidden_byte_share": share}


def pulls(inputs: Inputs, images: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return `pulls`; without any known pulls what was pulled is 0, and shares of it NaN."""
    repository = inputs.dataset.images["repository"]
    known = np.maximum(inputs.dataset.repositories["pulls"], 0)[repository]
    weight = ratio(known, images_of_repositories(inputs)[repository])
    names = ["CLS", "FLS", "shared_bytes", "hidden_bytes"]
    plain = np.array([int(images[name].sum()) for name in names], float)
    pulled = np.array([float((weight * images[name]).sum()) for name in names])
    base = np.array([0, 1, 1, 1])
    return {
        "quantity": names,
        "bytes": plain.astype(np.int64),
        "share": ratio(plain, plain[base]),
        "pulled_bytes": pulled,
        "pulled_share": ratio(pulled, pulled[base]),
    }
