"""Counts in messages: numbers with the singular or plural of what they count."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """Return a number with the word for what it counts.

    :param things: the plural, where it is not the word and an s.

    >>> counted(1, "image"), counted(1200, "image"), counted(0, "repository", "repositories")
    ('1 image', '1,200 images', '0 repositories')
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def verb(number: int, one: str, many: str) -> str:
    """Return the form of a verb that goes with a number of things.

    >>> verb(1, "has", "have"), verb(0, "is", "are")
    ('has', 'are')
    """
    return one if number == 1 else many
