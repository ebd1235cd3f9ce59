"""128-bit hashes of many byte strings at once: each step mixes eight bytes of all strings.

Strings are in order of their lengths, longest first, so that those which still have bytes are the
first ones of every array:

    step      0          1          2
    string 0  usr/shar   e/doc/re   adme
    string 1  usr/lib/   libz.so
    string 2  etc
"""

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
    """Return the hash of `data[start[i]:start[i] + length[i]]` for each i, (n,) uint64 a lane.

    Equal strings have equal hashes wherever they are. Two of n different ones have the same with a
    probability of about n**2 / 2**129 with both lanes, n**2 / 2**65 with one.

    :param data: (bytes,) uint8, with `PADDING` bytes behind the last string.
    :param start: (n,) int64, and `length` (n,) int64, bytes.

    >>> data = np.frombuffer(b"usr/lib usr/lib" + bytes(PADDING), np.uint8)
    >>> one, two = hash_slices(data, np.array([0, 8]), np.array([7, 7]), 1)[0].tolist()
    >>> one == two
    True
    """
    # A view of the data in which word i begins at byte i.
    words = np.ndarray((max(len(data) - 7, 0),), "<u8", data, strides=(1,))
    # Longest strings first; sixteen bits are sorted by radix.
    steps = (length + 7) >> 3
    order = np.argsort(-np.minimum(steps, 0x7FFF).astype(np.int16), kind="stable")
    if len(steps) and steps.max() > 0x7FFF:
        order = np.argsort(-steps, kind="stable")
    start = start[order]
    length = length[order]
    steps = steps[order]
    hashes = [
        (length.astype(np.uint64) + seed) * factor
        for seed, factor in zip(_SEEDS, _FACTORS, strict=True)
    ][:lanes]
    # Count the strings that have more than 0, 1, 2, … steps.
    most = int(steps[0]) if len(steps) else 0
    more = (len(steps) - np.searchsorted(steps[::-1], np.arange(most + 1), "right")).tolist()
    for step in range(most):
        _mix(hashes, words, start, length, step, now=more[step], later=more[step + 1])
    # Put the hashes in the order of the strings.
    result = []
    for mixed in hashes:
        placed = np.empty_like(mixed)
        placed[order] = _finished(mixed)
        result.append(placed)
    return result


def _mix(
    hashes: list[np.ndarray],
    words: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    step: int,
    *,
    now: int,
    later: int,
) -> None:
    """Mix the next eight bytes of strings into their hashes.

    :param now: the first `now` strings have such bytes; those from `later` on have no more.
    """
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
