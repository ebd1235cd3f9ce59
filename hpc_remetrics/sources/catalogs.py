"""Catalogs and configs as JSON, for the journal of resolved manifests.

What a crawl's list says of images and repositories is not in it: the list is read again.
"""

from __future__ import annotations

from dataclasses import astuple, fields
from operator import attrgetter
from typing import Any

from ..records import Catalog, Digest, Image, ImageConfig, Layer, Skipped, Step

VERSION = 2
"""Of this form; journals of other versions are not read."""

_values_of = attrgetter(*(field.name for field in fields(ImageConfig)))


def to_json(catalog: Catalog) -> dict[str, Any]:
    """Return a catalog as values that JSON can hold."""
    return {
        "images": list(map(_image, catalog.images)),
        "skipped": [list(astuple(one)) for one in catalog.skipped],
        "others": sorted(catalog.others),
        "configs": list(map(config_to_json, catalog.configs)),
    }


def from_json(value: dict[str, Any]) -> Catalog:
    """Return the catalog that `to_json` was given."""
    catalog = Catalog(
        [_parsed_image(*image) for image in value["images"]],
        [Skipped(*one) for one in value["skipped"]],
        others=set(value["others"]),
    )
    for config in value["configs"]:
        catalog.configs.add(config_from_json(config))
    return catalog


def config_to_json(config: ImageConfig) -> list[Any]:
    """Return a config as values that JSON can hold; the digest in hex is the first."""
    digest, *values = _values_of(config)
    return [digest.hex, *values]


def config_from_json(values: list[Any]) -> ImageConfig:
    """Return the config that `config_to_json` was given."""
    digest, *texts, labels, environment, history, notes, secrets = values
    found = [
        Digest(bytes.fromhex(digest)),
        *texts,
        tuple(map(tuple, labels)),
        tuple(map(tuple, environment)),
        tuple(map(Step._make, history)),
        notes,
        secrets,
    ]
    return ImageConfig(*found)


def _image(image: Image) -> list[Any]:
    return [
        image.name,
        str(image.digest),
        image.platform,
        image.manifest_type,
        list(map(_layer, image.layers)),
        str(image.config) if image.config else None,
        image.annotations,
    ]


def _parsed_image(
    name: str,
    digest: str,
    platform: str,
    kind: str,
    layers: list[Any],
    config: str | None,
    annotations: list[Any],
) -> Image:
    return Image(
        name,
        Digest.parse(digest),
        platform,
        kind,
        tuple(_parsed(*layer) for layer in layers),
        Digest.parse(config) if config else None,
        tuple((key, text) for key, text in annotations),
    )


def _layer(layer: Layer) -> list[Any]:
    diff_id = str(layer.diff_id) if layer.diff_id else None
    return [str(layer.digest), layer.size, layer.media_type, diff_id, layer.origin]


def _parsed(digest: str, size: int, media_type: str, diff_id: str | None, origin: str) -> Layer:
    return Layer(
        Digest.parse(digest), size, media_type, Digest.parse(diff_id) if diff_id else None, origin
    )
