"""What `download` is asked to do, and which images that means, most pulls first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SourceError
from ..limits import Limits
from ..registry.access import Access
from ..registry.reference import Reference
from ..sources.repositories import read_repositories


@dataclass(frozen=True)
class DownloadOptions:
    """What to download, and where to.

    :param wishes: lists of repositories (files), and names of images.
    :param platforms: in lower case; empty: all.
    :param layers: the 2017 tool's list of finished layers, read and appended to; `repositories`: of
        repositories.
    :param update: ask for finished images again, in case their tags have moved.
    :param estimate: say what it would cost, and end.
    :param threads: of each rank.
    """

    wishes: tuple[str, ...]
    output: Path
    platforms: tuple[str, ...] = ()
    layers: Path | None = None
    repositories: Path | None = None
    update: bool = False
    estimate: bool = False
    threads: int = 4
    quiet: bool = False
    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Wish:
    """An image that is to be had, and what the list says of its size (-1: nothing)."""

    image: Reference
    pulls: int = -1
    bytes: int = -1


def read_wishes(texts: tuple[str, ...]) -> list[Wish]:
    """Return the images that are meant, each once, most pulls first; what has no pulls keeps its
    place behind.

    :raises UsageError: a name can't be one.
    :raises SourceError: a list can't be read.
    """
    wishes = {str(wish.image): wish for text in texts for wish in _wishes(text)}
    return sorted(wishes.values(), key=lambda wish: -wish.pulls)


def _wishes(text: str) -> Iterator[Wish]:
    """Read one argument: a file is a list, all else a name."""
    path = Path(text)
    if path.is_file():
        for row in read_repositories(path):
            image = Reference.parse(row.reference)
            yield Wish(
                image,
                -1 if row.pulls is None else row.pulls,
                -1 if row.bytes is None else row.bytes,
            )
    elif text.endswith(".csv"):
        raise SourceError(f"there is no {path.absolute()}")
    else:
        yield Wish(Reference.parse(text))
