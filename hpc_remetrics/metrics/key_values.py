"""Find the values of some keys in a table of keys and values, such as /labels or /annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..dataset.chunk_cache import ChunkReader

_MOST_BYTES = 1 << 24
"""Bytes of keys that are looked at together."""


def values_of(
    reader: ChunkReader, start: int, stop: int, keys: Sequence[bytes], most: int
) -> Iterator[tuple[int, int, bytes]]:
    """Yield (row, place in `keys`, value) of the rows from `start` to `stop` that have a key.

    :param reader: of a table with the columns `key` and `value`.
    :param most: bytes of a value beyond which the rest is left out.
    """
    bounds = reader.column("key_offset", start, stop + 1)
    if bounds[-1] - bounds[0] > _MOST_BYTES and stop - start > 1:
        # Long keys are looked at a few rows at a time.
        middle = (start + stop) // 2
        yield from values_of(reader, start, middle, keys, most)
        yield from values_of(reader, middle, stop, keys, most)
        return
    data = reader.column("key", int(bounds[0]), int(bounds[-1]))
    for place, key in enumerate(keys):
        # Compare the keys of the same length.
        rows = np.flatnonzero(np.diff(bounds) == len(key))
        at = (bounds[rows] - bounds[0])[:, None] + np.arange(len(key))
        is_key = (data[at] == np.frombuffer(key, np.uint8)).all(axis=1)
        for row in (start + rows[is_key]).tolist():
            yield row, place, reader.text("value", row, most)
