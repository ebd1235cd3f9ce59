"""Which tags are the newest."""

from __future__ import annotations

import re
from typing import Any

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
