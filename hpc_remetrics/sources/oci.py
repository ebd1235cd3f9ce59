"""An OCI image layout: `index.json` names the manifests, `blobs/sha256/HEX` holds every blob."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import SourceError
from ..records import Digest
from . import documents
from .archive import Archive
from .base import Extent, Root
from .local import LISTING_BYTES, Files, LocalSource

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"

ORIGINAL = "hpc-remetrics.original."
"""How annotations begin that `download` gives to an entry which it translated: `type`, `digest` and
`size` follow."""


class OciSource(LocalSource):
    """The images of an OCI layout in a folder or an archive.

    :param reference: what the user wrote.
    :param ref: a name or a digest that stands in `index.json`; "" for all that is there.
    """

    def __init__(self, reference: str, files: Files, ref: str = "") -> None:
        self.reference = reference
        # Docker saves the platforms that it has, and an index that names all of them.
        self.is_selection = isinstance(files, Archive)
        self._files = files
        self._ref = ref.removeprefix("@")

    def roots(self) -> Iterator[Root]:
        entries = self._entries()
        chosen = [entry for entry in entries if not self._ref or self._ref in _names(entry)]
        if self._ref and not chosen:
            raise SourceError(f"{self._files.place} has no image {self._ref!r}", _offer(entries))
        for entry in chosen:
            yield Root(self._name(entry), descriptor=self._original(entry) or entry)

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        return self._files.find(f"blobs/sha256/{digest.hex}")

    def _entries(self) -> list[Any]:
        """Return the descriptors in `index.json`, whatever they are."""
        data = self._files.read("index.json", LISTING_BYTES)
        try:
            # A null would mean "no descriptor" to whoever walks the roots.
            return [
                {} if entry is None else entry
                for entry in documents.get_list(documents.parse(data), "manifests")
            ]
        except documents.Malformed as error:
            raise SourceError(f"{self._files.place}: index.json is no OCI index: {error}") from None

    def _original(self, entry: Any) -> dict[str, Any] | None:
        """Return the descriptor of what an entry was translated from, if that is here."""
        annotations = _annotations(entry)
        media_type, digest, size = (
            annotations.get(f"{ORIGINAL}{name}", "") for name in ("type", "digest", "size")
        )
        try:
            is_here = self.find(Digest.parse(digest)) is not None
        except ValueError:
            return None
        found = {
            "mediaType": media_type,
            "digest": digest,
            "size": int(size) if size.isdecimal() else None,
        }
        return {**found, "platform": documents.get(entry, "platform")} if is_here else None

    def _name(self, entry: Any) -> str:
        annotations = _annotations(entry)
        digest = documents.get(entry, "digest") if isinstance(entry, dict) else ""
        return (
            annotations.get(_CONTAINERD_NAME)
            or annotations.get(_REF_NAME)
            or f"{self._files.name}@{digest}"
        )


def _annotations(entry: Any) -> dict[str, str]:
    """Return the annotations that are text."""
    annotations = documents.get(entry, "annotations") if isinstance(entry, dict) else None
    if not isinstance(annotations, dict):
        return {}
    return {key: value for key, value in annotations.items() if isinstance(value, str)}


def _names(entry: Any) -> set[str]:
    """Return what an entry can be chosen by."""
    annotations = _annotations(entry)
    digest = str(documents.get(entry, "digest")) if isinstance(entry, dict) else ""
    return {
        name
        for name in (annotations.get(_REF_NAME), annotations.get(_CONTAINERD_NAME), digest)
        if name
    }


def _offer(entries: list[Any]) -> str:
    names = sorted(
        {
            documents.shown(name)
            for entry in entries
            for name in _names(entry)
            if "sha256:" not in name
        }
    )
    return (
        f"it has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
        if names
        else "its images have no names"
    )
