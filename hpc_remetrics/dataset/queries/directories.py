"""The directories of entries, cut after some parts, for group-bys over all paths.

Paths are looked at as bytes, a block of rows at a time, without a Python object for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...row_ranges import block_ranges
from ..arrow import import_pandas, import_pyarrow
from ..path_names import Paths
from ..schema import CHUNK_ROWS
from ..text_values import path_text

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset


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
    paths = Paths(np.frombuffer(blob, np.uint8), bounds[:-1], bounds[1:])
    length = paths.directory(depth)
    ends = np.append(0, np.cumsum(length))
    place = np.arange(ends[-1]) + np.repeat(paths.start - ends[:-1], length)
    return paths.data[place].tobytes(), ends
