"""Say numbers of things as people do."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """Return a number with the word for what it counts.

    :param things: the plural, where it is not the word and an s.

    >>> counted(1, "image"), counted(1200, "image"), counted(0, "repository", "repositories")
    ('1 image', '1,200 images', '0 repositories')
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
