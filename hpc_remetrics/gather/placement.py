"""Place every layer: where its rows are in the parts, and where they go in the dataset.

All of it is proportional to the number of layers, parts and images, and none to the number of
entries. Layers are sorted by digest, and their entries follow one another:

    part 0: layer c (2 entries), layer a (3)        layers   a   c   d
    part 1: layer d (4), layer c (failed, 0)        part     0   0   1     of two rows the better
                                                    first    0   3   5   9 (`first["entries"]`)

    entries of the dataset   | a a a | c c | d d d d |
                               0       3     5         9
    row in the part            2 … 4   0 1   0 … 3     (`layers["first_entry"]` on)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..dataset.schema import CHUNK_BYTES, CHUNK_ROWS, WEAK_TYPES
from ..parts.part_format import EXTRA_RECORDS, LAYER, PartIndex
from ..records import Catalog, Digest, Failure, Image

_COUNTS = {"entries": "entries", "path": "path_bytes", "link": "link_bytes"}
"""What is placed one after the other -> the field of `LAYER` that counts it."""


@dataclass
class Placement:
    """The layers in order of digest, and where the entries of each begin.

    :ivar layers: (n,) `part_format.LAYER`; its `first_…` fields are places in the part.
    :ivar part: (n,) int64, the part that holds each layer, a place in `paths` and `offsets`.
    :ivar first: `entries`, `path` and `link` -> (n + 1,) int64, first row or byte of each layer in
        the dataset, and the end of the last one.
    :ivar types: all descriptions, first those that libmagic gave, then `WEAK_TYPES`, each sorted.
    :ivar type_of: for each part (types,) uint32, type number in the part -> place in `types`.
    :ivar extras: kind of extra records -> (n, 2) int64, the first one of each layer in its part,
        and how many.
    :ivar image_start: (n + 1,) int64: `images_of[image_start[l]:image_start[l + 1]]` are the rows
        of the images with layer l, ascending.
    :ivar missing: layers of the images that no part holds.
    :ivar failures: of the placed layers, by digest.
    """

    layers: np.ndarray
    part: np.ndarray
    paths: list[Path]
    offsets: list[dict[str, int]]
    first: dict[str, np.ndarray]
    types: list[str]
    type_of: list[np.ndarray]
    extras: dict[str, np.ndarray]
    image_start: np.ndarray
    images_of: np.ndarray
    missing: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def entries(self) -> int:
        """Number of entries of the dataset."""
        return int(self.first["entries"][-1])

    @property
    def blocks(self) -> int:
        """Blocks of `CHUNK_ROWS` entries, the units of work of a gather."""
        return -(-self.entries // CHUNK_ROWS)

    def blob_chunks(self, name: str) -> int:
        """Return into how many chunks all paths or all links are cut."""
        return -(-int(self.first[name][-1]) // CHUNK_BYTES)


def place(parts: Sequence[PartIndex], images: Sequence[Image]) -> Placement:
    """Choose the best row of each layer of the images, sort the layers, and add up their entries.

    :param images: in their final order; a row of `Placement.images_of` is a place in them.
    """
    # Choose the part and the row there of each layer
    wanted = sorted({layer.digest.raw for image in images for layer in image.layers})
    best = _best_rows(parts, set(wanted))
    digests = [digest for digest in wanted if digest in best]
    chosen = [best[digest] for digest in digests]
    layers = np.array([parts[part].layers[row] for part, row in chosen], LAYER)

    # Place their entries, paths and links one after the other
    first = {}
    for name, count in _COUNTS.items():
        first[name] = np.concatenate([[0], np.cumsum(layers[count])]).astype(np.int64)

    # Number the types of all parts together
    descriptions = {text for index in parts for text in index.types}
    types = sorted(descriptions, key=lambda text: (text in WEAK_TYPES, text))
    numbers = {text: number for number, text in enumerate(types)}
    type_of = [np.array([numbers[text] for text in index.types], np.uint32) for index in parts]

    image_start, images_of = _images_by_layer(digests, images)
    return Placement(
        layers=layers,
        part=np.array([part for part, _ in chosen], np.int64),
        paths=[index.path for index in parts],
        offsets=[index.offsets for index in parts],
        first=first,
        types=types,
        type_of=type_of,
        extras={kind: _extras(parts, kind, chosen) for kind in EXTRA_RECORDS},
        image_start=image_start,
        images_of=images_of,
        missing=len(wanted) - len(digests),
        failures=_failures(parts, digests, chosen),
    )


def _best_rows(parts: Sequence[PartIndex], wanted: set[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return (part, row) of each wanted layer that a part holds.

    ok is better than partial, partial better than failed; ties go to the first part.
    """
    best: dict[bytes, tuple[int, int]] = {}
    best_status: dict[bytes, int] = {}
    for number, index in enumerate(parts):
        digests = index.layers["digest"].tolist()
        for row, (digest, status) in enumerate(
            zip(digests, index.layers["status"].tolist(), strict=True)
        ):
            if digest in wanted and (digest not in best or status < best_status[digest]):
                best[digest] = number, row
                best_status[digest] = status
    return best


def _failures(
    parts: Sequence[PartIndex], digests: list[bytes], chosen: list[tuple[int, int]]
) -> list[Failure]:
    """Return the failures of the chosen rows, and claims of images about any of these layers."""
    known = set(digests)
    chosen_in = {(part, digest) for (part, _), digest in zip(chosen, digests, strict=True)}
    failures = []
    for number, index in enumerate(parts):
        for failure in index.failures:
            digest = failure.digest.raw
            if (number, digest) in chosen_in or (failure.is_claim and digest in known):
                failures.append(failure)
    return in_order(failures)


def in_order(failures: Iterable[Failure]) -> list[Failure]:
    """Return failures by digest: first what images state falsely, each once, then what failed."""
    unique = {(one.digest, one.stage, one.message): one for one in failures}

    def key(failure: Failure) -> tuple[bytes, bool, str | bool]:
        return failure.digest.raw, not failure.is_claim, failure.is_claim and failure.message

    return sorted(unique.values(), key=key)


def _extras(parts: Sequence[PartIndex], kind: str, chosen: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return (n, 2) int64, for each layer the first of its extra records in the part, and how many.

    :param chosen: (part, row there) of each layer.
    """
    counts = [index.extras.get(kind, np.zeros(len(index.layers), np.int64)) for index in parts]
    firsts = [np.cumsum(one) - one for one in counts]
    pairs = [(firsts[part][row], counts[part][row]) for part, row in chosen]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _images_by_layer(
    digests: list[bytes], images: Sequence[Image]
) -> tuple[np.ndarray, np.ndarray]:
    """Return `image_start` and `images_of` of a `Placement`.

    :param digests: of the placed layers, ascending.
    """
    rows = {digest: row for row, digest in enumerate(digests)}
    pairs = sorted(
        {
            (rows[layer.digest.raw], number)
            for number, image in enumerate(images)
            for layer in image.layers
            if layer.digest.raw in rows
        }
    )
    layers = np.array([layer for layer, _ in pairs], np.int64)
    counts = np.bincount(layers, minlength=len(digests))
    image_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return image_start, np.array([image for _, image in pairs], np.int64)


def sorted_images(catalog: Catalog) -> list[Image]:
    """Return the images in order of name, digest and platform, each once.

    Of several the first that has a config counts: a source may lack it.
    """
    unique: dict[tuple[str, Digest, str], Image] = {}
    for image in catalog.images:
        key = (image.name, image.digest, image.platform)
        known = unique.setdefault(key, image)
        if known.config is None and image.config is not None:
            unique[key] = image
    return [unique[key] for key in sorted(unique)]
