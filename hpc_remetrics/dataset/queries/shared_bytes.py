"""Bytes that images or repositories have in common, pairwise, in distinct contents.

Contents that occur in the same layers are taken together, since there are far fewer sets of layers
than contents:

    content   layers     set of layers   bytes     images        bytes in common
    a  (10)   0          {0}             10        X: 0, 1              X    Y
    b  (5)    0, 1       {0, 1}          5 + 7     Y: 1             X   22   12
    c  (7)    0, 1                                                  Y   12   12

So the answer is a product of matrices: groups × sets, weighted by bytes, × groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import distinct
from ...row_ranges import block_ranges
from ..arrow import import_pandas
from .selection import image_labels, image_row

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset

GROUPS = ("image", "repository")

_MOST_GROUPS = 10_000
"""Groups at most: the answer has a number for each pair of them."""

_PRODUCT_CELLS = 1 << 22
"""Cells of a matrix that is multiplied at once, 8 bytes each."""


def shared_bytes(data: Dataset, by: str, images: Sequence[Any] | None) -> pandas.DataFrame:
    """Return the frame of `Dataset.shared_bytes`."""
    pandas = import_pandas()
    if by not in GROUPS:
        raise KeyError(f"bytes are shared by {' or '.join(GROUPS)}, not by {by!r}")
    rows = np.arange(len(data.images))
    if images is not None:
        rows = np.array([image_row(data, image) for image in images], np.int64)

    # Number the groups, and note which layers each of them has.
    if by == "image":
        group = np.arange(len(rows))
        labels = [image_labels(data)[row] for row in rows.tolist()] if len(rows) else []
    else:
        repositories, group = np.unique(data.images["repository"][rows], return_inverse=True)
        labels = data.repositories.readable("name")[repositories].tolist()
    if len(labels) > _MOST_GROUPS:
        raise ValueError(
            f"{len(labels):,} have too many pairs: choose images, at most {_MOST_GROUPS:,}"
        )
    has_layer = _layers_of_groups(data, rows, group, len(labels))

    layers, bounds, weights = layer_sets(data, np.flatnonzero(has_layer.any(axis=1)))
    matrix = _product(has_layer, layers, bounds, weights)
    index = pandas.Index(labels, name=by)
    return pandas.DataFrame(matrix, index, index)


def _layers_of_groups(
    data: Dataset, images: np.ndarray, group: np.ndarray, groups: int
) -> np.ndarray:
    """Return (layers, groups) bool, which layers the images of each group have.

    :param images: (n,) rows in /images, and `group` (n,) the group of each.
    """
    has_layer = np.zeros((len(data.layers), groups), bool)
    layer_of = data.image_layers["layer"]
    first = data.images["first_layer"]
    count = data.images["layers"]
    for image, number in zip(images.tolist(), group.tolist(), strict=True):
        has_layer[layer_of[first[image] : first[image] + count[image]], number] = True
    return has_layer


def layer_sets(data: Dataset, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct sets of layers that contents occur in, and the bytes of each set.

    :param chosen: (n,) rows in /layers, ascending; other layers are left out.
    :returns: the layers of all sets one after the other, (m,) int64; where each set begins in them,
        (sets,) int64; and the bytes of the distinct contents of each set, (sets,) int64.
    """
    # List each content once for every layer that has it, by content and by layer.
    pieces = [np.empty(0, np.int64)]
    for layer in chosen.tolist():
        entries = data.entries_of(layer)
        content = data.entries.column("content", entries.start, entries.stop)
        carried = distinct(content[content >= 0]).astype(np.int64)
        pieces.append(carried * len(data.layers) + layer)
    pairs = np.concatenate(pieces)
    pairs.sort()
    if not len(pairs):
        return pairs, pairs, pairs
    content, layer = np.divmod(pairs, len(data.layers))

    # Contents with the same layers have the same sums of random numbers of their layers.
    starts = np.flatnonzero(np.diff(content, prepend=-1))
    random = np.random.default_rng(0).integers(0, 1 << 64, (2, len(data.layers)), np.uint64)
    sums = [np.add.reduceat(numbers[layer], starts) for numbers in random]
    order = np.lexsort(sums)
    is_first = np.ones(len(order), bool)
    is_first[1:] = np.any([np.diff(numbers[order]) != 0 for numbers in sums], axis=0)

    # Keep the layers of one content of each set, and add up the bytes of all.
    size = data.contents["size"][content[starts]][order]
    weights = np.add.reduceat(size, np.flatnonzero(is_first))
    first = order[is_first]
    lengths = np.diff(np.append(starts, len(pairs)))[first]
    bounds = np.cumsum(lengths) - lengths
    within = np.arange(lengths.sum()) - np.repeat(bounds, lengths)
    return layer[np.repeat(starts[first], lengths) + within], bounds, weights


def _product(
    has_layer: np.ndarray, layers: np.ndarray, bounds: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the bytes of the sets that each pair of groups has, (groups, groups) int64.

    :param has_layer: (layers, groups) bool; the other parameters are what `layer_sets` returns.
    """
    groups = has_layer.shape[1]
    matrix = np.zeros((groups, groups), np.int64)
    step = max(_PRODUCT_CELLS // max(groups, 1), 1)
    ends = np.append(bounds, len(layers))
    bits = np.packbits(has_layer, axis=1)
    for start, stop in block_ranges(len(bounds), step):
        # A group has a set's contents if it has any of its layers.
        mine = layers[ends[start] : ends[stop]]
        found = np.bitwise_or.reduceat(bits[mine], bounds[start:stop] - bounds[start], axis=0)
        found, weight = _merged(found, weights[start:stop])
        dense = np.unpackbits(found, axis=1, count=groups).astype(float)
        # Sums of whole numbers below 2**53 are exact in float64, which has the fast product.
        high, low = np.divmod(weight, 1 << 26)
        for part, unit in ((high, 1 << 26), (low, 1)):
            if part.any():
                product = dense.T @ (dense * part[:, None])
                matrix += product.astype(np.int64) * unit
    return matrix


def _merged(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of (n, bytes) uint8, and the sum of the weights of each."""
    values = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
    order = np.argsort(values, kind="stable")
    is_first = np.append(True, values[order[1:]] != values[order[:-1]])
    starts = np.flatnonzero(is_first)
    return rows[order[starts]], np.add.reduceat(weights[order], starts)
