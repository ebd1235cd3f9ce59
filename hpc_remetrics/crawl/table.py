"""From what the journal holds to the list: each repository once, as it was seen last, by pulls."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..sources.repositories import Repository
from .external_sort import sorted_lines

_MOST = 10**19 - 1
"""Above any number of pulls, so that what is subtracted from it sorts the most first."""


def by_pulls(
    seen: Iterable[tuple[float, list[Any]]], registry: str, folder: Path
) -> Iterator[Repository]:
    """Yield each repository once, as it was seen last, most pulls first, then by name.

    :param seen: (Unix time, [name, stars, pulls, official] or [name]) in any order.
    :param folder: for what doesn't fit into memory.
    """
    lines = sorted_lines((_line(time, row) for time, row in seen), folder)
    for line in sorted_lines(map(_by_pulls, _last_of_each(lines)), folder):
        yield _repository(line, registry)


def _line(time: float, row: list[Any]) -> str:
    # A name has no character below the tab, so that lines sort by name first.
    return f"{row[0]}\t{time:020.6f}\t{json.dumps(row[1:])}"


def _last_of_each(lines: Iterable[str]) -> Iterator[str]:
    """Yield the last of adjacent lines that begin with the same name."""
    last, last_name = "", ""
    for line in lines:
        name = line.partition("\t")[0]
        if last and name != last_name:
            yield last
        last, last_name = line, name
    if last:
        yield last


def _by_pulls(line: str) -> str:
    values = json.loads(line.split("\t", 2)[2])
    pulls = values[1] if len(values) > 1 and values[1] is not None else -1
    return f"{_MOST - pulls:020}\t{line}"


def _repository(line: str, registry: str) -> Repository:
    _, name, time, values = line.split("\t", 3)
    stars, pulls, official = json.loads(values) or (None, None, None)
    return Repository(
        stars, pulls, name, registry, official=official, crawled=iso_time(float(time))
    )


def iso_time(seconds: float) -> str:
    """Return a Unix time as ISO 8601 writes it, in UTC.

    >>> iso_time(1764038400.0)
    '2025-11-25T02:40:00Z'
    """
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
