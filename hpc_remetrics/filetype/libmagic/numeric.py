r"""Numeric tests of libmagic: evaluated as libmagic does, and the pairs of bytes that can pass them.

A line of libmagic's source, the record, and what is made of it::

    0  belong&0xffffff00  0xffd8ff00  JPEG image data

    Record(type=8 (belong), relation="=", mask=0xffffff00, offset=0, value=0xffd8ff00, ...)

    test_of(record)(data, 0)   the very test: read four bytes, big-endian; mask; compare
    pairs_of(record)           (0, [0xd8ff]): the bytes ff d8 must stand at 0

A pair of bytes at a place is a number of 16 bits: first + 256 * second. The rules that need one of a
few pairs are found by looking up the pair of a file there (`screen`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from .database import UNSIGNED, Record

WIDTHS = {1: 1, 2: 2, 4: 4, 7: 2, 8: 4, 10: 2, 11: 4, 24: 8, 25: 8, 26: 8}
"""Type of test -> bytes: byte; short, long and quad as they come, and in either order."""
QUADS = frozenset((24, 25, 26))
"""Types that libmagic doesn't miss in a file that ends before them: it reads zeros there (mget,
mcopy)."""
BIG_ENDIAN = frozenset((7, 8, 26))

_AND, _OR, _XOR, _ADD, _MINUS, _TIMES, _DIVIDE, _MODULO = range(8)
_INVERSE = 0x40

_MAX_PAIRS = 1 << 13
_ANY_BYTE = bytes(range(256))

Test = Callable[[bytes, int], bool]
"""Tells whether a file's bytes pass a test at a place."""

Pairs = list[int]
"""Pairs of bytes, each as first + 256 * second."""


def byte_order(type_: int) -> Literal["big", "little"]:
    """Return the byte order of a type of test, on a little-endian machine."""
    return "big" if type_ in BIG_ENDIAN else "little"


def _divides(record: Record) -> bool:
    return bool(record.mask) and record.operator & 7 in (_DIVIDE, _MODULO)


def may_be_error(record: Record) -> bool:
    """Tell whether a test is an error wherever it is asked, or of some numbers.

    It divides by a mask that is zero once it is cut to the type's width, or since 5.47 by -1
    (CHECKOVFL).
    """
    # Of a date, whose width isn't known here, the lowest byte stands for the mask.
    limit = _limit(WIDTHS.get(record.type, 1))
    mask = record.mask & limit
    is_minus_one = mask == limit and not record.flag & UNSIGNED
    return _divides(record) and (not mask or is_minus_one)


def _is_followed(record: Record) -> bool:
    """Tell whether all versions agree on what a test does: since 5.47 numbers keep their signs when
    they are divided (DO_CVT)."""
    if record.type not in WIDTHS:
        return False
    return not _divides(record) or (bool(record.flag & UNSIGNED) and not may_be_error(record))


def test_of(record: Record) -> Test | None:
    """Return the test as a function of the file's bytes and a place; None if it isn't understood.

    Bytes that aren't there fail every relation but "!", and are zeros to :data:`QUADS`.
    """
    if not _is_followed(record):
        return None
    if chr(record.relation) not in "=!<>&^x":
        return None

    # Take the record apart once, not for each file.
    width = WIDTHS[record.type]
    order = byte_order(record.type)
    passes_absent = record.relation == ord("!")
    is_padded = record.type in QUADS
    relation = _relation_of(record, width)
    change = _change_of(record, width)

    def test(data: bytes, offset: int) -> bool:
        number = data[offset : offset + width]
        if len(number) < width:
            if not is_padded:
                return passes_absent
            number = number.ljust(width, b"\0")
        return relation(change(int.from_bytes(number, order)))

    return test


def bytes_of(record: Record) -> bytes | None:
    """Return the bytes that a test for one number asks for, None if it isn't as plain as that."""
    if record.type not in WIDTHS.keys() - QUADS or record.relation != ord("="):
        return None
    if record.mask or record.operator & _INVERSE:
        return None
    width = WIDTHS[record.type]
    wanted = int.from_bytes(record.value[:8], "little")
    number = wanted & _limit(width)
    # The number that libmagic reads is extended to 64 bits before it is compared.
    extended = number
    if not record.flag & UNSIGNED and number >> (8 * width - 1):
        extended = number | ~_limit(width) & _limit(8)
    return number.to_bytes(width, byte_order(record.type)) if extended == wanted else None


