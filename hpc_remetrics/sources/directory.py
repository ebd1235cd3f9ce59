"""A directory as `skopeo copy … dir:` writes it: `manifest.json`, `version`, blobs named by hex."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..records import Digest
from .base import Extent, NamedManifest
from .local import LISTING_BYTES, DirectoryTree, FileTree, LocalSource

if TYPE_CHECKING:
    from ..registry.registries import Registries

_SUFFIXES = ("", ".manifest.json", ".tar")
"""Of layers and configs; of manifests in a copy of all platforms; of layers in format version 1."""


class DirectorySource(LocalSource):
    """The one image of such a directory (or the several of an index), named after it."""

    form = "dir:DIR"
    summary = "what `skopeo copy … dir:DIR` writes"

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> DirectorySource:
        path, _ = cls.existing(reference, rest)
        return cls(reference, DirectoryTree(path))

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return (path / "version").exists() and (path / "manifest.json").exists()

    def __init__(self, reference: str, files: FileTree) -> None:
        self.reference = reference
        self._files = files

    def named_manifests(self) -> Iterator[NamedManifest]:
        # Not `read`: the walk counts a manifest apart that is too long.
        yield NamedManifest(self._files.name, self._files.head("manifest.json", LISTING_BYTES))

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        for suffix in _SUFFIXES:
            if extent := self._files.find(digest.hex + suffix):
                return extent
        return None
