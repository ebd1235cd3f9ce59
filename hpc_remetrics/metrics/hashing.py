"""128-bit hashes of many byte strings at once, eight bytes a step for all of them together."""

from __future__ import annotations

import numpy as np

_SEEDS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_MASKS = np.array([0, *((1 << 8 * kept) - 1 for kept in range(1, 9))], np.uint64)
PADDING = 8
"""Bytes that must stand behind the last string."""


def hash_slices(
    data: np.ndarray, start: np.ndarray, length: np.ndarray, lanes: int = 2
) -> list[np.ndarray]:
    """Return the hash of `data[start[i]:start[i] + length[i]]` for each i, as one u8 array a lane.

    Equal strings have equal hashes in every data; two of n different ones have the same with a
    probability of about n**2 / 2**129 with both lanes, n**2 / 2**65 with one.

    :param data: bytes, with `PADDING` of them behind the last string.

    >>> data = np.frombuffer(b"usr/lib usr/lib" + bytes(PADDING), np.uint8)
    >>> one, two = hash_slices(data, np.array([0, 8]), np.array([7, 7]), 1)[0].tolist()
    >>> one == two
    True
    """
    words = np.ndarray((max(len(data) - 7, 0),), "<u8", data, strides=(1,))
    steps = (length + 7) >> 3
    order = np.argsort(-np.minimum(steps, 0x7FFF).astype(np.int16), kind="stable")
    if len(steps) and steps.max() > 0x7FFF:
        order = np.argsort(-steps, kind="stable")
    start, length, steps = start[order], length[order], steps[order]
    hashes = [
        (length.astype(np.uint64) + seed) * factor
        for seed, factor in zip(_SEEDS, _FACTORS, strict=True)
    ][:lanes]
    more = len(steps) - np.searchsorted(
        steps[::-1], np.arange(int(steps[0]) + 1 if len(steps) else 1), "right"
    )
    for step in range(len(more) - 1):
        _step(hashes, words, start, length, step, int(more[step]), int(more[step + 1]))
    result = []
    for mixed in hashes:
        placed = np.empty_like(mixed)
        placed[order] = _finished(mixed)
        result.append(placed)
    return result


def _step(
    hashes: list[np.ndarray],
    words: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    step: int,
    now: int,
    later: int,
) -> None:
    """Take the next eight bytes of the strings that have them: the first `now`; of `now - later`
    they are the last."""
    word = words[start[:now] + 8 * step]
    word[later:] &= _MASKS[length[later:now] - 8 * step]
    for mixed, factor in zip(hashes, _FACTORS, strict=False):
        part = mixed[:now]
        part ^= word
        part *= factor
        part ^= part >> np.uint64(31)
        word = word << np.uint64(32) | word >> np.uint64(32)


def _finished(mixed: np.ndarray) -> np.ndarray:
    """Spread the last bytes over all bits (the finaliser of splitmix64)."""
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FACTORS[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _FACTORS[1]
    return mixed ^ (mixed >> np.uint64(31))
