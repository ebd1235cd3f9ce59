"""When to ask again: what a registry's answer says, or growing waits of chance length."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping

from ..errors import RegistryError

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 528), 529, 530})
"""Statuses that another try may not meet again; from 520 on those of content delivery networks."""

_FIRST, _GROWTH, _LONGEST = 0.2, 4, 30.0
_UNIX_TIMES = 10**9
"""From here on a number is a time and not a count of seconds."""


class PassingError(RegistryError):
    """Something went wrong that another try may not meet again.

    :param wait: seconds that the registry asks for, None if it says nothing.
    """

    def __init__(
        self, cause: str, message: str, status: int = 0, wait: float | None = None
    ) -> None:
        super().__init__(cause, message, status=status)
        self.wait = wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, None if it doesn't say: a count of seconds, a
    date, a Unix time.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after": "soon"})
    (7.0, None)
    """
    waits = [_seconds(headers.get(name, "")) for name in ("retry-after", "x-retry-after")]
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return _until_date(text)
    if not 0 <= number < 1e12:
        return None
    return max(number - time.time(), 0.0) if number >= _UNIX_TIMES else number


def _until_date(text: str) -> float | None:
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def pause_before(number: int) -> float:
    """Return the seconds to wait before another try when nobody says: growing with `number`, half
    of it chance."""
    longest = min(_FIRST * _GROWTH ** (number - 1), _LONGEST)
    return longest * random.uniform(0.5, 1.0)
