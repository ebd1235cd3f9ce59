"""The tables that the root of a gather holds whole: what it knows of repositories, images, layers,
types and faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..dataset.schema import TABLES
from ..dataset.table_writer import create_table, write_run, write_table
from ..filetype.taxonomy import classify
from ..records import (
    CAUSES,
    COMPRESSIONS,
    MANIFEST_TYPES,
    MEDIA_TYPES,
    NOTES,
    SKIP_CAUSES,
    STAGES,
    Catalog,
    Image,
    Popularity,
    Skipped,
)
from .placement import Placement


def write_small(
    file: Any,
    placement: Placement,
    catalog: Catalog,
    images: list[Image],
    types: list[str],
    run: Mapping[str, Any],
    large: Mapping[str, int],
) -> None:
    """Write the tables that the root holds whole, and create the large ones.

    :param images: sorted.
    :param types: descriptions.
    :param large: rows of `contents` and of `chunks`.
    """
    repositories = sorted({image.repository for image in images})
    rows = {
        "repositories": len(repositories),
        "images": len(images),
        "image_layers": sum(len(image.layers) for image in images),
        "layers": len(placement.layers),
        "entries": placement.entries,
        "types": len(types),
        **large,
    }
    write_table(file, "repositories", _repository_columns(catalog, repositories), rows)
    write_table(file, "images", _image_columns(images, repositories), rows)
    write_table(file, "image_layers", {"layer": _image_layers(placement.layers, images)}, rows)
    write_table(file, "layers", _layer_columns(placement, images), rows)
    sizes = {f"{name}_byte": int(placement.first[name][-1]) for name in ("path", "link")}
    create_table(file, "entries", {"row": placement.entries, **sizes}, rows)
    if not placement.entries:
        file["entries/path_offset"][...] = file["entries/link_offset"][...] = 0
    create_table(file, "contents", {"row": large["contents"]}, rows)
    create_table(file, "chunks", {"row": large["chunks"]}, rows)
    write_table(file, "types", _type_columns(types), rows)
    write_table(file, "failures", _failure_columns(placement), rows)
    write_table(file, "skipped", _skipped_columns(catalog), rows)
    write_run(file, run, placement.failures, placement.layers["cpu_seconds"])


def _image_layers(layers: np.ndarray, images: list[Image]) -> np.ndarray:
    row = {digest: n for n, digest in enumerate(_digests(layers))}
    return np.array([row[layer.digest.raw] for image in images for layer in image.layers], np.int64)


def _layer_columns(placement: Placement, images: list[Image]) -> dict[str, np.ndarray]:
    layers = placement.layers
    names = TABLES["layers"].columns
    columns = {name: layers[name].copy() for name in names if name in (layers.dtype.names or ())}
    columns["first_entry"] = placement.first["entries"][:-1]
    columns["images"] = np.diff(placement.image_start)
    said: dict[bytes, set[tuple[int, bytes]]] = {}
    for image in images:
        for layer in image.layers:
            diff_id = layer.diff_id.raw if layer.diff_id else b""
            said.setdefault(layer.digest.raw, set()).add((MEDIA_TYPES[layer.media_type], diff_id))
    media = np.zeros(len(layers), np.uint8)
    for n, digest in enumerate(_digests(layers)):
        media[n] = min(media_type for media_type, _ in said[digest])
        computed = layers["diff_id"][n].tobytes()
        wrong = any(diff_id and diff_id != computed for _, diff_id in said[digest])
        if wrong and computed.strip(b"\0"):
            columns["notes"][n] |= NOTES["diff_id_mismatch"]
    columns["media_type"] = media
    columns["notes"] |= _media_mismatch(media, layers["compression"])
    return columns


def _digests(layers: np.ndarray) -> list[bytes]:
    data = layers["digest"].tobytes()
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def _raw(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), "V32")


def _repository_columns(catalog: Catalog, names: list[str]) -> dict[str, Any]:
    known = [catalog.repositories.get(name, Popularity()) for name in names]
    columns = ("stars", "pulls", "stratum", "weight", "drawn")
    return {
        "name": names,
        **{column: [getattr(one, column) for one in known] for column in columns},
    }


def _image_columns(images: list[Image], repositories: list[str]) -> dict[str, Any]:
    row = {name: n for n, name in enumerate(repositories)}
    counts = np.array([len(image.layers) for image in images], np.int64)
    return {
        "name": [image.name for image in images],
        "repository": [row[image.repository] for image in images],
        "digest": _raw([image.digest.raw for image in images]),
        "platform": [image.platform for image in images],
        "manifest_type": [MANIFEST_TYPES[image.manifest_type] for image in images],
        "first_layer": np.cumsum(counts) - counts,
        "layers": counts,
    }


def _type_columns(descriptions: list[str]) -> dict[str, list[str]]:
    types = [classify(text) for text in descriptions]
    return {
        "description": descriptions,
        "mime": [one.mime for one in types],
        "group": [one.group for one in types],
        "class": [one.class_ for one in types],
    }


def _failure_columns(placement: Placement) -> dict[str, Any]:
    failures = placement.failures
    return {
        "digest": _raw([failure.digest.raw for failure in failures]),
        "stage": [STAGES[failure.stage] for failure in failures],
        "cause": [CAUSES[failure.cause] for failure in failures],
        "message": [failure.message for failure in failures],
        "offset": [failure.offset for failure in failures],
    }


def _in_order(one: Skipped) -> tuple[str | int, ...]:
    return one.image, one.digest, one.cause, one.media_type, one.size, one.message


def _skipped_columns(catalog: Catalog) -> dict[str, Any]:
    skipped = sorted(set(catalog.skipped), key=_in_order)
    return {
        "image": [one.image for one in skipped],
        "digest": [one.digest for one in skipped],
        "size": [one.size for one in skipped],
        "media_type": [one.media_type for one in skipped],
        "cause": [SKIP_CAUSES[one.cause] for one in skipped],
        "message": [one.message for one in skipped],
    }


def _media_mismatch(media: np.ndarray, compression: np.ndarray) -> np.ndarray:
    """Return the note bit where the manifests name another compression than the first bytes
    show."""
    said = np.full(len(MEDIA_TYPES), -1)
    for word, place_of in MEDIA_TYPES.items():
        ending = word.rpartition("_tar")[2].lstrip("_")
        if word != "unspecified":
            said[place_of] = COMPRESSIONS[ending or "none"]
    differs = (
        (said[media] >= 0) & (said[media] != compression) & (compression != COMPRESSIONS["unknown"])
    )
    return np.where(differs, NOTES["media_type_mismatch"], 0).astype(np.uint32)
