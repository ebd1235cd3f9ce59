"""Write a source so that it means the same from every directory: as it is kept in a dataset's
`/run/sources`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError
from ..registry.reference import Reference

_WITH_REF = ("oci", "oci-archive", "docker-archive")
"""Transports whose path may be followed by the name of one image."""

_REMOTE = "docker"


def absolute(reference: str) -> str:
    """Return a reference with an absolute path, or with host, name and tag in full.

    >>> absolute("docker://redis"), absolute("oci:/data/../mirror:redis:7"), absolute("demo:")
    ('docker://docker.io/library/redis:latest', 'oci:/mirror:redis:7', 'demo:')
    """
    transport, _, rest = reference.partition(":")
    if transport == _REMOTE:
        try:
            return f"docker://{Reference.parse(reference)}"
        except UsageError:
            return reference
    if not rest:
        return reference
    path, ref = _split(transport, rest)
    return f"{transport}:{_full(path)}" + (f":{ref}" if ref else "")


def whole(reference: str) -> str:
    """Return the reference to all images of the place that an absolute reference names one image
    of.

    >>> whole("oci:/mirror:redis:7"), whole("dir:/a:b")
    ('oci:/mirror', 'dir:/a:b')
    """
    transport, _, rest = reference.partition(":")
    return (
        f"{transport}:{_split(transport, rest)[0]}" if rest and transport != _REMOTE else reference
    )


def input_paths(references: Iterable[str]) -> list[Path]:
    """Return the files and directories that sources are read from."""
    found = []
    for reference in references:
        transport, _, rest = reference.partition(":")
        if rest and transport != _REMOTE:
            found.append(Path(_full(_split(transport, rest)[0])))
    return found


def divide(rest: str) -> tuple[str, str]:
    """Divide `PATH[:REF]`, either of which may hold colons: the longest path that exists wins, else
    the shortest."""
    if os.path.exists(_full(rest)):
        return rest, ""
    colons = [place for place, letter in enumerate(rest) if letter == ":"]
    for place in reversed(colons):
        if os.path.exists(_full(rest[:place])):
            return rest[:place], rest[place + 1 :]
    path, _, ref = rest.partition(":")
    return path, ref


def _split(transport: str, rest: str) -> tuple[str, str]:
    return divide(rest) if transport in _WITH_REF else (rest, "")


def _full(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
