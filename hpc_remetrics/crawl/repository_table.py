"""From what the journal holds to the list: each repository once, as it was seen last, by pulls."""

from __future__ import annotations

import contextlib
import datetime
import heapq
import itertools
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ..sources.repositories import Repository

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


RUN = 500_000
"""Lines that are sorted at once, some 100 MB."""


def sorted_lines(lines: Iterable[str], folder: Path, run: int = RUN) -> Iterator[str]:
    """Yield lines (without their ends) in order; `folder` holds what doesn't fit into memory."""
    source = iter(lines)
    with contextlib.ExitStack() as stack:
        runs: list[TextIO] = []
        while chunk := sorted(itertools.islice(source, run)):
            if len(chunk) < run and not runs:
                yield from chunk
                return
            file = stack.enter_context(
                tempfile.TemporaryFile("w+", dir=folder, encoding="utf-8", newline="\n")
            )
            file.writelines(f"{line}\n" for line in chunk)
            file.seek(0)
            runs.append(file)
        for line in heapq.merge(*runs):
            yield line[:-1]


_NUMBER = re.compile(r"(\d+)")


def newest(rows: list[list[Any]], count: int) -> list[list[Any]]:
    """Return the newest of [tag, digest, bytes, updated]: by the time of the push where a listing
    says it.

    Where it doesn't (a registry's `tags/list`), `latest` first, then by the numbers in the tags,
    highest first.

    >>> [row[0] for row in newest([[tag, "", None, ""] for tag in ("1.9", "latest", "1.10", "edge")], 3)]
    ['latest', '1.10', '1.9']
    """
    return sorted(rows, key=_age, reverse=True)[:count]


def _age(row: list[Any]) -> tuple[Any, ...]:
    tag = row[0]
    pieces = _NUMBER.split(tag)
    # Every other piece is a number; a tag that begins with none is older than one that does.
    parts = tuple(
        (int(piece), "") if place % 2 else (-1, piece) for place, piece in enumerate(pieces)
    )
    return row[3], tag == "latest", pieces[0] in ("", "v"), parts
