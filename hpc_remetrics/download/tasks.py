"""What the threads of a download do: resolve an image, bring a blob."""

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
from ..layout.keep import bring
from ..limits import GiB, Limits
from ..records import Digest
from ..registry.blobs import missing_room
from ..registry.endpoint import Registries, Registry
from ..registry.reference import Reference
from ..sources import documents, platforms
from ..sources.documents import Malformed
from ..wording import counted

log = logging.getLogger(__name__)


_LONG = GiB
"""Blobs that are longer are compared with the room that there is, bytes."""


@dataclass(frozen=True)
class ImageTask:
    """Resolve an image: bring its manifests, and say which blobs it needs.

    :param head: ask with HEAD first, since the root may be here already, or GETs are counted there.
    """

    reference: Reference
    head: bool = False


@dataclass(frozen=True)
class BlobTask:
    """Bring a blob out of a repository; `size` is -1 where no descriptor says it."""

    digest: Digest
    size: int
    image: Reference


@dataclass(frozen=True)
class Failed:
    """Why a task could not be done: a member of `records.CAUSES`, and a sentence."""

    cause: str
    message: str


@dataclass(frozen=True)
class Resolved:
    """What an image is.

    :param roots: descriptors for the layout's index.
    :param blobs: digest -> size of every blob it refers to, manifests left out.
    :param lacking: those that are not in the layout.
    :param absent: manifests that an index names and the registry doesn't have.
    :param others: platforms that an index has images for, where none was wanted.
    """

    roots: tuple[dict[str, Any], ...]
    blobs: dict[Digest, int]
    lacking: tuple[Digest, ...]
    absent: int = 0
    others: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StoredBlob:
    """A blob of `length` bytes that is in the layout now; `size` is 0 if it was there before."""

    size: int
    length: int


