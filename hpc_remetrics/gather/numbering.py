"""Numbering the distinct contents: the rows of one range of digests, and what they say together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..dataset.schema import ABSENT
from ..parts.spill_format import PROBED_COLUMNS
from .placement import Placement

CARRIED = np.dtype(
    [
        ("digest", "V32"),
        ("size", "<u8"),
        ("type", "<u4"),
        ("layer", "<u4"),
        ("row", "<i8"),
        ("files", "<i4"),
    ]
)
"""A content of one layer in one block of entries, on its way to the home of its digest: `files` of
them are files, `row` is the block's first row and the place among the block's own."""

CONTENT = np.dtype(
    [
        ("digest", "V32"),
        ("size", "<i8"),
        ("type", "<u4"),
        ("copies", "<i8"),
        ("layers", "<i4"),
        ("images", "<i4"),
        *PROBED_COLUMNS.items(),
    ]
)
"""A distinct content: one row of `/contents`."""

_EXPANDED = 1 << 22
"""Pairs of content and image in memory at a time."""


Contradict = Callable[[np.ndarray], None]
"""Is told the layers (n,) of entries that have one SHA-256 and different sizes."""


def collapse(rows: np.ndarray, start: int, contradict: Contradict) -> tuple[np.ndarray, np.ndarray]:
    """Return one row for each content of each layer among the rows of a block, and the place there
    of each row.

    However often a content stands in a layer (there are many empty files), it makes one journey a
    block.

    :param rows: array of :data:`CARRIED`, sorted by layer.
    :param start: the block's first row.
    :param contradict: is told of a content with two sizes.
    """
    order, digests = _grouped(rows["digest"])
    ordered = rows[order]
    new = np.zeros(len(rows), bool)
    new[digests] = True
    new[1:] |= ordered["layer"][1:] != ordered["layer"][:-1]
    starts = np.flatnonzero(new)
    place_of = np.empty(len(rows), np.int32)
    place_of[order] = np.cumsum(new) - 1
    result = ordered[starts]
    if len(result):
        _check_sizes(ordered, starts, contradict)
        result["type"] = np.minimum.reduceat(ordered["type"], starts)
        result["files"] = np.add.reduceat(ordered["files"], starts)
    result["row"] = np.arange(start, start + len(result))
    return result, place_of


def _check_sizes(ordered: np.ndarray, starts: np.ndarray, contradict: Contradict) -> None:
    """Tell of the first content whose rows, one after the other, have different sizes."""
    sizes = ordered["size"]
    wrong = np.flatnonzero(np.maximum.reduceat(sizes, starts) != np.minimum.reduceat(sizes, starts))
    if len(wrong):
        end = np.append(starts, len(ordered))[wrong[0] + 1]
        contradict(np.unique(ordered["layer"][starts[wrong[0]] : end]))


def number(
    rows: np.ndarray, placement: Placement, contradict: Contradict
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct contents of some rows in order of digest, and each row's place among
    them.

    :param rows: array of :data:`CARRIED`, all that there are of their digests.
    :param contradict: is told of a content with two sizes.
    :returns: array of :data:`CONTENT`, and one place a row.
    """
    order, starts = _grouped(rows["digest"])
    place_of = np.empty(len(rows), np.int64)
    counts = np.diff(np.append(starts, len(rows)))
    place_of[order] = np.repeat(np.arange(len(starts)), counts)
    contents = np.zeros(len(starts), CONTENT)
    for name in PROBED_COLUMNS:
        contents[name] = ABSENT[name]
    if not len(rows):
        return contents, place_of
    ordered = rows[order]
    contents["digest"] = ordered["digest"][starts]
    contents["size"] = ordered["size"][starts]
    _check_sizes(ordered, starts, contradict)
    contents["type"] = np.minimum.reduceat(ordered["type"], starts)
    contents["copies"] = np.add.reduceat(ordered["files"], starts, dtype=np.int64)
    pairs = np.unique(place_of[order].astype(np.uint64) << np.uint64(32) | ordered["layer"])
    content, layer = (
        (pairs >> np.uint64(32)).astype(np.int64),
        (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64),
    )
    contents["layers"] = np.bincount(content, minlength=len(starts))
    contents["images"] = _images(content, layer, len(starts), placement)
    return contents, place_of