def pairs_of(record: Record) -> tuple[int, Pairs] | None:
    """Return a place, and the pairs of bytes there of which the test needs one; None if all may do.

    Where the second byte isn't in the file any will do: a test of one byte allows all. To
    :data:`QUADS` that allow two zeros, these may lie behind the file's end.
    """
    if not _is_followed(record) or chr(record.relation) not in "=<>&^":
        return None
    width = WIDTHS[record.type]
    wanted = int.from_bytes(record.value[:8], "little")
    if record.relation == ord("=") and record.operator == _AND:
        return _pinned_pair(record, width, record.mask & _limit(width) or _limit(width))
    is_plain = not record.mask and not record.operator & _INVERSE
    if record.relation == ord("&") and is_plain:
        return _pinned_pair(record, width, wanted & _limit(width))
    if width == 1:
        change = _change_of(record, width)
        passes = _relation_of(record, width)
        passing = bytes(number for number in range(256) if passes(change(number)))
        are_few = _are_few(len(passing) << 8)
        return (record.offset, pairs_from(passing, _ANY_BYTE)) if are_few else None
    if width > 2 or not is_plain or chr(record.relation) not in "<>":
        return None
    # List all numbers on one side of that of the test.
    least = 0 if record.flag & UNSIGNED else -1 << 15
    numbers = range(least, least + (1 << 16))
    at = _wanted_number(record) - least
    numbers = numbers[: max(at, 0)] if record.relation == ord("<") else numbers[max(at + 1, 0) :]
    order = byte_order(record.type)
    if not _are_few(len(numbers)):
        return None
    pairs = [int.from_bytes((number & 0xFFFF).to_bytes(2, order), "little") for number in numbers]
    return record.offset, pairs


def _are_few(pairs: int) -> bool:
    """Tell whether so many pairs are worth a look-up."""
    return 0 < pairs <= _MAX_PAIRS


@lru_cache(None)
def pairs_from(first: bytes, second: bytes) -> Pairs:
    """Return all pairs of two sets of bytes."""
    return [one + 256 * other for one in first for other in second]


def _limit(width: int) -> int:
    """Return the largest number of so many bytes."""
    return (1 << 8 * width) - 1


def _change_of(record: Record, width: int) -> Callable[[int], int]:
    """Return what a test does to a number before it compares it: mask, arithmetic, inversion."""
    limit = _limit(width)
    flip = limit if record.operator & _INVERSE else 0
    mask = record.mask & limit
    if not record.mask:
        return lambda number: number ^ flip
    operators: dict[int, Callable[[int], int]] = {
        _AND: lambda number: number & mask,
        _OR: lambda number: number | mask,
        _XOR: lambda number: number ^ mask,
        _ADD: lambda number: number + mask,
        _MINUS: lambda number: number - mask,
        _TIMES: lambda number: number * mask,
        _DIVIDE: lambda number: number // mask,
        _MODULO: lambda number: number % mask,
    }
    change = operators[record.operator & 7]
    return lambda number: (change(number) & limit) ^ flip


def _wanted_number(record: Record) -> int:
    """Return the number that a test compares with, of 64 bits with or without a sign."""
    wanted = int.from_bytes(record.value[:8], "little")
    return wanted if record.flag & UNSIGNED else (wanted ^ 1 << 63) - (1 << 63)


def _relation_of(record: Record, width: int) -> Callable[[int], bool]:
    """Return the comparison of numbers, which are extended to 64 bits first as libmagic does."""
    is_unsigned = bool(record.flag & UNSIGNED)
    sign = 1 << (8 * width - 1)
    wanted = _wanted_number(record)

    def extended(number: int) -> int:
        return number if is_unsigned else (number ^ sign) - sign

    relations: dict[str, Callable[[int], bool]] = {
        "=": lambda number: extended(number) == wanted,
        "!": lambda number: extended(number) != wanted,
        "<": lambda number: extended(number) < wanted,
        ">": lambda number: extended(number) > wanted,
        "&": lambda number: extended(number) & wanted == wanted,
        "^": lambda number: extended(number) & wanted != wanted,
        "x": lambda number: True,
    }
    return relations[chr(record.relation)]


def _pinned_pair(record: Record, width: int, mask: int) -> tuple[int, Pairs]:
    """Return the place and the pairs where a mask leaves the fewest bits free.

    Of equals a pair that isn't two zeros is taken, then the first one.
    """
    order = byte_order(record.type)
    # Behind a single byte any byte may stand: its mask is zero.
    masks = mask.to_bytes(width, order) + b"\0"
    wanted = int.from_bytes(record.value[:8], "little") & mask
    values = wanted.to_bytes(width, order) + b"\0"

    def pinned_bits(at: int) -> tuple[int, bool]:
        return (masks[at] << 8 | masks[at + 1]).bit_count(), values[at : at + 2] != b"\0\0"

    at = max(range(max(width - 1, 1)), key=pinned_bits)
    first = _bytes_under(masks[at], values[at])
    second = _bytes_under(masks[at + 1], values[at + 1])
    return record.offset + at, pairs_from(first, second)


@lru_cache(None)
def _bytes_under(mask: int, value: int) -> bytes:
    """Return all bytes that are `value` where `mask` has bits."""
    if mask == 0xFF:
        return bytes([value])
    return bytes(byte for byte in range(256) if byte & mask == value)
