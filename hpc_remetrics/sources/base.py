"""The interface of a source: a place where images live.

A source answers two questions: which named manifests it has (`named_manifests`), and the bytes of
a blob (`locate` in place, `fetch` to scratch, `read` for small ones). `manifests.py` derives the
rest once for all sources: indexes, platforms, configs, and what is counted apart.

A new source is one class that inherits from `Source`, `PathSource` or `LocalSource`, and one line
in `sources.SOURCES` (or an entry point of the group `hpc_remetrics.sources` in another package).
In a run its methods are called in this order:

    every rank      from_reference          options are checked; nothing is read
    rank 0          prepare                 once, before anybody reads
    rank 0          named_manifests         what there is to resolve
    rank 0          enter, read_manifest,   resolving, one named manifest at a time
                    read, size_of, locate
      (is_remote:   the same in four threads of every rank at once)
    every rank      locate                  a layer that lies on a file system is read in place
                    measure, fetch          any other layer is copied to scratch, by threads
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from ..errors import BlobError
from ..records import Digest, Layer, Popularity

if TYPE_CHECKING:
    from ..registry.registries import Registries


@dataclass(frozen=True)
class NamedManifest:
    """A manifest or index with a name: where the walk over one image begins.

    :param name: what the image is called at its source, `repository:tag` where it has such a name.
    :param manifest: the bytes of the manifest or index, at most `Limits.manifest_bytes`; not read
        where `descriptor` is given.
    :param media_type: as the descriptor or the transport states it, "" where neither does.
    :param digest: as the descriptor states it; None: the SHA-256 of `manifest`.
    :param platform: `os/architecture[/variant]` where the descriptor states it.
    :param manifest_type: set where the source made up the bytes (docker-archive).
    :param descriptor: the entry of an index as JSON, where the source has not read the manifest
        yet: the walk reads it by its digest and checks the descriptor like any other.
    :param popularity: what a crawl knows about the repository of the image.
    :param pushed: when its tag was pushed last, as the registry told a crawl: seconds since 1970;
        None: not known.
    :param location: where the source finds the manifest, if it reads it only in `enter`.
    :param fault: one sentence about why there can be no manifest; the image is counted apart.
    """

    name: str
    manifest: bytes = b""
    media_type: str = ""
    digest: Digest | None = None
    platform: str = ""
    manifest_type: str = ""
    descriptor: Any = None
    popularity: Popularity | None = None
    pushed: int | None = None
    location: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Extent:
    """The bytes of a blob in a file that every rank can open.

    :param offset: first byte in the file, since a blob may lie inside an archive.
    :param size: bytes.
    """

    path: Path
    offset: int
    size: int


class Source(ABC):
    """Images and blobs of one place."""

    form: ClassVar[str] = ""
    """How a reference to it is written, for help and errors: `oci:DIR[:REF]`."""

    summary: ClassVar[str] = ""
    """What it holds, in one phrase of the help."""

    reference: str
    """What the user wrote, such as `oci:DIR`; the beginning of error messages."""

    is_remote = False
    """Whether reading waits for a network. Threads of all ranks then share the resolving."""

    keeps = False
    """Whether `fetch` stores a layer in a place where `locate` finds it afterwards."""

    is_selection = False
    """Whether its indexes may name manifests that were left out on purpose (other platforms)."""

    origin = ""
    """`Layer.origin` of the layers that are found here: how `holds` recognizes them."""

    # A reference, before anything is opened.

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> Source:
        """Open the source that a reference names; called on every rank, reads no content.

        :param reference: what the user wrote, `PREFIX:REST`.
        :param rest: what follows the prefix.
        :param registries: HTTP clients of this process, for sources that need them.
        :raises UsageError: the reference is not valid.
        :raises SourceError: its path does not exist or is of the wrong kind.
        """
        raise NotImplementedError(f"{cls.__name__} is not opened by a reference")

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Tell whether an existing path is clearly of this kind, to suggest the right prefix."""
        return False

    @classmethod
    def absolute(cls, rest: str) -> str:
        """Return what follows the prefix in a form that means the same from every directory."""
        return rest

    @classmethod
    def whole(cls, rest: str) -> str:
        """Return the absolute form without the name of one image, which means all its images."""
        return rest

    @classmethod
    def input_path(cls, rest: str) -> Path | None:
        """Return the file or directory that is read, which no output may replace; None: no file."""
        return None

    # Manifests: rank 0, or threads of all ranks where `is_remote`.

    def prepare(self) -> None:  # noqa: B027 (most sources have nothing to make)
        """Create what the source needs on disk; called on rank 0 before any rank reads from it.

        :raises SourceError: it can't be created.
        """

    @abstractmethod
    def named_manifests(self) -> Iterator[NamedManifest]:
        """Yield the named manifests in a fixed order; called on rank 0.

        :raises SourceError: the place is not what its reference says; this ends the run.
        """

    def enter(self, named: NamedManifest) -> tuple[NamedManifest, Source]:
        """Return a named manifest with its bytes, and the source that its blobs are read from.

        Called where the manifest is resolved, for sources whose `named_manifests` reads no bytes.

        :raises BlobError: the manifest is not available, which costs this image only.
        :raises RemetricsError: anything else; this ends the run.
        """
        return named, self

    def read_manifest(self, digest: Digest, limit: int) -> bytes:
        """Return a manifest or an index that another one names; as `read`."""
        return self.read(digest, limit)

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob (manifest, config) whole.

        :raises BlobError: it is missing, longer than `limit` bytes, or has another digest.
        """
        with self.open(digest) as stream:
            return verified(digest, stream.read(limit + 1), limit)

    def size_of(self, digest: Digest) -> int:
        """Return the bytes of a blob whose descriptor states no size, -1 if unknown.

        :raises BlobError: it is missing.
        """
        extent = self.locate(digest)
        return extent.size if extent else -1

    # Layers: the main thread and the prefetch threads of every rank.

    @abstractmethod
    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        """Return a stream of a blob's bytes from `offset` on.

        :raises BlobError: it is not available.
        """

    def locate(self, digest: Digest, size: int = -1) -> Extent | None:
        """Return where a blob can be read in place, None if it has to be fetched.

        :param size: bytes that the manifest states (-1: none), for places that have several files
            of one blob.
        :raises BlobError: it should be here and is missing or can't be read.
        """
        return None

    def holds(self, layer: Layer) -> bool:
        """Tell whether `fetch` knows where to find a layer."""
        return layer.origin == self.origin

    def measure(self, layer: Layer) -> int:
        """Return the bytes of a layer as the server states them before a fetch, -1 if unknown."""
        return self.size_of(layer.digest)

    def fetch(self, layer: Layer, path: Path) -> None:
        """Copy a layer that can't be read in place into a file, and verify it.

        Bytes that `path` already holds are the beginning of an interrupted copy. A source that
        `keeps` stores the layer itself and ignores `path`.

        :raises BlobError: it is not available; this costs the layer only.
        """
        raise BlobError("missing", f"{self.reference} has no blobs to fetch")


def verified(digest: Digest, data: bytes, limit: int) -> bytes:
    """Return the bytes of a blob after a check of their digest and length.

    :raises BlobError: `limit_size` if longer than `limit` bytes, `digest_mismatch`.
    """
    if len(data) > limit:
        raise BlobError("limit_size", f"{digest} is longer than {limit} bytes")
    if hashlib.sha256(data).digest() != digest.raw:
        raise BlobError(
            "digest_mismatch",
            f"{digest} has other bytes: sha256:{hashlib.sha256(data).hexdigest()}",
        )
    return data
