"""Everything that a manifest or an index refers to, attestations and artifacts too, for a copy."""

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

    :param kind: as `sources.manifests.kind_of` returns it.
    :param manifests: entries for manifests and indexes, as JSON.
    :param blobs: config and layers, without foreign layers.
    :param config: the config among them.
    """

    kind: str
    manifests: tuple[dict[str, Any], ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    config: Descriptor | None = None


def references(data: bytes, media_type: str, wanted: tuple[str, ...] = ()) -> References:
    """Return the references in a manifest or an index.

    :param media_type: as its descriptor or its registry states it.
    :param wanted: platforms (in lower case) to take of an index, besides entries without a
        platform; empty: all.
    :raises Malformed: it is not a manifest or index.
    """
    value = documents.parse(data)
    kind = kind_of(value, media_type)
    if kind == "index":
        return References(kind, tuple(_children(value, wanted)))
    if kind == "docker_schema1":
        return References(
            kind, blobs=tuple(Descriptor(text, -1, "") for text in schema1.layer_digests(value))
        )
    # Blobs of an OCI artifact stand where an image has its layers.
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
    """Return the entries of an index for the wanted platforms, and those without a platform."""
    found = []
    for child in documents.get_list(value, "manifests"):
        descriptor = Descriptor.parse(child)
        if not descriptor.platform or platforms.matches(descriptor.platform, wanted):
            found.append(child)
    return found


def _is_here(part: Descriptor) -> bool:
    return not (part.has_urls or part.media_type.startswith(FOREIGN_PREFIXES))


def digest_of(descriptor: Descriptor) -> Digest:
    """Return a descriptor's digest.

    :raises Malformed: it is not a SHA-256 digest.
    """
    try:
        return Digest.parse(descriptor.digest)
    except ValueError as error:
        raise Malformed(str(error)) from None
