"""References to sources in a form that means the same from every directory.

This is how `/run/sources` of a dataset stores them. A reference whose prefix is not registered (its
package is not installed here) stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import RemetricsError
from . import SOURCES
from .base import Source


def absolute(reference: str) -> str:
    """Return a reference with an absolute path, or with host, name and tag in full.

    >>> absolute("docker://redis"), absolute("oci:/data/../mirror:redis:7"), absolute("demo:")
    ('docker://docker.io/library/redis:latest', 'oci:/mirror:redis:7', 'demo:')
    """
    source, prefix, rest = _parse(reference)
    return f"{prefix}:{source.absolute(rest)}" if source else reference


def whole(reference: str) -> str:
    """Return the reference to all images of a place, from an absolute one that may name one image.

    >>> whole("oci:/mirror:redis:7"), whole("dir:/a:b")
    ('oci:/mirror', 'dir:/a:b')
    """
    source, prefix, rest = _parse(reference)
    return f"{prefix}:{source.whole(rest)}" if source else reference


def input_paths(references: Iterable[str]) -> list[Path]:
    """Return the files and directories that sources are read from."""
    found = []
    for reference in references:
        source, _, rest = _parse(reference)
        path = source.input_path(rest) if source else None
        if path is not None:
            found.append(path)
    return found


def _parse(reference: str) -> tuple[type[Source] | None, str, str]:
    """Return the class of a reference's source, its prefix, and what follows the prefix."""
    prefix, colon, rest = reference.partition(":")
    try:
        return SOURCES.load(prefix if colon else ""), prefix, rest
    except RemetricsError:
        return None, prefix, rest
