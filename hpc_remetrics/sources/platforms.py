"""Platforms as `--platform` writes them, `os/architecture[/variant]`, and what they match."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import UsageError

_PLATFORM = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)?\Z", re.ASCII)


def check(platforms: Sequence[str]) -> tuple[str, ...]:
    """Return the platforms asked for, in lower case; `UsageError` names one that can't be."""
    for platform in platforms:
        if not _PLATFORM.match(platform):
            raise UsageError(f"not a platform: {platform!r}", "write os/architecture, such as linux/arm64")
    return tuple(platform.lower() for platform in platforms)


def matches(platform: str, wanted: Sequence[str]) -> bool:
    """Tell whether an image of `platform` was asked for; no wish is any platform, no variant any variant.

    >>> matches("linux/arm64/v8", ["linux/arm64"]), matches("linux/arm64", ["linux/arm64/v8"])
    (True, False)
    """
    if not wanted:
        return True
    platform = platform.lower()
    return any(platform == wish or (wish.count("/") == 1 and platform.startswith(wish + "/")) for wish in wanted)
