"""A folder as `skopeo copy … dir:` writes it: `manifest.json`, `version`, blobs named by their bare
hex."""

from __future__ import annotations

from collections.abc import Iterator

from ..records import Digest
from .base import Extent, Root
from .local import LISTING_BYTES, Files, LocalSource

# Layers, configs and, of a copy with all its platforms, manifests; the last is what the format's
# first version wrote.
_SUFFIXES = ("", ".manifest.json", ".tar")


class DirectorySource(LocalSource):
    """The one image of such a folder (or the several of an index), named after the folder."""

    def __init__(self, reference: str, files: Files) -> None:
        self.reference = reference
        self._files = files

    def roots(self) -> Iterator[Root]:
        # Not `read`: a manifest that is too long is for the walk to count apart.
        yield Root(self._files.name, self._files.head("manifest.json", LISTING_BYTES))

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        for suffix in _SUFFIXES:
            if extent := self._files.find(digest.hex + suffix):
                return extent
        return None
