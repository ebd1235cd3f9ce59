"""Parse fields of tar headers: octal and base-256 numbers, and numbers and times of PAX records.

Each function raises `LayerFault` (`bad_header`) where Go's archive/tar returns an error.
"""

from __future__ import annotations

from .fault import LayerFault

_INT64 = 1 << 63
_UINT64 = 1 << 64

_DIGITS = 19
"""Digits of the largest number of 64 bits with a sign."""

_NANOSECONDS = 1_000_000_000


def bad_header(message: str) -> LayerFault:
    """Return the fault of a broken header."""
    return LayerFault("tar", "bad_header", message)


def numeric(field: bytes) -> int:
    """Parse a number field: base-256 if its first bit is set, else octal.

    >>> numeric(b"0000644\\0"), numeric(b"\\x80\\0\\0\\0\\0\\0\\x01\\0"), numeric(b"\\xff" * 12)
    (420, 256, -1)
    """
    # The form in which most programs write it: digits, and a NUL at the end
    digits = field[:-1]
    if digits.isdigit() and field[-1] == 0:
        try:
            return int(digits, 8)
        except ValueError:
            raise _not_octal(field) from None
    if field[:1] < b"\x80":
        return octal(field)
    # The first bit is the mark, and the second one the sign
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if field[0] & 0x40:
        value -= 1 << bits
    if not -_INT64 <= value < _INT64:
        raise bad_header(f"a number field is out of range: {field!r}")
    return value


def octal(field: bytes) -> int:
    """Parse an octal number between spaces and NULs; 64 bits, the first of which is the sign.

    >>> octal(b" 644 \\0"), octal(b"\\0\\0"), octal(b"1777777777777777777777")
    (420, 0, -1)
    """
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    try:
        if digits.isdigit() and (value := int(digits, 8)) < _UINT64:
            return value if value < _INT64 else value - _UINT64
    except ValueError:
        pass
    raise _not_octal(field)


def _not_octal(field: bytes) -> LayerFault:
    return bad_header(f"a number field is not octal: {field!r}")


def decimal(text: bytes) -> int:
    """Parse a decimal number of a PAX record, as `strconv.ParseInt` does.

    >>> decimal(b"-12"), decimal(b"+007")
    (-12, 7)
    """
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    # There may be any number of leading zeros
    if not digits.isdigit() or len(digits := digits.lstrip(b"0")) > _DIGITS:
        raise bad_header(f"not a number: {text[:40]!r}")
    value = int(digits or b"0")
    if text[:1] == b"-":
        value = -value
    if not -_INT64 <= value < _INT64:
        raise bad_header(f"not a number: {text[:40]!r}")
    return value


def pax_time(text: bytes) -> tuple[int, int]:
    """Return the whole seconds (rounded down) and the nanoseconds of a time in a PAX record.

    >>> pax_time(b"-1.5"), pax_time(b"1700000000.0000000019")
    ((-2, 500000000), (1700000000, 1))
    """
    whole, _, fraction = text.partition(b".")
    seconds = decimal(whole)
    if not fraction:
        return seconds, 0
    if not fraction.isdigit():
        raise bad_header(f"not a time: {text[:40]!r}")
    nanoseconds = int(fraction[:9].ljust(9, b"0"))
    if whole.startswith(b"-") and nanoseconds:
        # Below the smallest number of 64 bits, Go's time wraps round
        seconds = seconds - 1 if seconds > -_INT64 else _INT64 - 1
        nanoseconds = _NANOSECONDS - nanoseconds
    return seconds, nanoseconds
