"""The options of `download` and `fetch`; the images that a download asks for, most pulls first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import (
    AccessOptions,
    JobOptions,
    LimitOptions,
    PlatformOptions,
    SettingsOptions,
    TalkOptions,
    ThreadOptions,
    force_option,
)
from ..errors import SourceError
from ..options import PATH, STRING, STRINGS, SWITCH, argument, choice_of, option
from ..registry.reference import Reference
from ..sources import platforms
from ..sources.dates import push_time
from ..sources.repositories import read_repositories

STDOUT = Path("-")
"""The output of `fetch` that is no file."""


@dataclass(frozen=True, kw_only=True)
class FetchOptions(AccessOptions, SettingsOptions):
    """The options of `fetch`."""

    kind: str = argument(
        "KIND", value=choice_of("manifest", "blob", "config"), help="manifest, blob or config"
    )
    reference: str = argument(
        "HOST/NAME[:TAG|@DIGEST]", value=STRING, help="the image; for a blob @DIGEST of the blob"
    )
    output: Path = option(
        "-o",
        "--output",
        value=PATH,
        default=STDOUT,
        key=False,
        metavar="FILE",
        help="file to write; -: the standard output",
    )
    platforms: tuple[str, ...] = option(
        "--platform",
        value=STRINGS,
        default=(),
        key=False,
        metavar="OS/ARCH[/VARIANT]",
        help="take the config of the image for this platform, of an index",
        default_text="the only image",
    )
    force: bool = force_option("a file that has other bytes")


def _list_option(short: str, long: str, things: str, item: str) -> Any:
    """Define an option that names a list of the 2017 tool."""
    return option(
        short,
        long,
        value=PATH,
        key=False,
        metavar="FILE",
        help=f"file of finished {things}, {item} a line: they are left out, and new ones appended",
    )


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(
    PlatformOptions,
    ThreadOptions,
    LimitOptions,
    AccessOptions,
    JobOptions,
    SettingsOptions,
    TalkOptions,
):
    """The options of `download`: which images, where to, what is there already.

    `platforms` are in normal form.
    """

    wishes: tuple[str, ...] = argument(
        "LIST.csv|NAME", value=STRINGS, help="a list of repositories, or an image"
    )
    output: Path = option(
        "-o",
        "--output",
        value=PATH,
        default=Path("mirror"),
        key=False,
        metavar="DIR",
        help="the OCI image layout to write",
    )
    layers: Path | None = _list_option("-l", "--layers", "layers", "a digest")
    repositories: Path | None = _list_option("-r", "--repositories", "repositories", "a name")
    update: bool = option(
        "--update",
        value=SWITCH,
        default=False,
        key=False,
        help="check whether the tags of finished images have moved",
    )
    estimate: bool = option(
        "--estimate",
        value=SWITCH,
        default=False,
        key=False,
        help="print the estimated cost and exit",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "platforms", platforms.check(self.platforms))


@dataclass(frozen=True)
class Wish:
    """An image that is to be had, and what the list says of it (-1 and None: nothing).

    :ivar pushed: when its tag was pushed last, seconds since 1970.
    """

    image: Reference
    pulls: int = -1
    bytes: int = -1
    pushed: int | None = None


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
                push_time(row.updated),
            )
    elif text.endswith(".csv"):
        raise SourceError(f"there is no {path.absolute()}")
    else:
        yield Wish(Reference.parse(text))
