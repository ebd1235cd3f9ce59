"""Find the source of images that a reference means: `open_source("oci:DIR")`.

A module is imported when a reference with its prefix is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import extensions
from ..errors import MissingComponentError, RemetricsError, UsageError

if TYPE_CHECKING:
    from ..registry.registries import Registries
    from .base import Source

SOURCES = extensions.Extensions(
    extensions.SOURCES,
    {
        "docker": "sources.remote:DockerSource",
        "repos": "sources.remote:ReposSource",
        "oci": "sources.oci:OciSource",
        "oci-archive": "sources.oci:OciArchiveSource",
        "docker-archive": "sources.docker_archive:DockerArchiveSource",
        "dir": "sources.directory:DirectorySource",
        "seed2017": "sources.seed2017:Seed2017Source",
        "demo": "sources.demo:DemoSource",
    },
)
"""Prefix of a reference -> its class, which inherits from `base.Source`."""

_FILE_ENDINGS = (".tar", ".tgz", ".gz", ".zst", ".csv", ".h5", ".json")


def open_source(reference: str, registries: Registries | None = None) -> Source:
    """Open the source that a reference names; no content is read yet.

    :param reference: `PREFIX:…`, as the registered sources write it (`source_help`).
    :param registries: HTTP clients of this process; None: new ones without options.
    :raises UsageError: the prefix is not registered, or what follows it is not valid.
    :raises SourceError: its path does not exist or is of the wrong kind.
    """
    from ..registry.registries import Registries

    prefix, colon, rest = reference.partition(":")
    try:
        source: type[Source] = SOURCES.load(prefix if colon else "")
    except UsageError:
        raise UsageError(f"not a source: {reference!r}", suggestion(reference)) from None
    return source.from_reference(reference, rest, registries or Registries())


def source_help() -> str:
    """Return a line for each registered source: how a reference is written, and what it holds."""
    return "\n".join(f"  {source.form:<25}  {source.summary}" for source in _classes())


def suggestion(text: str) -> str:
    """Return what to write in place of a text that is not a reference to a source."""
    # A path that exists and is clearly of one kind.
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if text and path.exists():
        for prefix, source in _registered():
            if _recognizes(source, path):
                return f"write {prefix}:{text}"
    # A prefix alone, or the bare name of an image.
    if text in SOURCES.names():
        return f"write {text}: and what follows it"
    if image := image_reference(text):
        return f"write {image} for an image at a registry"
    return f"write one of {', '.join(source.form for source in _classes())}"


def image_reference(text: str) -> str:
    """Return the reference to an image whose bare name was given, "" if the text is not a name.

    >>> image_reference("nginx"), image_reference("quay.io/a/b:1"), image_reference("/tmp/x")
    ('docker://nginx:latest', 'docker://quay.io/a/b:1', '')
    """
    from ..registry.reference import Reference

    is_path = text.startswith((".", "/", "~")) or text.endswith(_FILE_ENDINGS)
    if is_path or os.path.exists(os.path.expanduser(text)):
        return ""
    try:
        image = Reference.parse(f"docker://{text}")
    except UsageError:
        return ""
    is_whole = text.endswith(f":{image.tag}") or "@" in text
    return f"docker://{text}" if is_whole else f"docker://{text}:{image.tag}"


def _registered() -> Iterator[tuple[str, type[Source]]]:
    """Yield (prefix, class) of the sources that can be imported."""
    for prefix in SOURCES.names():
        try:
            yield prefix, SOURCES.load(prefix)
        except MissingComponentError:
            continue


def _classes() -> list[type[Source]]:
    return [source for _, source in _registered()]


def _recognizes(source: type[Source], path: Path) -> bool:
    """Tell whether a path is clearly of a source's kind; one that can't be read is of none."""
    try:
        return source.recognizes(path)
    except (OSError, RemetricsError):
        return False
