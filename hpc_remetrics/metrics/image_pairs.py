"""Pairs of an older and a newer image: what a client has, and what it pulls.

By default a pair is made of neighbours in the history of one repository and platform:

    image     platform      created        updates of redis, linux/amd64
    redis:6   linux/amd64   2024-01-05     redis:6 → redis:7    (1)
    redis:7   linux/amd64   2024-06-11     redis:7 → redis:8    (2)
    redis:7   linux/arm64   2024-06-11
    redis:8   linux/amd64   2025-02-01
    redis:x   linux/amd64   1970-01-01     has no date: the tool that built it wrote a constant
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..dataset.reader import Dataset
from ..errors import UsageError
from ..records import Digest
from ..wording import counted

if TYPE_CHECKING:
    import csv

FIRST_DATE = 1356998400
"""2013-01-01 in seconds since 1970. There were no images before; some tools that build images
write an earlier constant, so that equal inputs give equal images."""

MOST_PAIRS = 1_000_000
"""Pairs that a file may have."""


@dataclass(frozen=True)
class ImagePairs:
    """Pairs of images, in the order in which they are reported.

    :ivar old: (pairs,) int64, rows of /images; `new` likewise.
    :ivar update: (pairs,) int64, the pair's number among those of the same repository and platform,
        from 1.
    :ivar undated: images that are in no pair because they have no date.
    """

    old: np.ndarray
    new: np.ndarray
    update: np.ndarray
    undated: int = 0

    def __len__(self) -> int:
        return len(self.old)


def consecutive_pairs(dataset: Dataset) -> ImagePairs:
    """Return the pairs of neighbouring images of each repository and platform, by `created`.

    Images of the same date are in order of their names. Names of one manifest are one image, under
    the first of them.
    """
    created = dataset.images.column("created")
    is_dated = created >= FIRST_DATE
    history = _histories(dataset)
    # Keep the first name of each manifest; rows are in order of the names.
    digests = np.frombuffer(dataset.images["digest"].tobytes(), ">u8").reshape(-1, 4)
    rows = np.flatnonzero(is_dated)
    rows = rows[np.lexsort((rows, *digests[rows].T, history[rows]))]
    is_new = np.ones(len(rows), bool)
    is_same = (digests[rows[1:]] == digests[rows[:-1]]).all(axis=1)
    is_new[1:] = ~is_same | (history[rows[1:]] != history[rows[:-1]])
    rows = rows[is_new]
    # Pair neighbours of one history.
    rows = rows[np.lexsort((rows, created[rows], history[rows]))]
    is_pair = history[rows[1:]] == history[rows[:-1]]
    old = rows[:-1][is_pair]
    new = rows[1:][is_pair]
    return ImagePairs(old, new, _numbered(history[new]), int((~is_dated).sum()))


def read_pairs(dataset: Dataset, path: Path) -> ImagePairs:
    """Return the pairs that a CSV file lists, in its order; a pair that stands there twice is one.

    :param path: a file with the columns `old` and `new`: names of images, or their digests.
    :raises UsageError: the file can't be read, or an image of it is not in the dataset.
    """
    # Only `updates --pairs` reads such a file.
    import csv

    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            pairs = dict.fromkeys(_rows(csv.DictReader(file), ImageFinder(dataset), path))
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no CSV file: {error}") from None
    rows = np.array(list(pairs), np.int64).reshape(-1, 2)
    return ImagePairs(rows[:, 0], rows[:, 1], _numbered(_histories(dataset)[rows[:, 1]]))


class ImageFinder:
    """Finds the row of an image by its name or its digest."""

    def __init__(self, dataset: Dataset) -> None:
        self._platforms = dataset.images.readable("platform").tolist()
        self._rows: dict[str, list[int]] = {}
        for row, name in enumerate(dataset.images.readable("name").tolist()):
            self._rows.setdefault(name, []).append(row)
        for row, digest in enumerate(dataset.images["digest"].tolist()):
            # Images of one digest have the same layers: the first stands for all.
            self._rows.setdefault(str(Digest(digest)), [row])

    def row(self, text: str) -> int:
        """Return the row of /images.

        :raises ValueError: there is no such image, or there are several.
        """
        rows = self._rows.get(text.strip(), [])
        if not rows:
            raise ValueError(f"the dataset has no image {text!r}")
        if len(rows) > 1:
            platforms = ", ".join(self._platforms[row] or "no platform" for row in rows)
            raise ValueError(f"several images are called {text!r} ({platforms}): name the digests")
        return rows[0]


def _rows(lines: csv.DictReader[str], finder: ImageFinder, path: Path) -> Iterator[tuple[int, int]]:
    """Yield the rows of the images of each line of a CSV file.

    :raises UsageError: a column or an image is missing, or there are too many lines.
    """
    hint = "a line has the older and the newer image, below the head `old,new`"
    if not {"old", "new"} <= set(lines.fieldnames or ()):
        raise UsageError(f"{path} has no columns old and new", hint)
    for number, line in enumerate(lines, 1):
        if number > MOST_PAIRS:
            raise UsageError(f"{path} has more than {counted(MOST_PAIRS, 'pair')}")
        try:
            yield finder.row(line["old"] or ""), finder.row(line["new"] or "")
        except ValueError as error:
            raise UsageError(f"{path}, line {lines.line_num}: {error}", hint) from None


def _histories(dataset: Dataset) -> np.ndarray:
    """Return a number for each image that those of the same repository and platform share.

    :returns: (images,) int64, ascending with the repository.
    """
    platforms, platform = np.unique(dataset.images["platform"], return_inverse=True)
    repository = dataset.images["repository"].astype(np.int64)
    return repository * max(len(platforms), 1) + platform.ravel()


def _numbered(group: np.ndarray) -> np.ndarray:
    """Return the number of each value among equal ones, from 1, in their order.

    >>> _numbered(np.array([7, 3, 7, 7, 3])).tolist()
    [1, 1, 2, 3, 2]
    """
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(group) else order
    lengths = np.diff(np.append(starts, len(group)))
    numbers = np.empty(len(group), np.int64)
    numbers[order] = np.arange(1, len(group) + 1) - np.repeat(starts, lengths)
    return numbers
