"""Find the rows of what a caller names: contents by digest, images by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...records import Digest

if TYPE_CHECKING:
    from ..reader import Dataset


def content_rows(data: Dataset, contents: Any) -> np.ndarray:
    """Return the rows in /contents of one or several contents.

    :param contents: a row, a digest (`sha256:…` or its hex digits), or several of either.
    :returns: (n,) int64, in the order of `contents`.
    :raises KeyError: there is no such content.
    """
    if isinstance(contents, (str, bytes)) or not isinstance(contents, Iterable):
        contents = [contents]
    rows = [_content_row(data, content) for content in contents]
    return np.array(rows, np.int64)


def _content_row(data: Dataset, content: Any) -> int:
    if not isinstance(content, str):
        return _checked(content, len(data.contents), "content")
    raw = Digest.parse(content if ":" in content else f"sha256:{content}").raw
    # The digests are sorted: halve the range that may hold this one.
    low = 0
    high = len(data.contents)
    while low < high:
        middle = (low + high) // 2
        if data.contents.column("digest", middle, middle + 1).tobytes() < raw:
            low = middle + 1
        else:
            high = middle
    if data.contents.column("digest", low, low + 1).tobytes() != raw:
        raise KeyError(f"no content has the digest {content}")
    return low


def image_row(data: Dataset, image: Any) -> int:
    """Return the row in /images of an image.

    :param image: a row, or a name.
    :raises KeyError: there is no such image, or the name stands for several.
    """
    if not isinstance(image, str):
        return _checked(image, len(data.images), "image")
    names = data.images["name"]
    rows = np.flatnonzero(names == image.encode()).tolist()
    if not rows:
        raise KeyError(f"no image is called {image!r}; data.images.frame() lists them")
    if len(rows) > 1:
        platforms = data.images.readable("platform")[rows].tolist()
        found = ", ".join(f"{row} ({name})" for row, name in zip(rows, platforms, strict=True))
        raise KeyError(f"several images are called {image!r}: choose one of the rows {found}")
    return int(rows[0])


def image_layers(data: Dataset, image: int) -> np.ndarray:
    """Return (n,) int64, the rows in /layers of an image's layers, base first."""
    first = int(data.images.column("first_layer", image, image + 1)[0])
    count = int(data.images.column("layers", image, image + 1)[0])
    return data.image_layers.column("layer", first, first + count).astype(np.int64)


def image_labels(data: Dataset) -> list[str]:
    """Return a name for each image that no other one has: with platform and row where it must be.

    Names that occur once stay as they are: `debian:13`, `alpine:3 (linux/arm64)`,
    `alpine:3 (linux/amd64, row 7)`.
    """
    names = data.images.readable("name").tolist()
    platforms = data.images.readable("platform").tolist()
    pairs = list(zip(names, platforms, strict=True))
    times_named = Counter(names)
    times_paired = Counter(pairs)
    labels = []
    for row, (name, platform) in enumerate(pairs):
        if times_named[name] == 1:
            labels.append(name)
        elif platform and times_paired[name, platform] == 1:
            labels.append(f"{name} ({platform})")
        else:
            labels.append(f"{name} ({platform or 'no platform'}, row {row})")
    return labels


def _checked(row: Any, rows: int, what: str) -> int:
    """Return a row number as an int.

    :raises KeyError: it is no row of the table.
    """
    try:
        number = int(row)
    except (TypeError, ValueError):
        raise KeyError(f"{row!r} is no {what}: name it by its row number, or as text") from None
    if number != row or not 0 <= number < rows:
        raise KeyError(f"there is no {what} {row!r}: rows go from 0 to {rows - 1}")
    return number
