"""Platforms as `--platform` takes them, `os/architecture[/variant]`, and what they match.

Names are normalised by the rules of containerd's `platforms` package: `aarch64` is `arm64`,
`x86_64` is `amd64`, `armhf` is `arm/v7`; without a variant, `arm64` means v8 and `amd64` v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import UsageError

_PLATFORM = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)?\Z", re.ASCII)

_OTHER_NAMES = {
    "i386": ("386", None),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
"""Other names of architectures -> (architecture, variant that the name implies)."""

_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}
"""Architecture -> variant -> its normal form; others are not changed."""

_USUAL = {"amd64": "v1", "arm64": "v8"}
"""Architecture -> the variant that is meant without one."""

_MOST_NAMED = 64


class _Platform(NamedTuple):
    """A platform in normal form; `variant` is "" for the usual one of its architecture."""

    system: str
    architecture: str
    variant: str


@lru_cache(4096)
def _normal(text: str) -> tuple[_Platform, bool]:
    """Return a platform in normal form, and whether it names a variant."""
    system, _, rest = text.lower().partition("/")
    architecture, _, variant = rest.partition("/")
    architecture, implied = _OTHER_NAMES.get(architecture, (architecture, None))
    is_exact = bool(variant or implied)
    variant = "" if architecture == "386" else implied or variant
    variant = _VARIANTS.get(architecture, {}).get(variant, variant)
    return _Platform("darwin" if system == "macos" else system, architecture, variant), is_exact


def normal(platform: str) -> str:
    """Return a platform in normal form, in which equal platforms are equal strings.

    >>> normal("linux/arm64/v8"), normal("linux/aarch64"), normal("linux/arm"), normal("")
    ('linux/arm64', 'linux/arm64', 'linux/arm/v7', '')
    """
    return "/".join(filter(None, _normal(platform)[0]))


def check(platforms: Sequence[str]) -> tuple[str, ...]:
    """Return platforms in normal form.

    :raises UsageError: one of them is not valid.

    >>> check(["linux/aarch64", "Linux/ARM64/8", "linux/x86_64", "linux/armhf"])
    ('linux/arm64', 'linux/arm64/v8', 'linux/amd64', 'linux/arm/v7')
    """
    return tuple(map(_check, platforms))


def _check(text: str) -> str:
    if not _PLATFORM.match(text):
        raise UsageError(f"not a platform: {text!r}", "write os/architecture, such as linux/arm64")
    platform, is_exact = _normal(text)
    name = f"{platform.system}/{platform.architecture}"
    if not is_exact:
        return name
    variant = platform.variant or _USUAL.get(platform.architecture, "")
    return f"{name}/{variant}" if variant else name


def matches(platform: str, wanted: Sequence[str]) -> bool:
    """Tell whether an image of `platform` is wanted; empty: all are, no variant: any variant.

    >>> matches("linux/arm64/v8", ["linux/arm64"]), matches("linux/arm64", ["linux/arm64/v8"])
    (True, True)
    >>> matches("linux/arm64/v9", ["linux/arm64/v8"]), matches("linux/amd64", ["linux/x86_64/v1"])
    (False, True)
    """
    if not wanted:
        return True
    found, _ = _normal(platform)
    for wish in wanted:
        chosen, is_exact = _normal(wish)
        if found == chosen or (not is_exact and found[:2] == chosen[:2]):
            return True
    return False


def fewer(platforms: Iterable[str]) -> set[str]:
    """Return the first platforms by name if there are many."""
    return set(sorted(platforms)[:_MOST_NAMED])


def none_left(wanted: Sequence[str], there: Iterable[str]) -> UsageError:
    """Return the error for a run without images; its hint lists the platforms that there are."""
    names = sorted(there)
    more = ", …" if len(names) >= _MOST_NAMED else ""
    message = f"--platform leaves no image: none is for {' or '.join(wanted)}"
    return UsageError(message, f"choose from {', '.join(names)}{more}")
