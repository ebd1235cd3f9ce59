"""Catalogs as JSON, for the journal of resolved manifests."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from ..records import Catalog, Digest, Image, Layer, Skipped


def to_json(catalog: Catalog) -> dict[str, Any]:
    """Return a catalog as values that JSON can hold."""
    return {
        "images": list(map(_image, catalog.images)),
        "skipped": [list(astuple(one)) for one in catalog.skipped],
        "others": sorted(catalog.others),
    }


def from_json(value: dict[str, Any]) -> Catalog:
    """Return the catalog that `to_json` was given."""
    images = [
        Image(
            name, Digest.parse(digest), platform, kind, tuple(_parsed(*layer) for layer in layers)
        )
        for name, digest, platform, kind, layers in value["images"]
    ]
    skipped = [Skipped(*one) for one in value["skipped"]]
    return Catalog(images, skipped, others=set(value.get("others", ())))


def _image(image: Image) -> list[Any]:
    return [
        image.name,
        str(image.digest),
        image.platform,
        image.manifest_type,
        list(map(_layer, image.layers)),
    ]


def _layer(layer: Layer) -> list[Any]:
    diff_id = str(layer.diff_id) if layer.diff_id else None
    return [str(layer.digest), layer.size, layer.media_type, diff_id, layer.origin]


def _parsed(digest: str, size: int, media_type: str, diff_id: str | None, origin: str) -> Layer:
    return Layer(
        Digest.parse(digest), size, media_type, Digest.parse(diff_id) if diff_id else None, origin
    )
