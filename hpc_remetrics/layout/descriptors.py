"""What a manifest or an index refers to: all of it, since a copy must be whole, attestations and
artifacts too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..records import Digest
from ..sources import documents, platforms, schema1
from ..sources.documents import Descriptor, Malformed
from ..sources.manifests import FOREIGN_PREFIXES, kind_of


@dataclass(frozen=True)
class References:
    """The descriptors in one document.

    :param kind: what `sources.manifests.kind_of` calls it.
    :param manifests: manifests and indexes, as their JSON says them.
    :param blobs: config and layers, without those that are kept elsewhere.
    :param config: the one of them that is a config, which is small.
    """

    kind: str
    manifests: tuple[dict[str, Any], ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    config: Descriptor | None = None


def references(data: bytes, media_type: str, wanted: tuple[str, ...] = ()) -> References:
    """Read a manifest or an index; `Malformed` if it is none.

    :param media_type: as its descriptor or its registry says.
    :param wanted: platforms (in lower case) whose manifests of an index are taken, and those of
        none; empty: all.
    """
    value = documents.parse(data)
    kind = kind_of(value, media_type)
    if kind == "index":
        return References(kind, tuple(_children(value, wanted)))
    if kind == "docker_schema1":
        return References(
            kind, blobs=tuple(Descriptor(text, -1, "") for text in schema1.layer_digests(value))
        )
    config = documents.get_object(value, "config")
    parts = [
        *([config] if config else []),
        *documents.get_list(value, "layers"),
        *documents.get_list(value, "blobs"),
    ]
    blobs = tuple(filter(_is_here, map(Descriptor.parse, parts)))
    has_config = config and _is_here(Descriptor.parse(config))
    return References(kind, blobs=blobs, config=blobs[0] if has_config else None)


def _children(value: dict[str, Any], wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the descriptors in an index that are for the wanted platforms, or for none that it
    says."""
    found = []
    for child in documents.get_list(value, "manifests"):
        descriptor = Descriptor.parse(child)
        if not descriptor.platform or platforms.matches(descriptor.platform, wanted):
            found.append(child)
    return found


def _is_here(part: Descriptor) -> bool:
    return not (part.has_urls or part.media_type.startswith(FOREIGN_PREFIXES))


def digest_of(descriptor: Descriptor) -> Digest:
    """Return a descriptor's digest; `Malformed` if it is none that this program knows."""
    try:
        return Digest.parse(descriptor.digest)
    except ValueError as error:
        raise Malformed(str(error)) from None
