"""Numbers and times of tar headers, with the values at the edges of 64 bits."""

import pytest

from hpc_remetrics.tar.fault import LayerFault
from hpc_remetrics.tar.fields import decimal, numeric, octal, pax_time

LARGEST = (1 << 63) - 1
SMALLEST = -(1 << 63)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"", 0),
        (b"\0\0\0\0", 0),
        (b"0000644\0", 0o644),
        (b" 644 \0", 0o644),
        (b"7\x009", 7),
        (b"777777777777777777777", LARGEST),
        (b"1000000000000000000000", SMALLEST),
        (b"1777777777777777777777", -1),
    ],
)
def test_octal(field, value):
    assert octal(field) == value
    assert numeric(field) == value


@pytest.mark.parametrize("field", [b"8", b"12a", b"-1", b"1 2", b"2000000000000000000000"])
def test_no_octal(field):
    with pytest.raises(LayerFault, match="not octal") as raised:
        octal(field)
    assert (raised.value.stage, raised.value.cause) == ("tar", "bad_header")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"\x80" + bytes(11), 0),
        (b"\x80" + bytes(10) + b"\1", 1),
        (b"\x80" + bytes(5) + b"\1\0", 256),
        (b"\xff" * 8, -1),
        (b"\xff" * 11 + b"\xfe", -2),
        (b"\x80\0\0\0" + LARGEST.to_bytes(8, "big"), LARGEST),
        (b"\xff\xff\xff\xff\x80" + bytes(7), SMALLEST),
        (b"\xbf" + b"\xff" * 6 + b"\xff", (1 << 62) - 1),
        (b"\xc0" + bytes(7), -(1 << 62)),
    ],
)
def test_base_256(field, value):
    assert numeric(field) == value


@pytest.mark.parametrize(
    "field", [b"\x80\0\0\0\x80" + bytes(7), b"\xff\xff\xff\xff\x7f" + b"\xff" * 7]
)
def test_base_256_beyond_64_bits(field):
    with pytest.raises(LayerFault, match="out of range"):
        numeric(field)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"-0", 0),
        (b"12", 12),
        (b"+007", 7),
        (b"-12", -12),
        (b"0" * 100 + b"5", 5),
        (b"9223372036854775807", LARGEST),
        (b"-9223372036854775808", SMALLEST),
    ],
)
def test_decimal(text, value):
    assert decimal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"-", b"+", b"--1", b"1.0", b" 1", b"1 ", b"0x1"),
        *(b"9223372036854775808", b"-9223372036854775809", b"1" * 20, b"9" * 5_000),
    ],
)
def test_no_decimal(text):
    with pytest.raises(LayerFault, match="not a number"):
        decimal(text)


@pytest.mark.parametrize(
    ("text", "seconds", "nanoseconds"),
    [
        (b"0", 0, 0),
        (b"5.", 5, 0),
        (b"5.5", 5, 500_000_000),
        (b"5.000000001", 5, 1),
        (b"5.0000000019", 5, 1),
        (b"-5", -5, 0),
        (b"-5.0", -5, 0),
        (b"-5.25", -6, 750_000_000),
        (b"-0.25", -1, 750_000_000),
        (b"-9223372036854775808.5", LARGEST, 500_000_000),
    ],
)
def test_pax_times(text, seconds, nanoseconds):
    assert pax_time(text) == (seconds, nanoseconds)


@pytest.mark.parametrize("text", [b"", b".5", b"1.5.5", b"1.-5", b"1.5s", b"soon"])
def test_no_pax_time(text):
    with pytest.raises(LayerFault, match=r"not a (time|number)"):
        pax_time(text)
