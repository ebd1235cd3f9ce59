"""`analyze --keep`: store what comes from registries in an OCI layout during the run.

A source at a registry is wrapped by `KeepingSource`, which stores manifests and configs as they are
read, and layers as they are fetched; layers are then read in the layout. What the layout has is not
fetched again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import BlobError, OutputError, RegistryError
from ..files.lock import OutputLock
from ..files.writing import remove
from ..records import Catalog, Digest, Image, Layer
from ..sources.base import Extent, NamedManifest, Source
from ..sources.dates import push_date
from ..sources.documents import Malformed
from ..sources.manifests import DOCKER_MANIFEST, OCI_MANIFEST
from ..sources.oci import PUSHED
from .descriptors import digest_of, references
from .docker_to_oci import to_oci
from .image_layout import REF_NAME, Layout, name_in

_MEDIA_TYPES = {"oci": OCI_MANIFEST, "docker_schema2": DOCKER_MANIFEST}
"""Media types of the manifests that other tools can read in a layout."""


class KeepingSource(Source):
    """A source at a registry whose manifests and blobs are stored in a layout."""

    is_remote = keeps = True

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source, self._layout = source, layout
        self.reference, self.origin = source.reference, source.origin

    def named_manifests(self) -> Iterator[NamedManifest]:
        return self._source.named_manifests()

    def enter(self, named: NamedManifest) -> tuple[NamedManifest, Source]:
        named, entered = self._source.enter(named)
        self._keep(named.manifest)
        return named, KeepingSource(entered, self._layout)

    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        return self._source.open(digest, offset)

    def locate(self, digest: Digest, size: int = -1) -> Extent | None:
        if not self._layout.has(digest, size):
            return None
        path = self._layout.blob(digest)
        return Extent(path, 0, path.stat().st_size)

    def fetch(self, layer: Layer, path: Path) -> None:
        fetch_into(self._layout, layer.digest, lambda partial: self._source.fetch(layer, partial))

    def measure(self, layer: Layer) -> int:
        return self._source.measure(layer)

    def holds(self, layer: Layer) -> bool:
        return self._source.holds(layer)

    def size_of(self, digest: Digest) -> int:
        return self._source.size_of(digest)

    def read_manifest(self, digest: Digest, limit: int) -> bytes:
        return self._keep(self._source.read_manifest(digest, limit))

    def read(self, digest: Digest, limit: int) -> bytes:
        return self._keep(self._source.read(digest, limit))

    def _keep(self, data: bytes) -> bytes:
        self._layout.keep_bytes(Digest(hashlib.sha256(data).digest()), data)
        return data


def fetch_into(layout: Layout, digest: Digest, fetch: Callable[[Path], Any]) -> None:
    """Fetch a blob into a layout, continuing its partial file.

    :param fetch: fetches the blob into a path and verifies it.
    :raises RegistryError: it is not available.
    :raises OutputError: the layout can't be written.
    """
    try:
        fetch(layout.partial(digest))
    except RegistryError as error:
        if error.cause in ("digest_mismatch", "size_mismatch", "limit_size"):
            remove(layout.partial(digest))
        raise
    except BlobError as error:
        hint = "free some space and run the command again, or choose another directory"
        raise OutputError(str(error), hint) from None
    layout.keep(digest)


class Keeping:
    """The lock and the index of a run's layout, on rank 0.

    :raises OutputError: it can't be written, or is not a layout.
    :raises OutputLockedError: another job holds it.
    """

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory)
        self._lock = OutputLock(directory)
        try:
            self.layout.prepare()
        except BaseException:
            self._lock.undo()
            raise

    def __enter__(self) -> Keeping:
        self._lock.keep_beating()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._lock.__exit__(kind, error, trace)

    def heartbeat(self) -> None:
        self._lock.heartbeat()

    def write_index(self, catalog: Catalog) -> int:
        """Write the complete images to index.json; return the number of incomplete ones."""
        own = [entry for image in catalog.images if (entry := self._entry(image))]
        names = set(map(name_in, own))
        others = [entry for entry in self.layout.read_index() if name_in(entry) not in names]
        self.layout.write_index([*others, *own])
        return len(catalog.images) - len(own)

    def _entry(self, image: Image) -> dict[str, Any] | None:
        """Return the index entry of an image, None if a blob of it is missing."""
        # Check that all its blobs are in the layout.
        media_type = _MEDIA_TYPES.get(image.manifest_type)
        if media_type is None or not self.layout.has(image.digest, -1):
            return None
        try:
            data = self.layout.blob(image.digest).read_bytes()
            blobs = references(data, media_type).blobs
            if not all(self.layout.has(digest_of(blob), blob.size) for blob in blobs):
                return None
        except (Malformed, OSError):
            return None

        # Describe the manifest, in OCI's terms where it is Docker's.
        entry = to_oci(
            self.layout, {"mediaType": media_type, "digest": str(image.digest), "size": len(data)}
        )

        # Add the image's name, the date of its push and its platform.
        named = {REF_NAME: image.name, **entry.get("annotations", {})}
        if image.pushed is not None:
            named[PUSHED] = push_date(image.pushed)
        entry["annotations"] = named
        if image.platform:
            entry["platform"] = dict(
                zip(("os", "architecture", "variant"), image.platform.split("/"), strict=False)
            )
        return entry
