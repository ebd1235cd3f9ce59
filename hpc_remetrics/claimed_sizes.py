"""Sizes of layers as manifests claim them: which claim to plan with, and which were false."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping

from .records import Catalog, Digest, Image, Layer


def unique_layers(catalog: Catalog) -> dict[Digest, Layer]:
    """Return each layer of the images once, by digest, with the size that most images state.

    A size is a claim until the digest is verified; among equal numbers of images the smaller one is
    taken, so that the order of the images does not matter.
    """
    # Collect the layers, and the claims about each one whose images state different sizes.
    layers: dict[Digest, Layer] = {}
    disputed: dict[Digest, dict[int, Layer]] = {}
    for image in catalog.images:
        for layer in image.layers:
            known = layers.setdefault(layer.digest, layer)
            if known.size != layer.size:
                claims = disputed.setdefault(layer.digest, {known.size: known})
                claims.setdefault(layer.size, layer)

    # Take the size that most images state, a known one before an unknown one (-1).
    if disputed:
        votes = _votes(catalog, disputed)
        for digest, claims in disputed.items():
            best = min(claims, key=lambda size: (size < 0, -votes[digest, size], size))
            layers[digest] = claims[best]
    return layers


def _votes(catalog: Catalog, disputed: Container[Digest]) -> Counter[tuple[Digest, int]]:
    """Count how many images state each size of the disputed layers."""
    votes: Counter[tuple[Digest, int]] = Counter()
    for image in catalog.images:
        claims = {(layer.digest, layer.size) for layer in image.layers if layer.digest in disputed}
        votes.update(claims)
    return votes


def false_sizes(catalog: Catalog, sizes: Mapping[bytes, int]) -> Iterator[tuple[Image, Layer]]:
    """Yield the images that state a wrong size for a layer, each with the layer as it states it.

    :param sizes: the true sizes of layers, in bytes, by the bytes of their digests.
    """
    for image in catalog.images:
        wrong = [
            layer
            for layer in image.layers
            if layer.size >= 0 and sizes.get(layer.digest.raw, layer.size) != layer.size
        ]
        for layer in dict.fromkeys(wrong):
            yield image, layer
