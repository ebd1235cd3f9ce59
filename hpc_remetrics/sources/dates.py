"""Dates of RFC 3339 as Go's `time.Time` reads them from JSON, for all years from 0 to 9999."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from functools import lru_cache

from ..records import FIRST_SECOND, LAST_SECOND

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-]\d\d):(\d\d))\Z", re.ASCII
)
_SECONDS_PER_DAY = 86400
_1970 = date(1970, 1, 1).toordinal()
_DAYS_PER_400_YEARS = 146_097
"""The calendar repeats after so many days."""


@lru_cache(1 << 14)
def parse_date(text: str) -> tuple[int, int] | None:
    """Return (seconds since 1970-01-01 UTC, nanoseconds after these), None if it is no date.

    Digits beyond nanoseconds are cut off. Leap seconds are no dates, as for Go.

    >>> parse_date("1970-01-01T01:00:00.25+01:00"), parse_date("1969-12-31T23:59:59.9Z")
    ((0, 250000000), (-1, 900000000))
    >>> parse_date("10000-01-01T00:00:00Z"), parse_date("0000-01-01T00:00:00+01:00")
    (None, None)
    """
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, zone_hours, zone_minutes = match.groups(default="0")[6:]
    if max(hour, abs(int(zone_hours))) > 23 or max(minute, second, int(zone_minutes)) > 59:
        return None
    # `datetime` has no year 0, which is like the year 400.
    try:
        days = date(year or 400, month, day).toordinal() - _1970
    except ValueError:
        return None
    if year == 0:
        days -= _DAYS_PER_400_YEARS
    zone = int(zone_hours) * 3600 + int(f"{zone_hours[0]}{zone_minutes}") * 60
    seconds = days * _SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - zone
    # A time zone may lead out of these years
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        return None
    return seconds, int(fraction[:9].ljust(9, "0"))


def push_time(text: str) -> int | None:
    """Return seconds since 1970-01-01 UTC of the push of a tag, None where no such date is there.

    >>> push_time("1970-01-01T00:01:00.5Z"), push_time("0001-01-01T00:00:00Z"), push_time("")
    (60, None, None)
    """
    found = parse_date(text)
    return found[0] if found and found[0] >= 0 else None


def push_date(seconds: int) -> str:
    """Return the date of RFC 3339 of a push, of which `push_time` is the inverse.

    >>> push_date(60)
    '1970-01-01T00:01:00Z'
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
