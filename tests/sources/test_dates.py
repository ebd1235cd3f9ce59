"""Dates of RFC 3339, by the table below; `test_image_config.py` has Go judge more of them."""

from datetime import datetime, timezone

import pytest

from hpc_remetrics.sources.dates import parse_date, push_date, push_time


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1970-01-01T00:00:00Z", (0, 0)),
        ("1970-01-02T03:04:05Z", (97445, 0)),
        ("1969-12-31T23:59:59.999999999Z", (-1, 999_999_999)),
        ("2024-02-29T12:00:00.5+01:00", (1709204400, 500_000_000)),
        ("2020-01-01T00:00:00-00:30", (1577838600, 0)),
        ("2020-01-01T00:00:00+23:59", (1577836800 - 86340, 0)),
        ("2020-01-01T23:59:59.1234567899Z", (1577923199, 123_456_789)),
        ("0001-01-01T00:00:00Z", (-62135596800, 0)),
        ("0000-12-31T00:00:00Z", (-62135596800 - 86400, 0)),
        ("0000-02-29T00:00:00Z", (-62162121600, 0)),
        ("0000-01-01T00:00:00Z", (-62167219200, 0)),
        ("9999-12-31T23:59:59Z", (253402300799, 0)),
        ("2100-02-28T00:00:00Z", (4107456000, 0)),
    ],
)
def test_dates(text, found):
    assert parse_date(text) == found


@pytest.mark.parametrize("year", [1, 4, 100, 400, 1600, 1900, 1969, 2000, 2026, 9999])
def test_dates_are_those_of_datetime(year):
    moment = datetime(year, 3, 1, 13, 14, 15, tzinfo=timezone.utc)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    text = f"{year:04}-03-01T13:14:15Z"
    assert parse_date(text) == (int((moment - epoch).total_seconds()), 0)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "now",
            "2024-01-01",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
            "24-01-01T00:00:00Z",
        ],
        *["10000-01-01T00:00:00Z", "-001-01-01T00:00:00Z", "2024-01-01T00:00Z"],
        *["2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-00T00:00:00Z"],
        *["2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2024-04-31T00:00:00Z"],
        *["2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z"],
        *["2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00-24:00", "2024-01-01T00:00:00+00:60"],
        *["2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z", "2024-01-01t00:00:00z"],
        *["2024-01-01T00:00:00Z\n", " 2024-01-01T00:00:00Z", "٢٠٢٤-01-01T00:00:00Z"],
    ],
)
def test_what_is_no_date(text):
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2020-01-01T00:00:00Z", 1577836800),
        ("9999-12-31T23:59:59Z", 253402300799),
    ],
)
def test_the_time_of_a_push_and_its_date_are_inverse(text, seconds):
    assert push_time(text) == seconds
    assert push_date(seconds) == text


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "", "now"])
def test_what_is_no_time_of_a_push(text):
    assert push_time(text) is None
