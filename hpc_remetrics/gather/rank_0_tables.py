"""Write the tables that rank 0 writes alone: all but entries, contents and chunks."""

from __future__ import annotations

import math
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
from .config_tables import ConfigTables, seconds_of
from .placement import Placement, layer_rows

_POPULARITY = ("stars", "pulls", "stratum", "weight", "drawn")
"""Columns of `/repositories` besides the name."""


def write_small_tables(
    file: Any,
    placement: Placement,
    catalog: Catalog,
    *,
    images: list[Image],
    configs: ConfigTables,
    types: list[str],
    run: Mapping[str, Any],
    large: Mapping[str, int],
) -> None:
    """Write all tables of rank 0 and `/run`, and create those that all ranks fill.

    :param images: of the catalog, sorted; `configs`: what their configs say.
    :param types: descriptions in use, sorted.
    :param run: values, and mappings from column to list.
    :param large: number of rows of `contents` and of `chunks`.
    """
    repositories = sorted({image.repository for image in images})
    rows = {
        "repositories": len(repositories),
        "images": len(images),
        "image_layers": sum(len(image.layers) for image in images),
        "layers": len(placement.layers),
        "entries": placement.entries,
        "types": len(types),
        **configs.rows,
        **large,
    }

    # Write repositories, images and layers
    write_table(file, "repositories", _repository_columns(catalog, repositories), rows)
    write_table(file, "images", _image_columns(images, repositories, configs), rows)
    layer = layer_rows(placement.layers["digest"].tolist(), images)
    write_table(file, "image_layers", {"layer": layer, "step": configs.step}, rows)
    configs.write(file, rows)
    write_table(file, "layers", _layer_columns(placement, images, layer), rows)

    # Create the tables that all ranks fill; without entries nobody writes the one offset
    sizes = {f"{blob}_byte": int(placement.first[blob][-1]) for blob in ("path", "link")}
    create_table(file, "entries", {"row": placement.entries, **sizes}, rows)
    if not placement.entries:
        file["entries/path_offset"][...] = 0
        file["entries/link_offset"][...] = 0
    create_table(file, "contents", {"row": large["contents"]}, rows)
    create_table(file, "chunks", {"row": large["chunks"]}, rows)

    # Write types, what went wrong, and the run
    write_table(file, "types", _type_columns(types), rows)
    write_table(file, "failures", _failure_columns(placement), rows)
    write_table(file, "skipped", _skipped_columns(catalog), rows)
    write_run(file, run, placement.failures, placement.layers["cpu_seconds"])


def _repository_columns(catalog: Catalog, names: list[str]) -> dict[str, Any]:
    known = [catalog.repositories.get(name, Popularity()) for name in names]
    columns: dict[str, Any] = {"name": names}
    for column in _POPULARITY:
        columns[column] = [getattr(popularity, column) for popularity in known]
    columns["weight"] = [weight or math.nan for weight in columns["weight"]]
    return columns


def _image_columns(
    images: list[Image], repositories: list[str], configs: ConfigTables
) -> dict[str, Any]:
    row = {name: number for number, name in enumerate(repositories)}
    counts = np.array([len(image.layers) for image in images], np.int64)
    return {
        "name": [image.name for image in images],
        "repository": [row[image.repository] for image in images],
        "digest": _digest_array([image.digest.raw for image in images]),
        "platform": [image.platform for image in images],
        "manifest_type": [MANIFEST_TYPES[image.manifest_type] for image in images],
        "first_layer": np.cumsum(counts) - counts,
        "layers": counts,
        "created": configs.created,
        "config": configs.config,
        "pushed": seconds_of(image.pushed for image in images),
    }


def _layer_columns(
    placement: Placement, images: list[Image], row: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the columns of `/layers`.

    :param row: (image layers,) int32, the layer of each layer of each image.
    """
    # Take what the parts have
    layers = placement.layers
    columns = {}
    for name in TABLES["layers"].columns:
        if name in (layers.dtype.names or ()):
            columns[name] = layers[name].copy()
    columns["first_entry"] = placement.first["entries"][:-1]
    columns["images"] = np.diff(placement.image_start)

    # Take the first media type in order that images state
    stated = (MEDIA_TYPES[layer.media_type] for image in images for layer in image.layers)
    media = np.full(len(layers), np.iinfo(np.uint8).max, np.uint8)
    np.minimum.at(media, row, np.fromiter(stated, np.uint8, len(row)))
    columns["media_type"] = media
    columns["notes"] |= _media_mismatch(media, layers["compression"])

    # Note a diff_id that is not the one computed
    wrong = _wrong_diff_ids(layers["diff_id"].tolist(), images, row)
    columns["notes"][wrong] |= NOTES["diff_id_mismatch"]
    return columns


def _wrong_diff_ids(computed: list[bytes], images: list[Image], row: np.ndarray) -> list[int]:
    """Return the layers of which an image states another diff_id than the one computed.

    :param computed: diff_id of each layer, zeros where it is not known; `row` as above.
    """
    unknown = bytes(32)
    wrong = set()
    stated = (layer.diff_id for image in images for layer in image.layers)
    for number, diff_id in zip(iter(row.data), stated, strict=True):
        if diff_id is not None and unknown != computed[number] != diff_id.raw:
            wrong.add(number)
    return sorted(wrong)


def _media_mismatch(media: np.ndarray, compression: np.ndarray) -> np.ndarray:
    """Return (n,) uint32, a note where manifests name another compression than the bytes show.

    :param media: (n,) uint8 of `MEDIA_TYPES`.
    :param compression: (n,) uint8 of `COMPRESSIONS`.
    """
    # The compression that each media type names, -1 for none
    said = np.full(len(MEDIA_TYPES), -1)
    for word, number in MEDIA_TYPES.items():
        ending = word.rpartition("_tar")[2].lstrip("_")
        if word != "unspecified":
            said[number] = COMPRESSIONS[ending or "none"]
    is_known = (said[media] >= 0) & (compression != COMPRESSIONS["unknown"])
    differs = is_known & (said[media] != compression)
    return np.where(differs, NOTES["media_type_mismatch"], 0).astype(np.uint32)


def _type_columns(descriptions: list[str]) -> dict[str, list[str]]:
    types = [classify(description) for description in descriptions]
    return {
        "description": descriptions,
        "mime": [one.mime for one in types],
        "group": [one.group for one in types],
        "class": [one.class_ for one in types],
    }


def _failure_columns(placement: Placement) -> dict[str, Any]:
    failures = placement.failures
    return {
        "digest": _digest_array([failure.digest.raw for failure in failures]),
        "stage": [STAGES[failure.stage] for failure in failures],
        "cause": [CAUSES[failure.cause] for failure in failures],
        "message": [failure.message for failure in failures],
        "offset": [failure.offset for failure in failures],
    }


def _skipped_columns(catalog: Catalog) -> dict[str, Any]:
    def key(one: Skipped) -> tuple[str | int, ...]:
        return one.image, one.digest, one.cause, one.media_type, one.size, one.message

    skipped = sorted(set(catalog.skipped), key=key)
    return {
        "image": [one.image for one in skipped],
        "digest": [one.digest for one in skipped],
        "size": [one.size for one in skipped],
        "media_type": [one.media_type for one in skipped],
        "cause": [SKIP_CAUSES[one.cause] for one in skipped],
        "message": [one.message for one in skipped],
    }


def _digest_array(digests: list[bytes]) -> np.ndarray:
    """Return (n,) V32 of raw digests."""
    return np.frombuffer(b"".join(digests), "V32")
