"""What a crawl will cost, in words: requests, what the host says of its limits, and the time that
follows."""

from __future__ import annotations

import time

from ..progress import rough_time
from ..wording import counted


def rate_of(per_second: float, limit: tuple[int, int, float] | None, now: float) -> float:
    """Return the requests a second that a crawl can count on, 0.0 if nothing bounds them.

    :param per_second: what the user allows; 0: all.
    :param limit: (requests, those left, Unix time when all are back), as the host says.

    >>> rate_of(0, (180, 180, 1060.0), 1000.0), rate_of(2, (180, 180, 1060.0), 1000.0), rate_of(5, None, 0)
    (3.0, 2, 5)
    """
    stated = limit[0] / max(limit[2] - now, 1.0) if limit else 0.0
    return min(filter(None, (per_second, stated)), default=0.0)


def in_words(requests: int, per_second: float, limit: tuple[int, int, float] | None) -> str:
    """Return the cost of so many requests."""
    now = time.time()
    rate = rate_of(per_second, limit, now)
    text = counted(requests, "request")
    text += (
        f" at {rate:.3g} a second: {rough_time(requests / rate)}"
        if rate
        else ", as fast as they go"
    )
    if limit:
        text += f"; the host allows {limit[0]:,}, {limit[1]:,} are left for the next {max(limit[2] - now, 0):.0f} s"
    else:
        text += "; the host states no limit"
    return text
