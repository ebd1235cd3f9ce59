"""An OCI image layout: `index.json` names the manifests, `blobs/sha256/HEX` holds every blob."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..records import Digest
from . import documents
from .archive import Archive
from .base import Extent, NamedManifest
from .dates import push_time
from .local import LISTING_BYTES, DirectoryTree, FileTree, LocalSource

if TYPE_CHECKING:
    from ..registry.registries import Registries

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"

PUSHED = "hpc-remetrics.pushed"
"""Annotation of an entry with the date at which its tag was pushed last."""

ORIGINAL = "hpc-remetrics.original."
"""Prefix of the annotations `type`, `digest` and `size` of an entry that `download` translated."""


class OciSource(LocalSource):
    """The images of an OCI layout.

    :param reference: what the user wrote.
    :param ref: a name or a digest in `index.json`; "" for all images.
    """

    form = "oci:DIR[:REF]"
    summary = "an OCI image layout"
    has_ref = True

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> OciSource:
        path, ref = cls.existing(reference, rest)
        return cls(reference, DirectoryTree(path), ref)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        has_index = (path / "index.json").exists() and (path / "blobs").exists()
        return has_index or (path / "oci-layout").exists()

    def __init__(self, reference: str, files: FileTree, ref: str = "") -> None:
        self.reference = reference
        # An archive of `docker save` holds some platforms, and an index that names all of them.
        self.is_selection = isinstance(files, Archive)
        self._files = files
        self._ref = ref.removeprefix("@")

    def named_manifests(self) -> Iterator[NamedManifest]:
        entries = self._entries()
        chosen = [entry for entry in entries if not self._ref or self._ref in _names(entry)]
        if self._ref and not chosen:
            raise SourceError(f"{self._files.path} has no image {self._ref!r}", _offer(entries))
        for entry in chosen:
            descriptor = self._original(entry) or entry
            pushed = push_time(_annotations(entry).get(PUSHED, ""))
            yield NamedManifest(self._name(entry), descriptor=descriptor, pushed=pushed)

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        return self._files.find(f"blobs/sha256/{digest.hex}")

    def _entries(self) -> list[Any]:
        """Return the descriptors in `index.json`, whatever they are."""
        data = self._files.read("index.json", LISTING_BYTES)
        try:
            entries = documents.get_list(documents.parse(data), "manifests")
        except documents.Malformed as error:
            message = f"{self._files.path}: index.json is not an OCI index: {error}"
            raise SourceError(message) from None
        # None would mean "no descriptor" in a `NamedManifest`.
        return [{} if entry is None else entry for entry in entries]

    def _original(self, entry: Any) -> dict[str, Any] | None:
        """Return the descriptor of the Docker manifest that an entry is a translation of."""
        annotations = _annotations(entry)
        digest = annotations.get(f"{ORIGINAL}digest", "")
        size = annotations.get(f"{ORIGINAL}size", "")
        try:
            is_here = self.find(Digest.parse(digest)) is not None
        except ValueError:
            return None
        if not is_here:
            return None
        return {
            "mediaType": annotations.get(f"{ORIGINAL}type", ""),
            "digest": digest,
            "size": int(size) if size.isdecimal() else None,
            "platform": documents.get(entry, "platform"),
        }

    def _name(self, entry: Any) -> str:
        annotations = _annotations(entry)
        digest = documents.get(entry, "digest") if isinstance(entry, dict) else ""
        return (
            annotations.get(_CONTAINERD_NAME)
            or annotations.get(_REF_NAME)
            or f"{self._files.name}@{digest}"
        )


class OciArchiveSource(OciSource):
    """The images of an OCI layout in a tar archive."""

    form = "oci-archive:FILE[:REF]"
    summary = "the same in a tar"
    path_kind = "file"

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> OciSource:
        path, ref = cls.existing(reference, rest)
        return cls(reference, Archive(path), ref)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        if not path.is_file():
            return False
        members = Archive(path).members
        # `docker save` writes both forms since version 25.
        return "oci-layout" in members and "manifest.json" not in members


def _annotations(entry: Any) -> dict[str, str]:
    """Return the annotations whose values are strings."""
    annotations = documents.get(entry, "annotations") if isinstance(entry, dict) else None
    if not isinstance(annotations, dict):
        return {}
    return {key: value for key, value in annotations.items() if isinstance(value, str)}


def _names(entry: Any) -> set[str]:
    """Return the names and the digest by which an entry can be chosen."""
    annotations = _annotations(entry)
    digest = str(documents.get(entry, "digest")) if isinstance(entry, dict) else ""
    names = (annotations.get(_REF_NAME), annotations.get(_CONTAINERD_NAME), digest)
    return {name for name in names if name}


def _offer(entries: list[Any]) -> str:
    """Return the hint that lists the names in an index."""
    names = {name for entry in entries for name in _names(entry) if "sha256:" not in name}
    if not names:
        return "its images have no names"
    shown = sorted(map(documents.shown, names))
    return f"it has {', '.join(shown[:8])}{' …' if len(shown) > 8 else ''}"
