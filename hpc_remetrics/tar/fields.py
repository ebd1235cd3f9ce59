"""The fields of tar headers: octal and base-256 numbers, the decimals and times of PAX records."""

from __future__ import annotations

from .fault import LayerFault

_INT64 = 1 << 63


def bad_header(message: str) -> LayerFault:
    return LayerFault("tar", "bad_header", message)


def numeric(field: bytes) -> int:
    """Read a number field: base-256 if its first bit is set, else octal; `LayerFault` if it is
    neither.

    >>> numeric(b"0000644\\0"), numeric(b"\\x80\\0\\0\\0\\0\\0\\x01\\0"), numeric(b"\\xff" * 12)
    (420, 256, -1)
    """
    if field[:1] >= b"\x80":
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        if not -_INT64 <= value < _INT64:
            raise bad_header(f"a number field is out of range: {field!r}")
        return value
    return octal(field)


def octal(field: bytes) -> int:
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    try:
        if digits.isdigit() and (value := int(digits, 8)) < 1 << 64:
            return value if value < _INT64 else value - (1 << 64)
    except ValueError:
        pass
    raise bad_header(f"a number field is not octal: {field!r}")


def decimal(text: bytes) -> int:
    """Read a decimal number of a PAX record, as `strconv.ParseInt` does."""
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    # There may be any number of zeros before the digits that count, of which 64 bits have 19.
    if not digits.isdigit() or len(digits := digits.lstrip(b"0")) > 19:
        raise bad_header(f"not a number: {text[:40]!r}")
    value = int(digits or b"0")
    if text[:1] == b"-":
        value = -value
    if not -_INT64 <= value < _INT64:
        raise bad_header(f"not a number: {text[:40]!r}")
    return value


def pax_time(text: bytes) -> tuple[int, int]:
    """Return whole seconds (rounded down) and nanoseconds.

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
        # Below the least of 64 bits, Go's time wraps round.
        return seconds - 1 if seconds > -_INT64 else _INT64 - 1, 1_000_000_000 - nanoseconds
    return seconds, nanoseconds
