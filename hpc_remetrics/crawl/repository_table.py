"""From the rows of the journal to the list: sorted, each repository once, the newest tags.

A journal may hold more rows than memory, so lines are sorted in runs on disk and merged:

    (time, row) -> `NAME\tTIME\tJSON` -> sort -> last line of each name -> `PULLS\t…` -> sort
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..files.sorted_lines import SortedLines
from ..sources.repositories import Repository

_MOST = 10**19 - 1
"""Above any number of pulls: `_MOST - pulls` sorts the most pulls first."""


def by_pulls(
    seen: Iterable[tuple[float, list[Any]]], registry: str, directory: Path
) -> Iterator[Repository]:
    """Yield each repository once, in its latest state, most pulls first, then by name.

    :param seen: (Unix time, [name, stars, pulls, official] or [name]) in any order.
    :param registry: the host of all of them.
    :param directory: directory for sorted runs.
    """
    lines = SortedLines(directory, (_line(time, row) for time, row in seen))
    for line in SortedLines(directory, map(_by_pulls, _last_of_each(lines))):
        yield _repository(line, registry)


def _line(time: float, row: list[Any]) -> str:
    # No name has a character below the tab, so lines are sorted by name first.
    return f"{row[0]}\t{time:020.6f}\t{json.dumps(row[1:])}"


def _last_of_each(lines: Iterable[str]) -> Iterator[str]:
    """Yield the last of adjacent lines that begin with the same name."""
    last = ""
    last_name = ""
    for line in lines:
        name = line.partition("\t")[0]
        if last and name != last_name:
            yield last
        last = line
        last_name = name
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
    """Return a Unix time in ISO 8601, UTC.

    >>> iso_time(1764038400.0)
    '2025-11-25T02:40:00Z'
    """
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


_NUMBER = re.compile(r"(\d+)")


def newest(rows: list[list[Any]], count: int) -> list[list[Any]]:
    """Return the newest tags: by the time of their push, where the listing states it.

    Without times (a registry's `tags/list`): `latest` first, then by the numbers in the tags,
    highest first.

    :param rows: [tag, digest, bytes, updated].
    :param count: number of rows to return at most.

    >>> rows = [[tag, "", None, ""] for tag in ("1.9", "latest", "1.10", "edge")]
    >>> [row[0] for row in newest(rows, 3)]
    ['latest', '1.10', '1.9']
    """
    return sorted(rows, key=_age, reverse=True)[:count]


def _age(row: list[Any]) -> tuple[Any, ...]:
    tag = row[0]
    pieces = _NUMBER.split(tag)
    # Every second piece is a number. A tag without a number at its beginning counts as older.
    parts = tuple(
        (int(piece), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)
    )
    return row[3], tag == "latest", pieces[0] in ("", "v"), parts
