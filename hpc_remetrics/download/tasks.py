"""The tasks of a download, done by threads of all ranks: resolve an image, fetch a blob."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import BlobError, OutputError, RegistryError, RemetricsError
from ..files.writing import remove
from ..layout.descriptors import References, digest_of, references
from ..layout.docker_to_oci import to_oci
from ..layout.image_layout import Layout
from ..layout.keep import fetch_into
from ..limits import GiB, Limits
from ..records import Digest
from ..registry.blobs import missing_room
from ..registry.endpoint import Registry
from ..registry.reference import Reference
from ..registry.registries import Registries
from ..sources import documents, platforms
from ..sources.documents import Malformed
from ..wording import counted, verb

log = logging.getLogger(__name__)


_LONG = GiB
"""Blobs longer than this are compared with the free space first, bytes."""


@dataclass(frozen=True)
class ImageTask:
    """Resolve an image: fetch its manifests, and find the blobs that it needs.

    :param head: send a HEAD request first, since the manifest may be in the layout, or the registry
        counts GETs.
    """

    reference: Reference
    head: bool = False


@dataclass(frozen=True)
class BlobTask:
    """Fetch a blob from a repository; `size` is -1 where no descriptor states it."""

    digest: Digest
    size: int
    image: Reference


@dataclass(frozen=True)
class Failed:
    """Why a task failed: a member of `records.CAUSES`, and a sentence."""

    cause: str
    message: str


@dataclass(frozen=True)
class Resolved:
    """The result of an `ImageTask`.

    :param entries: descriptors for the index of the layout.
    :param blobs: digest -> bytes (-1: unknown) of every blob of the image but manifests.
    :param lacking: those that are not in the layout.
    :param absent: number of manifests that an index names and the registry lacks.
    :param others: platforms of an index that has no image for those asked for.
    """

    entries: tuple[dict[str, Any], ...]
    blobs: dict[Digest, int]
    lacking: tuple[Digest, ...]
    absent: int = 0
    others: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StoredBlob:
    """The result of a `BlobTask`: `length` bytes in the layout, of which `size` came just now."""

    size: int
    length: int


class Tasks:
    """Does a task; called in many threads at once. Returns None when the job was stopped.

    :param platforms: in lower case; empty: all.
    """

    def __init__(
        self,
        registries: Registries,
        layout: Layout,
        platforms: tuple[str, ...],
        limits: Limits | None = None,
    ) -> None:
        self._registries, self._layout, self._platforms = registries, layout, platforms
        self._limits = limits or Limits()

    def __call__(self, task: ImageTask | BlobTask) -> Resolved | StoredBlob | Failed | None:
        try:
            if self._registries.stopped.is_set():
                return None
            return self._resolve(task) if isinstance(task, ImageTask) else self._fetch(task)
        except Malformed as error:
            return Failed("bad_manifest", str(error))
        except BlobError as error:
            if self._registries.stopped.is_set():
                return None
            if not isinstance(error, RegistryError):
                hint = "free some space and run the command again, or choose another -o"
                raise OutputError(str(error), hint) from None
            return Failed(error.cause, str(error))
        except RemetricsError:
            raise
        except Exception as error:
            # What a registry sends may cost an image, but not end the job.
            log.exception("this is a bug of the program; please report it")
            return Failed("internal", f"{type(error).__name__}: {error}")

    def _fetch(self, task: BlobTask) -> StoredBlob:
        layout, digest = self._layout, task.digest
        if layout.has(digest, task.size):
            return StoredBlob(0, layout.blob(digest).stat().st_size)
        _check_size(digest, task.size, self._limits.layer_bytes)
        _check_room(layout, digest, task.size)
        registry = self._registries.get(task.image.host)
        fetch_into(
            layout,
            digest,
            lambda path: registry.fetch_blob(task.image.repository, digest, task.size, path),
        )
        length = layout.blob(digest).stat().st_size
        return StoredBlob(length, length)

    def _resolve(self, task: ImageTask) -> Resolved:
        registry = self._registries.get(task.reference.host)
        walk = _ImageWalk(registry, task.reference, self._layout, self._platforms, self._limits)
        # Complete the walk before the translation, which reads the manifests that it stores.
        entries = tuple(to_oci(self._layout, entry) for entry in list(walk.walk(task)))
        walk.log_absent()
        lacking = tuple(
            digest for digest, size in walk.blobs.items() if not self._layout.has(digest, size)
        )
        others = frozenset() if entries else frozenset(platforms.fewer(walk.others))
        return Resolved(entries, walk.blobs, lacking, walk.absent, others)


def _check_size(digest: Digest, size: int, limit: int) -> None:
    """Refuse a blob whose descriptor states more bytes than the limit."""
    if size > limit:
        message = f"{digest} has {size} bytes by its descriptor, more than the {limit} allowed"
        raise RegistryError("limit_size", message)


def _check_room(layout: Layout, digest: Digest, size: int) -> None:
    """Refuse a long blob that doesn't fit on the file system, and remove its partial file."""
    partial = layout.partial(digest)
    if size > _LONG and (lacking := missing_room(partial, size)):
        remove(partial)
        message = f"{digest} has {size} bytes by its descriptor, {lacking} more than are free"
        raise RegistryError("no_room", message)


