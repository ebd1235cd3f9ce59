"""Number distinct contents: pure functions on the rows of one rank, between two shuffles.

Every entry with a content needs the row number of that content in `/contents`, which is sorted by
digest. Rows travel to the rank that owns their digest, and their numbers travel back:

    entries of a block      0:aa  1:cc  2:-   3:aa        (aa, cc: digests)
    collapse                row 0: aa, 2 files    row 1: cc, 1 file      places: 0 1 -1 0
         │ shuffle by digest
    rank that owns a…       aa from block 0, aa from block 7, ab from block 7
    number                  contents: aa (copies 2 + 1, layers 2), ab    places: 0 0 1
         │ shuffle by row
    entries of a block      row 0 -> content 0, row 1 -> content 2
    content of each entry   0  2  -1  0                   (numbers[places])
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import distinct
from ..dataset.schema import TABLES
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
"""A content of one layer in one block of entries, on its way to the rank that owns its digest.

`files` of its entries are files, the others hard links; `row` is the first row of the block and the
place among the block's contents.
"""

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
"""Called with the layers (n,) uint32 of entries that have one SHA-256 and different sizes."""


def collapse(rows: np.ndarray, start: int, contradict: Contradict) -> tuple[np.ndarray, np.ndarray]:
    """Return one row for each content of each layer in a block, and the place of each entry's row.

    However often a content occurs in a layer (there are many empty files), it travels once a block.

    :param rows: (n,) `CARRIED`, one for each entry with content, sorted by layer.
    :param start: first row of the block.
    :param contradict: called for a content with two sizes.
    :returns: (m,) `CARRIED` in order of digest and layer, and (n,) int32, places in these.
    """
    # A group begins where the digest or the layer changes; the order by digest keeps the layers'
    order, digest_starts = _grouped(rows["digest"])
    ordered = rows[order]
    is_new = np.zeros(len(rows), bool)
    is_new[digest_starts] = True
    is_new[1:] |= ordered["layer"][1:] != ordered["layer"][:-1]
    starts = np.flatnonzero(is_new)
    place_of = np.empty(len(rows), np.int32)
    place_of[order] = np.cumsum(is_new) - 1

    # Reduce each group to one row
    result = ordered[starts]
    if len(result):
        _check_sizes(ordered, starts, contradict)
        result["type"] = np.minimum.reduceat(ordered["type"], starts)
        result["files"] = np.add.reduceat(ordered["files"], starts)
    result["row"] = np.arange(start, start + len(result))
    return result, place_of


def _check_sizes(ordered: np.ndarray, starts: np.ndarray, contradict: Contradict) -> None:
    """Report the first group of rows with different sizes.

    :param ordered: (n,) `CARRIED`, the rows of each group next to each other.
    :param starts: (groups,) int64, first row of each group.
    """
    sizes = ordered["size"]
    wrong = np.flatnonzero(np.maximum.reduceat(sizes, starts) != np.minimum.reduceat(sizes, starts))
    if len(wrong):
        first = starts[wrong[0]]
        end = np.append(starts, len(ordered))[wrong[0] + 1]
        contradict(distinct(ordered["layer"][first:end]))


def number(
    rows: np.ndarray, placement: Placement, contradict: Contradict
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct contents of some rows in order of digest, and the place of each row's.

    :param rows: (n,) `CARRIED`, all rows of the dataset with these digests.
    :param contradict: called for a content with two sizes.
    :returns: (m,) `CONTENT`, and (n,) int64, places in these.
    """
    # Group the rows by digest
    order, starts = _grouped(rows["digest"])
    counts = np.diff(np.append(starts, len(rows)))
    place_of = np.empty(len(rows), np.int64)
    place_of[order] = np.repeat(np.arange(len(starts)), counts)
    contents = np.zeros(len(starts), CONTENT)
    for name in PROBED_COLUMNS:
        contents[name] = TABLES["contents"].columns[name].missing_value
    if not len(rows):
        return contents, place_of

    # Reduce each group to one content; of several types the first in order wins
    ordered = rows[order]
    _check_sizes(ordered, starts, contradict)
    contents["digest"] = ordered["digest"][starts]
    contents["size"] = ordered["size"][starts]
    contents["type"] = np.minimum.reduceat(ordered["type"], starts)
    contents["copies"] = np.add.reduceat(ordered["files"], starts, dtype=np.int64)

    # Count distinct layers and images: pairs of content and layer are sorted as 64-bit words
    pairs = distinct(place_of[order].astype(np.uint64) << np.uint64(32) | ordered["layer"])
    content = (pairs >> np.uint64(32)).astype(np.int64)
    layer = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    contents["layers"] = np.bincount(content, minlength=len(starts))
    contents["images"] = _count_images(content, layer, placement)
    return contents, place_of