def attach(contents: np.ndarray, records: np.ndarray) -> None:
    """Give contents what is known of some of them, at most their sizes; of several answers the
    least.

    :param contents: array of :data:`CONTENT`, in order of digest.
    :param records: of `columns.EXTRAS`, with a digest and columns of `contents`; those of no
        content are passed over.
    """
    if not len(records) or not len(contents):
        return
    order, starts = _grouped(records["digest"])
    digests = np.ascontiguousarray(contents["digest"]).view("S32")
    wanted = np.ascontiguousarray(records["digest"][order[starts]]).view("S32")
    place = np.minimum(np.searchsorted(digests, wanted), len(digests) - 1)
    there = digests[place] == wanted
    for name in (records.dtype.names or ())[1:]:
        least = np.minimum.reduceat(records[name][order], starts)[there]
        contents[name][place[there]] = np.minimum(least, contents["size"][place[there]])


def _grouped(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order that sorts digests, and where each distinct one begins in it."""
    words = np.frombuffer(digests.tobytes(), ">u8").reshape(-1, 4)
    order = np.argsort(words[:, 0], kind="stable")
    ordered = words[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    same_prefix = ordered[1:, 0] == ordered[:-1, 0]
    if (new[1:] & same_prefix).any():  # two digests that begin with the same 64 bits
        order = np.lexsort(words.T[::-1])
        ordered = words[order]
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.flatnonzero(new)


def _images(
    content: np.ndarray, layer: np.ndarray, contents: int, placement: Placement
) -> np.ndarray:
    """Return for each content the distinct images that a layer with it is in.

    Contents come in sets (the files of one package stand in the same layers), so the union of
    images is made once for each distinct set of layers, which is known by two sums over its
    members' digests.
    """
    per_layer = np.diff(placement.image_start)
    starts = np.flatnonzero(np.diff(content, prepend=-1))
    sizes = np.diff(np.append(starts, len(content)))
    images = per_layer[layer[starts]]
    many = np.flatnonzero(sizes > 1)
    if not len(many):
        return images
    words = np.frombuffer(placement.layers["digest"].tobytes(), "<u8").reshape(-1, 4)
    sums = [np.add.reduceat(words[layer, word], starts)[many] for word in (0, 1)]
    keys = np.stack([*sums, sizes[many].astype(np.uint64)], axis=1)
    _, representative, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    chosen = many[representative]
    images[many] = _unions(starts[chosen], sizes[chosen], layer, placement)[inverse.reshape(-1)]
    return images


def _unions(
    starts: np.ndarray, sizes: np.ndarray, layer: np.ndarray, placement: Placement
) -> np.ndarray:
    """Return the number of distinct images of each run of layers."""
    per_layer = np.diff(placement.image_start)
    runs = list(zip(starts.tolist(), sizes.tolist(), strict=True))
    weight = np.array([int(per_layer[layer[a : a + n]].sum()) for a, n in runs])
    result = np.zeros(len(starts), np.int64)
    low = 0
    while low < len(starts):
        high = low + max(1, int(np.searchsorted(np.cumsum(weight[low:]), _EXPANDED, "right")))
        members = np.concatenate([layer[a : a + n] for a, n in runs[low:high]])
        group = np.repeat(np.arange(high - low), sizes[low:high])
        counts = per_layer[members]
        at = np.repeat(
            placement.image_start[members] - (np.cumsum(counts) - counts), counts
        ) + np.arange(counts.sum())
        pairs = np.unique(np.repeat(group, counts) << 32 | placement.images_of[at])
        result[low:high] = np.bincount(pairs >> 32, minlength=high - low)
        low = high
    return result