class _ImageWalk:
    """Walk over the indexes and manifests of an image, and store each in the layout.

    :ivar blobs: digest -> bytes (-1: unknown) of configs and layers.
    :ivar absent: number of manifests that an index names and the registry lacks.
    :ivar others: platforms of the images in its indexes.
    """

    def __init__(
        self,
        registry: Registry,
        image: Reference,
        layout: Layout,
        platforms: tuple[str, ...],
        limits: Limits,
    ) -> None:
        self._registry = registry
        self._image = image
        self._layout = layout
        self._platforms = platforms
        self._limits = limits
        self._named: set[str] = set()
        self._seen: set[Digest] = set()
        self.blobs: dict[Digest, int] = {}
        self.absent = 0
        self._why_absent = ""
        self.others: set[str] = set()

    def walk(self, task: ImageTask) -> Iterator[dict[str, Any]]:
        """Walk over everything; yield the descriptors for the index of the layout.

        With platforms asked for, these are the manifests for them; the index names others too.

        :raises RegistryError: a document is not available.
        :raises Malformed: a document is not valid.
        """
        # Take the document that the image's name leads to.
        data, media_type = self._first_document(task)
        entry, found = self._take(data, media_type)
        if not (self._platforms and found.kind == "index"):
            yield entry

        # Go down through indexes, in the order in which they name their children.
        stack = [(child, 1) for child in reversed(found.manifests)]
        while stack:
            child, depth = stack.pop()
            if depth > self._limits.index_depth:
                most = counted(self._limits.index_depth, "index", "indexes")
                raise Malformed(f"more than {most} within each other")
            if (taken := self._child(child)) is None:
                continue
            descriptor, found = taken
            stack.extend((grandchild, depth + 1) for grandchild in reversed(found.manifests))
            if self._platforms and found.kind != "index":
                platform = documents.get(child, "platform")
                yield {**descriptor, **({"platform": platform} if platform else {})}

    def log_absent(self) -> None:
        """Log once how many manifests are missing."""
        if self.absent:
            absent = f"{counted(self.absent, 'manifest')} that {verb(self.absent, 'is', 'are')}"
            log.warning("%s names %s missing: %s", self._image, absent, self._why_absent)

    def _first_document(self, task: ImageTask) -> tuple[bytes, str]:
        """Return the document of an image's name and its media type, without a pull if possible."""
        if task.head:
            head = self._registry.head_manifest(self._image.repository, self._image.version)
            if head.digest and (data := self._kept(head.digest)):
                return data, head.media_type
        manifest = self._registry.manifest(
            self._image.repository, self._image.version, self._limits.manifest_bytes
        )
        return manifest.data, manifest.media_type

    def _kept(self, digest: Digest) -> bytes | None:
        """Return a manifest from the layout, None if it is not there."""
        try:
            data = self._layout.blob(digest).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == digest.raw else None

    def _child(self, child: dict[str, Any]) -> tuple[dict[str, Any], References] | None:
        """Take a manifest that an index names; None if it was taken before or is missing."""
        descriptor = documents.Descriptor.parse(child)
        digest = digest_of(descriptor)
        if digest in self._seen:
            return None

        # Read it from the layout, or else from the registry, where it may be missing.
        data = self._kept(digest)
        if data is None:
            try:
                data = self._registry.manifest(
                    self._image.repository, str(digest), self._limits.manifest_bytes
                ).data
            except RegistryError as error:
                if error.cause != "missing":
                    raise
                self.absent += 1
                self._why_absent = self._why_absent or str(error)
                return None
        return self._take(data, descriptor.media_type)

    def _take(self, data: bytes, media_type: str) -> tuple[dict[str, Any], References]:
        """Store a document and note its blobs; return its descriptor and its references."""
        # Check the document and all that it names before anything of it is kept.
        found = references(data, media_type, self._platforms)
        self._bound(found)
        digest = Digest(hashlib.sha256(data).digest())

        # Keep it.
        self._seen.add(digest)
        self._layout.keep_bytes(digest, data)
        if found.config:
            self._check_config(found.config)
        if self._platforms and found.kind == "index":
            self.others |= _platforms_of(data)

        # Note the size of each blob; manifests that disagree are wrong.
        for blob in found.blobs:
            blob_digest = digest_of(blob)
            known = self.blobs.setdefault(blob_digest, blob.size)
            if known < 0:
                self.blobs[blob_digest] = blob.size
            elif blob.size not in (-1, known):
                message = f"its manifests state {known} and {blob.size} bytes for {blob_digest}"
                raise RegistryError("size_mismatch", message)
        named = documents.get_media_type(documents.parse(data)) or media_type
        return {"mediaType": named, "digest": str(digest), "size": len(data)}, found

    def _check_config(self, config: documents.Descriptor) -> None:
        """Limit the size of a config as `analyze` does; fetch it here if its size is unknown."""
        digest = digest_of(config)
        _check_size(digest, config.size, self._limits.manifest_bytes)
        if config.size < 0 and not self._layout.has(digest, -1):
            data = self._registry.read_blob(
                self._image.repository, digest, self._limits.manifest_bytes
            )
            self._layout.keep_bytes(digest, data)

    def _bound(self, found: References) -> None:
        """Refuse an image with more manifests or blobs than the limits."""
        limits = self._limits
        self._named |= {str(documents.get(child, "digest")) for child in found.manifests}
        if len(self._named) > limits.index_manifests:
            most = limits.index_manifests
            raise Malformed(
                f"more than {counted(most, 'manifest')} under this name (--limit index_manifests=N)"
            )
        # The config is no layer.
        if len(found.blobs) > limits.image_layers + 1:
            most = limits.image_layers
            raise Malformed(
                f"{counted(len(found.blobs), 'blob')}, more than {most} (--limit image_layers=N)"
            )


def _platforms_of(index: bytes) -> set[str]:
    """Return the platforms of the images that an index names."""
    children = documents.get_list(documents.parse(index), "manifests")
    found = {documents.Descriptor.parse(child).platform for child in children}
    return found - {"", "unknown/unknown"}
