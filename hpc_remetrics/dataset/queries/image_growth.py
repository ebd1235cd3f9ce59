"""Count the layers and contents that each image adds to the images before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...row_ranges import block_ranges
from ..arrow import import_pandas
from ..schema import CHUNK_ROWS
from .selection import image_labels, image_row

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset


def image_growth(data: Dataset, images: Sequence[Any] | None = None) -> pandas.DataFrame:
    """Return the frame of `Dataset.image_growth`."""
    pandas = import_pandas()
    if images is None:
        rows = np.arange(len(data.images))
    else:
        rows = np.array([image_row(data, image) for image in images], np.int64)

    # A layer is new with the first image that has it, a content with the first of its layers.
    place_of_layer = first_image_of_layers(data, rows)
    place_of_content = first_image_of_contents(data, place_of_layer, len(rows))
    CLS, TLS, FLS = (data.layers[name] for name in ("CLS", "TLS", "FLS"))
    added = {
        "new_layers": _sums(place_of_layer, np.ones(len(CLS), np.int64), len(rows)),
        "new_CLS": _sums(place_of_layer, CLS, len(rows)),
        "new_TLS": _sums(place_of_layer, TLS, len(rows)),
        "new_FLS": _sums(place_of_layer, FLS, len(rows)),
        "new_contents": _sums(place_of_content, np.ones_like(place_of_content), len(rows)),
        "new_content_bytes": _sums(place_of_content, data.contents["size"], len(rows)),
    }
    sums = {name.removeprefix("new_"): np.cumsum(values) for name, values in added.items()}
    names = np.array(image_labels(data), object)[rows]
    index = pandas.Index(rows, name="image")
    return pandas.DataFrame({"name": names, **added, **sums}, index)


def first_image_of_layers(data: Dataset, images: np.ndarray) -> np.ndarray:
    """Return the place of the first image that has each layer.

    :param images: (n,) rows in /images.
    :returns: (layers,) int64, n where no image has the layer.
    """
    # Give each row of /image_layers the first place of its image among `images`.
    place_of_image = np.full(len(data.images), len(images))
    np.minimum.at(place_of_image, images, np.arange(len(images)))
    places = np.repeat(place_of_image, data.images["layers"])
    first = np.full(len(data.layers), len(images))
    np.minimum.at(first, data.image_layers["layer"], places)
    return first


def first_image_of_contents(data: Dataset, layer_places: np.ndarray, images: int) -> np.ndarray:
    """Return the place of the first image that has each content, (contents,) int64.

    :param layer_places: (layers,) the place of the first image that has each layer.
    :param images: number of images, which is the place of a content that none has.
    """
    first = np.full(len(data.contents), images)
    for start, stop in block_ranges(len(data.entries), CHUNK_ROWS):
        content = data.entries.column("content", start, stop)
        places = layer_places[data.entries.key("layer", start, stop)]
        has_content = content >= 0
        np.minimum.at(first, content[has_content], places[has_content])
    return first


def _sums(places: np.ndarray, values: np.ndarray, images: int) -> np.ndarray:
    """Add up values by place, (images,) int64; those of place `images` are left out.

    Sums of float64, as numpy's bincount makes them, would not be exact.
    """
    sums = np.zeros(images + 1, np.int64)
    np.add.at(sums, places, values)
    return sums[:images]