class Tasks:
    """Does the tasks; called in many threads at once. None comes back when the job was told to
    stop.

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
            return self._resolve(task) if isinstance(task, ImageTask) else self._bring(task)
        except Malformed as error:
            return Failed("bad_manifest", str(error))
        except BlobError as error:
            if self._registries.stopped.is_set():
                return None
            if not isinstance(error, RegistryError):
                raise OutputError(
                    str(error), "make room and start again, or choose another folder with -o"
                ) from None
            return Failed(error.cause, str(error))
        except RemetricsError:
            raise
        except Exception as error:
            # Whatever a registry holds costs an image, and not the job, which would meet it again.
            log.exception("this is a fault of the program; please report it")
            return Failed("internal", f"{type(error).__name__}: {error}")

    def _bring(self, task: BlobTask) -> StoredBlob:
        layout, digest = self._layout, task.digest
        if layout.has(digest, task.size):
            return StoredBlob(0, layout.blob(digest).stat().st_size)
        _check_size(digest, task.size, self._limits.layer_bytes)
        _check_room(layout, digest, task.size)
        registry = self._registries.get(task.image.host)
        bring(
            layout,
            digest,
            lambda path: registry.fetch_blob(task.image.repository, digest, task.size, path),
        )
        length = layout.blob(digest).stat().st_size
        return StoredBlob(length, length)

    def _resolve(self, task: ImageTask) -> Resolved:
        registry = self._registries.get(task.reference.host)
        walk = _ImageWalk(registry, task.reference, self._layout, self._platforms, self._limits)
        roots = tuple(to_oci(self._layout, root) for root in list(walk.walk(task)))
        walk.tell()
        lacking = tuple(
            digest for digest, size in walk.blobs.items() if not self._layout.has(digest, size)
        )
        others = frozenset() if roots else frozenset(platforms.fewer(walk.others))
        return Resolved(roots, walk.blobs, lacking, walk.absent, others)


def _check_size(digest: Digest, size: int, limit: int) -> None:
    """Refuse a blob that its descriptor says to be longer than any such is."""
    if size > limit:
        message = f"{digest} is said to have {size} bytes, more than the {limit} allowed"
        raise RegistryError("limit_size", message)


def _check_room(layout: Layout, digest: Digest, size: int) -> None:
    """Refuse a long blob that there is no room for, and drop what has come of it."""
    partial = layout.partial(digest)
    if size > _LONG and (lacking := missing_room(partial, size)):
        remove(partial)
        message = f"{digest} is said to have {size} bytes, {lacking} more than there is room for"
        raise RegistryError("no_room", message)


class _ImageWalk:
    """The walk from an image's name over its indexes and manifests, each of which is kept as it is
    met."""

    def __init__(
        self,
        registry: Registry,
        image: Reference,
        layout: Layout,
        platforms: tuple[str, ...],
        limits: Limits,
    ) -> None:
        self._registry, self._image, self._layout, self._platforms = (
            registry,
            image,
            layout,
            platforms,
        )
        self._limits = limits
        self._named: set[str] = set()
        self._seen: set[Digest] = set()
        self.blobs: dict[Digest, int] = {}
        self.absent = 0
        self._why_absent = ""
        self.others: set[str] = set()

    def walk(self, task: ImageTask) -> Iterator[dict[str, Any]]:
        """Walk everything; yield the descriptors of the roots.

        With platforms named, each manifest for one of them is a root, since the index names others
        too.
        """
        data, media_type = self._root(task)
        root, found = self._take(data, media_type)
        if not (self._platforms and found.kind == "index"):
            yield root
        stack = [(child, 1) for child in reversed(found.manifests)]
        while stack:
            child, depth = stack.pop()
            if depth > self._limits.index_depth:
                most = self._limits.index_depth
                raise Malformed(f"more than {most} indexes within each other")
            if (taken := self._child(child)) is None:
                continue
            descriptor, found = taken
            stack.extend((grandchild, depth + 1) for grandchild in reversed(found.manifests))
            if self._platforms and found.kind != "index":
                platform = documents.get(child, "platform")
                yield {**descriptor, **({"platform": platform} if platform else {})}

    def tell(self) -> None:
        """Say once what the indexes of this image name in vain."""
        if self.absent:
            absent = counted(self.absent, "manifest")
            log.warning("%s names %s in vain: %s", self._image, absent, self._why_absent)

    def _root(self, task: ImageTask) -> tuple[bytes, str]:
        """Return the first document and its media type, without a pull where what is there is still
        right."""
        if task.head:
            head = self._registry.head_manifest(self._image.repository, self._image.version)
            if head.digest and (data := self._kept(head.digest)):
                return data, head.media_type
        manifest = self._registry.manifest(
            self._image.repository, self._image.version, self._limits.manifest_bytes
        )
        return manifest.data, manifest.media_type

    def _kept(self, digest: Digest) -> bytes | None:
        """Return a manifest that is in the layout."""
        try:
            data = self._layout.blob(digest).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == digest.raw else None

    def _child(self, child: dict[str, Any]) -> tuple[dict[str, Any], References] | None:
        """Take a manifest that an index names; None if it was met before or isn't there."""
        descriptor = documents.Descriptor.parse(child)
        digest = digest_of(descriptor)
        if digest in self._seen:
            return None
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
        """Keep a document, and note what it refers to; return its descriptor."""
        found = references(data, media_type, self._platforms)
        self._bound(found)
        digest = Digest(hashlib.sha256(data).digest())
        self._seen.add(digest)
        self._layout.keep_bytes(digest, data)
        if found.config:
            self._check_config(found.config)
        if self._platforms and found.kind == "index":
            self.others |= _platforms_of(data)
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
        """Bound a config as `analyze` does; one that doesn't say its size is brought here."""
        digest = digest_of(config)
        _check_size(digest, config.size, self._limits.manifest_bytes)
        if config.size < 0 and not self._layout.has(digest, -1):
            data = self._registry.read_blob(
                self._image.repository, digest, self._limits.manifest_bytes
            )
            self._layout.keep_bytes(digest, data)

    def _bound(self, found: References) -> None:
        """Refuse an image that names more than anybody needs."""
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
