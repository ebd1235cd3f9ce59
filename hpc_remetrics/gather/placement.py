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

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
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
        of the images with layer l, ascending; `images_of` is (pairs,) int32.
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
    wanted = {layer.digest.raw for image in images for layer in image.layers}
    part, row = _best_rows(parts, wanted)
    layers = _rows_of_parts(parts, part, row)
    digests = layers["digest"].tolist()

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
        part=part,
        paths=[index.path for index in parts],
        offsets=[index.offsets for index in parts],
        first=first,
        types=types,
        type_of=type_of,
        extras={kind: _extras(parts, kind, part, row) for kind in EXTRA_RECORDS},
        image_start=image_start,
        images_of=images_of,
        missing=len(wanted) - len(digests),
        failures=_failures(parts, digests, part),
    )


def _best_rows(
    parts: Sequence[PartIndex], wanted: Container[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of each wanted layer that a part holds, and its row there, by digest.

    ok is better than partial, partial better than failed; ties go to the first part.

    :returns: (layers,) int64 each.
    """
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    counts = [len(index.layers) for index in parts]
    digest = np.concatenate([index.layers["digest"] for index in parts])
    status = np.concatenate([index.layers["status"] for index in parts])
    # Sort by digest, the better first, of equals the first; the last key sorts first.
    words = np.frombuffer(digest.tobytes(), ">u8").reshape(-1, 4).astype(np.uint64)
    order = np.lexsort((status, *words.T[::-1]))
    words = words[order]
    is_best = np.append(True, (words[1:] != words[:-1]).any(axis=1))[: len(order)]
    best = order[is_best]
    is_wanted = (raw in wanted for raw in digest[best].tolist())
    best = best[np.fromiter(is_wanted, bool, len(best))]
    # Say for each row of all parts which part it is in.
    ends = np.cumsum(counts)
    part = np.searchsorted(ends, best, "right")
    return part, best - (ends - counts)[part]


def _rows_of_parts(parts: Sequence[PartIndex], part: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return (layers,) `LAYER`, a row of a part for each layer.

    :param part: (layers,) int64; `row` likewise, its row in that part.
    """
    layers = np.empty(len(part), LAYER)
    order = np.argsort(part, kind="stable")
    bounds = np.searchsorted(part[order], np.arange(len(parts) + 1)).tolist()
    for index, (low, high) in zip(parts, pairwise(bounds), strict=True):
        places = order[low:high]
        layers[places] = index.layers[row[places]]
    return layers


def _failures(parts: Sequence[PartIndex], digests: list[bytes], part: np.ndarray) -> list[Failure]:
    """Return the failures of the chosen rows, and claims of images about any of these layers.

    :param part: (layers,) int64, the part that each layer is taken from.
    """
    failures = [(n, failure) for n, index in enumerate(parts) for failure in index.failures]
    about = {failure.digest.raw for _, failure in failures}
    chosen = zip(digests, part.tolist(), strict=True)
    part_of = {digest: number for digest, number in chosen if digest in about}
    return in_order(
        failure
        for number, failure in failures
        if part_of.get(failure.digest.raw, -1) == number
        or (failure.is_claim and failure.digest.raw in part_of)
    )


def in_order(failures: Iterable[Failure]) -> list[Failure]:
    """Return failures by digest: first what images state falsely, each once, then what failed."""
    unique = {(one.digest, one.stage, one.message): one for one in failures}

    def key(failure: Failure) -> tuple[bytes, bool, str | bool]:
        return failure.digest.raw, not failure.is_claim, failure.is_claim and failure.message

    return sorted(unique.values(), key=key)


def _extras(parts: Sequence[PartIndex], kind: str, part: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return (n, 2) int64, for each layer the first of its extra records in the part, and how many.

    :param part: (n,) int64, of each layer; `row` likewise, its row in that part.
    """
    if not len(part):
        return np.empty((0, 2), np.int64)
    counts = [index.extras.get(kind, np.zeros(len(index.layers), np.int64)) for index in parts]
    firsts = [np.cumsum(one) - one for one in counts]
    lengths = np.array([len(one) for one in counts])
    places = (np.cumsum(lengths) - lengths)[part] + row
    pairs = np.stack([np.concatenate(firsts)[places], np.concatenate(counts)[places]], axis=1)
    return pairs.astype(np.int64)


def layer_rows(digests: Iterable[bytes], images: Sequence[Image]) -> np.ndarray:
    """Return (image layers,) int32, the place of each layer of each image among some digests.

    A layer whose digest is not among them has -1.
    """
    row = {digest: number for number, digest in enumerate(digests)}
    count = sum(len(image.layers) for image in images)
    rows = (row.get(layer.digest.raw, -1) for image in images for layer in image.layers)
    return np.fromiter(rows, np.int32, count)


def _images_by_layer(
    digests: list[bytes], images: Sequence[Image]
) -> tuple[np.ndarray, np.ndarray]:
    """Return `image_start` and `images_of` of a `Placement`.

    :param digests: of the placed layers, ascending.
    """
    counts = [len(image.layers) for image in images]
    # Pack pairs of layer and image into words, and sort these in place: there may be 10^8
    pairs = layer_rows(digests, images).astype(np.int64)
    pairs <<= 32
    pairs |= np.repeat(np.arange(len(images), dtype=np.int32), counts)
    pairs.sort()
    is_new = pairs >= 0
    is_new[1:] &= pairs[1:] != pairs[:-1]
    pairs = pairs[is_new]
    image_start = np.searchsorted(pairs, np.arange(len(digests) + 1) << 32)
    return image_start.astype(np.int64), pairs.astype(np.int32)


def sorted_images(catalog: Catalog) -> list[Image]:
    """Return the images in order of name, digest and platform, each once.

    Of several the first that has a config counts: a source may lack it.
    """
    images: list[Image] = []
    last: tuple[str, Digest, str] | None = None
    # Sorting keeps equal ones in the order of the catalog.
    for image in sorted(catalog.images, key=_image_key):
        key = _image_key(image)
        if key != last:
            images.append(image)
        elif images[-1].config is None and image.config is not None:
            images[-1] = image
        last = key
    return images


def _image_key(image: Image) -> tuple[str, Digest, str]:
    return image.name, image.digest, image.platform
