"""The directories of entries, cut after some parts, for group-bys over all paths.

Paths are looked at as bytes, a block of rows at a time, without a Python object for each:

    bytes       ./usr/lib/a  bin/sh  motd
    begins at   2            12      18         behind `./`
    ends at     9 (depth 2)  15      18         at the slash after `depth` parts, or the last one

Paths with other parts that say nothing (`//`, `/../`) are cleaned one by one; few have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...row_ranges import block_ranges
from ...tar.paths import clean
from ..arrow import import_pandas, import_pyarrow
from ..schema import CHUNK_ROWS
from ..text_values import path_text

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset

_SLASH = ord("/")
_DOT = ord(".")


def directories(data: Dataset, depth: int, start: int, stop: int | None) -> pandas.Categorical:
    """Return the value of `Dataset.directories`."""
    pandas = import_pandas()
    pyarrow = import_pyarrow()
    if depth < 1:
        raise ValueError(f"a directory is cut after 1 part or more, not after {depth}")

    # Number the directories of each block, and the blocks' by all that were met before
    number_of: dict[bytes, int] = {}
    first, end, _ = slice(start, stop).indices(len(data.entries))
    numbers = np.empty(max(end - first, 0), np.int32)
    for low, high in block_ranges(len(numbers), CHUNK_ROWS):
        blob, bounds = data.entries.blob("path", first + low, first + high)
        cut, cut_bounds = cut_directories(blob, bounds - bounds[0], depth)
        buffers = [None, pyarrow.py_buffer(cut_bounds), pyarrow.py_buffer(cut)]
        texts = pyarrow.Array.from_buffers(pyarrow.large_binary(), high - low, buffers)
        coded = texts.dictionary_encode()
        known = [number_of.setdefault(one, len(number_of)) for one in coded.dictionary.to_pylist()]
        numbers[low:high] = np.array(known, np.int32)[coded.indices.to_numpy()]
    names = [path_text(directory) for directory in number_of]
    return pandas.Categorical.from_codes(numbers, pandas.Index(names, dtype="str"))


def cut_directories(blob: bytes, bounds: np.ndarray, depth: int) -> tuple[bytes, np.ndarray]:
    """Return the first parts of the directories of paths, as a blob and its bounds.

    :param bounds: (n + 1,) int64, where each path lies in the blob.
    :returns: the bytes, and (n + 1,) int64 offsets into them.

    >>> cut_directories(b"./usr/lib/abin/shmotd", np.array([0, 11, 17, 21]), 2)
    (b'usr/libbin', array([ 0,  7, 10, 10]))
    """
    start = bounds[:-1].copy()
    stop = bounds[1:].copy()
    text = np.frombuffer(blob + bytes(2), np.uint8)
    # Leave out `./` in front, and the slash behind a directory
    has_dot = (stop - start >= 2) & (text[start] == _DOT) & (text[start + 1] == _SLASH)
    start[has_dot] += 2
    stop[(stop > start) & (text[stop - 1] == _SLASH)] -= 1
    is_odd = _needs_cleaning(text, start, stop)

    # Find the slash after `depth` parts, or the last one
    slashes = np.flatnonzero(text == _SLASH)
    before = np.searchsorted(slashes, start)
    behind = np.searchsorted(slashes, stop)
    last = np.minimum(before + depth, behind) - 1
    cut = np.where(behind > before, np.append(slashes, 0)[last], start)

    # Copy the bytes between, and cut the odd paths one by one
    length = np.maximum(cut - start, 0)
    odd: dict[int, bytes] = {}
    for row in np.flatnonzero(is_odd).tolist():
        parts = clean(blob[bounds[row] : bounds[row + 1]]).split(b"/")[:-1]
        odd[row] = b"/".join(parts[:depth])
        length[row] = len(odd[row])
    ends = np.append(0, np.cumsum(length))
    place = np.arange(ends[-1]) + np.repeat(np.where(is_odd, 0, start) - ends[:-1], length)
    place[np.repeat(is_odd, length)] = 0
    copied = text[place]
    for row, directory in odd.items():
        copied[ends[row] : ends[row + 1]] = np.frombuffer(directory, np.uint8)
    return copied.tobytes(), ends


def _needs_cleaning(text: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return (n,) bool, which paths have a part that is empty, `.` or `..`.

    :param text: (bytes + 2,) uint8, padded with zeros.
    """
    is_slash = text == _SLASH
    is_dot = text == _DOT

    # Look at the first part of each path, and at parts that begin with a slash or a dot.
    begins = np.flatnonzero(is_slash[:-1] & (is_slash[1:] | is_dot[1:])) + 1
    owner = np.searchsorted(start, begins, "right") - 1
    is_inside = (owner >= 0) & (begins < stop[owner])
    begins = np.concatenate([begins[is_inside], start])
    owner = np.concatenate([owner[is_inside], np.arange(len(start))])

    # A part ends at a slash, or where its path ends.
    end = stop[owner]
    ends_at_once = (begins >= end) | is_slash[begins]
    ends_behind_one = is_dot[begins] & ((begins + 1 >= end) | is_slash[begins + 1])
    has_two_dots = is_dot[begins] & np.append(is_dot, False)[begins + 1]
    ends_behind_two = has_two_dots & ((begins + 2 >= end) | np.append(is_slash, True)[begins + 2])

    # The last part of a path that ends with a slash is empty.
    found = (stop > start) & is_slash[stop - 1]
    found[owner[ends_at_once | ends_behind_one | ends_behind_two]] = True
    return found