def attach(contents: np.ndarray, records: np.ndarray) -> None:
    """Write extra records into the contents with their digests; of several values the smallest.

    :param contents: (n,) `CONTENT`, in order of digest; changed.
    :param records: (m,) with `digest` and columns of `CONTENT`; a value is at most the size of the
        content, and records of no content are ignored.
    """
    if not len(records) or not len(contents):
        return
    # Find the content of each distinct digest of the records
    order, starts = _grouped(records["digest"])
    digests = np.ascontiguousarray(contents["digest"]).view("S32")
    wanted = np.ascontiguousarray(records["digest"][order[starts]]).view("S32")
    place = np.minimum(np.searchsorted(digests, wanted), len(digests) - 1)
    exists = digests[place] == wanted
    place = place[exists]
    for name in (records.dtype.names or ())[1:]:
        values = np.minimum.reduceat(records[name][order], starts)[exists]
        contents[name][place] = np.minimum(values, contents["size"][place])


def _grouped(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order that sorts digests, and where each distinct one begins in it.

    :param digests: (n,) V32.
    :returns: (n,) int64, a stable order, and (m,) int64, places in it.
    """
    # Sort by the first 64 bits, which nearly always differ
    words = np.frombuffer(digests.tobytes(), ">u8").reshape(-1, 4)
    order = np.argsort(words[:, 0], kind="stable")
    ordered = words[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)

    # Sort by all 256 bits where two digests begin with the same 64
    same_prefix = ordered[1:, 0] == ordered[:-1, 0]
    if (is_new[1:] & same_prefix).any():
        order = np.lexsort(words.T[::-1])
        ordered = words[order]
        is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.flatnonzero(is_new)


def _count_images(content: np.ndarray, layer: np.ndarray, placement: Placement) -> np.ndarray:
    """Return (contents,) int64, the number of distinct images with a layer that has each content.

    Many contents occur in the same set of layers (the files of one package), so the images of each
    distinct set are united once. A set is known by its size and two sums over its digests.

    :param content: (pairs,) int64, ascending, every number from 0 occurs.
    :param layer: (pairs,) int64, distinct layers of that content, ascending.
    """
    # A content with one layer has the images of that layer
    per_layer = np.diff(placement.image_start)
    starts = np.flatnonzero(np.diff(content, prepend=-1))
    sizes = np.diff(np.append(starts, len(content)))
    images = per_layer[layer[starts]]
    several = np.flatnonzero(sizes > 1)
    if not len(several):
        return images

    # Of the others, unite the images of one content for each distinct set of layers
    words = np.frombuffer(placement.layers["digest"].tobytes(), "<u8").reshape(-1, 4)
    sums = [np.add.reduceat(words[layer, word], starts)[several] for word in (0, 1)]
    keys = np.stack([*sums, sizes[several].astype(np.uint64)], axis=1)
    _, representative, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    chosen = several[representative]
    united = _union_sizes(starts[chosen], sizes[chosen], layer, placement)
    images[several] = united[inverse.ravel()]
    return images


def _union_sizes(
    starts: np.ndarray, sizes: np.ndarray, layer: np.ndarray, placement: Placement
) -> np.ndarray:
    """Return (sets,) int64, the number of distinct images of each set of layers.

    :param starts: (sets,) int64: set s is `layer[starts[s]:starts[s] + sizes[s]]`.
    """
    per_layer = np.diff(placement.image_start)
    runs = list(zip(starts.tolist(), sizes.tolist(), strict=True))
    weight = np.array([int(per_layer[layer[start : start + n]].sum()) for start, n in runs])
    result = np.zeros(len(starts), np.int64)
    low = 0
    while low < len(starts):
        # Take as many sets as have `_EXPANDED` pairs of layer and image, and at least one
        fitting = int(np.searchsorted(np.cumsum(weight[low:]), _EXPANDED, "right"))
        high = low + max(1, fitting)
        members = np.concatenate([layer[start : start + n] for start, n in runs[low:high]])
        group = np.repeat(np.arange(high - low), sizes[low:high])

        # Expand each layer of a set to its images: the places are runs of `images_of`
        counts = per_layer[members]
        run_starts = placement.image_start[members] - (np.cumsum(counts) - counts)
        places = np.repeat(run_starts, counts) + np.arange(counts.sum())

        # Count the distinct pairs of set and image, sorted as 64-bit words
        pairs = distinct(np.repeat(group, counts) << 32 | placement.images_of[places])
        result[low:high] = np.bincount(pairs >> 32, minlength=high - low)
        low = high
    return result
