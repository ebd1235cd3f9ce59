"""Numeric tests of libmagic: evaluated as it does, and the pairs of bytes that can pass them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from .database import UNSIGNED, Record

WIDTHS = {1: 1, 2: 2, 4: 4, 7: 2, 8: 4, 10: 2, 11: 4, 24: 8, 25: 8, 26: 8}
"""Type of test -> bytes: byte, short, long, quad, as they come, and in either order."""
QUADS = frozenset((24, 25, 26))
"""Types that libmagic doesn't miss in a file that ends before them: it reads zeros there (mget,
mcopy)."""
_BIG = {7, 8, 26}

_AND, _OR, _XOR, _ADD, _MINUS, _TIMES, _DIVIDE, _MODULO = range(8)
_INVERSE = 0x40
_NUMBERS = np.arange(1 << 16, dtype=np.int64)
_SWAPPED = (_NUMBERS & 0xFF) << 8 | _NUMBERS >> 8

_MOST_PAIRS = 1 << 13

Test = Callable[[bytes, int], bool]
"""Whether a file's bytes pass a test at a place."""

Pairs = list[int]
"""Pairs of bytes, as first + 256 * second."""


def divides_by_zero(record: Record) -> bool:
    """Tell whether a test is an error wherever it is asked: its mask is zero once it is cut to the
    type's width."""
    width = WIDTHS.get(record.type, 1)
    cut = record.mask & ((1 << 8 * width) - 1)
    return bool(record.mask) and not cut and record.operator & 7 in (_DIVIDE, _MODULO)


def test_of(record: Record) -> Test | None:
    """Return the test as a function of the file's bytes and the place, or None if its kind isn't
    understood.

    Bytes that aren't there fail every relation but "!", and are zeros to :data:`QUADS`.
    """
    if (
        record.type not in WIDTHS
        or divides_by_zero(record)
        or chr(record.relation) not in "=!<>&^x"
    ):
        return None
    width = WIDTHS[record.type]
    order: Literal["big", "little"] = "big" if record.type in _BIG else "little"
    absent, padded = record.relation == ord("!"), record.type in QUADS
    relation, change = _relation(record, width), _change(record, width)

    def test(data: bytes, offset: int) -> bool:
        found = data[offset : offset + width]
        if len(found) < width:
            if not padded:
                return absent
            found = found.ljust(width, b"\0")
        return bool(relation(change(int.from_bytes(found, order))))

    return test


def bytes_of(record: Record) -> bytes | None:
    """Return the bytes that a test for one number asks for, or None if it isn't as plain as
    that."""
    if record.type not in WIDTHS.keys() - QUADS or record.relation != ord("="):
        return None
    if record.mask or record.operator & _INVERSE:
        return None
    width, wanted = WIDTHS[record.type], int.from_bytes(record.value[:8], "little")
    limit = (1 << 8 * width) - 1
    number = wanted & limit
    extended = (
        number
        if record.flag & UNSIGNED or not number >> (8 * width - 1)
        else number | ~limit & (1 << 64) - 1
    )
    return (
        number.to_bytes(width, "big" if record.type in _BIG else "little")
        if extended == wanted
        else None
    )


def _change(record: Record, width: int) -> Callable[[Any], Any]:
    """Return what libmagic does to the number before it compares."""
    limit = (1 << 8 * width) - 1
    mask, operator = record.mask & limit, record.operator & 7
    flip = limit if record.operator & _INVERSE else 0
    if not record.mask:
        return lambda number: number ^ flip
    operators: dict[int, Callable[[Any], Any]] = {
        _AND: lambda number: number & mask,
        _OR: lambda number: number | mask,
        _XOR: lambda number: number ^ mask,
        _ADD: lambda number: number + mask,
        _MINUS: lambda number: number - mask,
        _TIMES: lambda number: number * mask,
        _DIVIDE: lambda number: number // mask,
        _MODULO: lambda number: number % mask,
    }
    change = operators[operator]
    return lambda number: (change(number) & limit) ^ flip


def _relation(record: Record, width: int) -> Callable[[Any], Any]:
    """Return the comparison, of numbers that are extended to 64 bits as libmagic does it."""
    unsigned, top = bool(record.flag & UNSIGNED), 1 << (8 * width - 1)
    wanted = int.from_bytes(record.value[:8], "little")
    if not unsigned:
        wanted = (wanted ^ 1 << 63) - (1 << 63)

    def extended(number: Any) -> Any:
        return number if unsigned else (number ^ top) - top

    relations: dict[str, Callable[[Any], Any]] = {
        "=": lambda number: extended(number) == wanted,
        "!": lambda number: extended(number) != wanted,
        "<": lambda number: extended(number) < wanted,
        ">": lambda number: extended(number) > wanted,
        "&": lambda number: extended(number) & wanted == wanted,
        "^": lambda number: extended(number) & wanted != wanted,
        "x": lambda number: True,
    }
    return relations[chr(record.relation)]


def pairs_of(record: Record) -> tuple[int, Pairs] | None:
    """Return a place, and the pairs of bytes there of which the test needs one; None if all may do.

    Where the second byte isn't in the file any will do: a test of one byte allows all. To
    :data:`QUADS` that allow two zeros, these may lie behind the file's end.
    """
    if record.type not in WIDTHS or divides_by_zero(record) or chr(record.relation) not in "=<>&^":
        return None
    width = WIDTHS[record.type]
    whole = (1 << 8 * width) - 1
    wanted = int.from_bytes(record.value[:8], "little")
    if record.relation == ord("=") and record.operator == _AND:
        return _pinned(record, width, record.mask & whole or whole)
    if record.relation == ord("&") and not record.mask:
        return _pinned(record, width, wanted & whole)
    if width > 2 or (record.flag & UNSIGNED and wanted >> 63):
        return None
    numbers = _NUMBERS & 0xFF if width == 1 else _SWAPPED if record.type in _BIG else _NUMBERS
    passing = np.flatnonzero(_relation(record, width)(_change(record, width)(numbers)))
    return (record.offset, passing.tolist()) if len(passing) <= _MOST_PAIRS else None


def _pinned(record: Record, width: int, mask: int) -> tuple[int, Pairs]:
    """Return the pair of bytes that a mask pins down most; of equals the one that isn't two zeros,
    then the first."""
    order: Literal["big", "little"] = "big" if record.type in _BIG else "little"
    masks = mask.to_bytes(width, order) + b"\0"
    wanted = int.from_bytes(record.value[:8], "little") & mask
    values = wanted.to_bytes(width, order) + b"\0"

    def pinned(at: int) -> tuple[int, bool]:
        return (masks[at] << 8 | masks[at + 1]).bit_count(), values[at : at + 2] != b"\0\0"

    at = max(range(max(width - 1, 1)), key=pinned)
    return record.offset + at, pairs_from(
        _under(masks[at], values[at]), _under(masks[at + 1], values[at + 1])
    )


@lru_cache(None)
def _under(mask: int, value: int) -> bytes:
    return bytes(byte for byte in range(256) if byte & mask == value)


def pairs_from(first: bytes, second: bytes) -> Pairs:
    """Return all pairs of two sets of bytes."""
    return [one + 256 * other for one in first for other in second]
