"""Find the paths, layers and images in which contents occur."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...arrays import is_among
from ...records import KINDS
from ...row_ranges import block_ranges
from ...tar.paths import clean
from ..arrow import import_pandas
from ..schema import CHUNK_ROWS
from ..table import neighbours
from ..text_values import path_text
from .selection import image_labels

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset


def entries_with(data: Dataset, contents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the entries that carry some contents, files and hard links.

    :param contents: (n,) rows in /contents.
    :returns: rows in /entries, ascending, and the content of each, both (m,) int64.
    """
    rows = [np.empty(0, np.int64)]
    carried = [np.empty(0, np.int64)]
    wanted = contents[contents >= 0]
    for start, stop in block_ranges(len(data.entries), CHUNK_ROWS):
        content = data.entries.column("content", start, stop)
        here = np.flatnonzero(is_among(content, wanted))
        rows.append(start + here)
        carried.append(content[here].astype(np.int64))
    return np.concatenate(rows), np.concatenate(carried)


def places(data: Dataset, contents: np.ndarray) -> pandas.DataFrame:
    """Return the frame of `Dataset.places`."""
    pandas = import_pandas()
    rows, carried = entries_with(data, contents)
    paths: list[bytes] = []
    kinds = [np.empty(0, np.uint8)]
    # Read the paths and kinds of neighbouring rows in one piece.
    for piece in neighbours(rows):
        first, stop = int(piece[0]), int(piece[-1]) + 1
        near = data.paths(first, stop)
        paths += [near[place] for place in (piece - first).tolist()]
        kinds.append(data.entries.column("kind", first, stop)[piece - first])
    columns = {
        "content": carried,
        "path": [path_text(clean(path)) for path in paths],
        "kind": pandas.Categorical.from_codes(np.concatenate(kinds), list(KINDS)),
        "layer": data.entries.key_of("layer", rows),
    }
    return pandas.DataFrame(columns, pandas.Index(rows, name="entry"))


def images_of(data: Dataset, contents: np.ndarray) -> pandas.DataFrame:
    """Return the frame of `Dataset.images_of`."""
    pandas = import_pandas()
    rows, carried = entries_with(data, contents)
    pairs = np.unique(np.stack([data.entries.key_of("layer", rows), carried], axis=1), axis=0)

    # List the images of each layer, as ranges of rows sorted by layer.
    layer_of = data.image_layers["layer"]
    image_of = data.image_layers.key("image")
    order = np.argsort(layer_of, kind="stable")
    low = np.searchsorted(layer_of[order], pairs[:, 0])
    high = np.searchsorted(layer_of[order], pairs[:, 0], "right")

    # Spell out the ranges, and name an image once for each content.
    images = [image_of[order[start:stop]] for start, stop in zip(low, high, strict=True)]
    found = np.concatenate([np.empty(0, np.int64), *images])
    of_content = np.repeat(pairs[:, 1], high - low)
    both = np.unique(np.stack([of_content, found], axis=1), axis=0)
    labels = np.array(image_labels(data), object)
    return pandas.DataFrame(
        {"content": both[:, 0], "image": both[:, 1], "name": labels[both[:, 1]]}
    )
