"""The interface between where images live and everything else.

A source answers two questions: which images it has, and the bytes of a blob from an offset. The
rest (walking indexes, reading configs, counting apart) is derived in `manifests.py`; the code that
profiles can't tell a registry from a folder.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import BlobError
from ..records import Digest, Layer, Popularity


@dataclass(frozen=True)
class Root:
    """A named manifest or index, the beginning of the walk.

    :param name: what the image is called there, `repository:tag` where there is such a name.
    :param manifest: the bytes of the manifest or index, at most `Limits.manifest_bytes`; not read
        where `descriptor` is given.
    :param media_type: as the descriptor or the transport says, "" where nothing does.
    :param digest: what the descriptor says, None where nothing names one (then that of the bytes).
    :param platform: `os/architecture[/variant]` where the descriptor says it.
    :param manifest_type: set where the bytes were made up by the source (docker-archive).
    :param descriptor: the entry of an index just as its JSON says, where the source has not read
        the manifest yet: the walk reads it by digest, and judges the descriptor as it judges any
        other.
    :param popularity: what a crawl says of the image's repository.
    :param place: where the source finds the manifest, for those that read it when the root is
        entered.
    :param fault: what is wrong where there can't be a manifest, one sentence; the image is counted
        apart then.
    """

    name: str
    manifest: bytes = b""
    media_type: str = ""
    digest: Digest | None = None
    platform: str = ""
    manifest_type: str = ""
    descriptor: Any = None
    popularity: Popularity | None = None
    place: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Extent:
    """Where a blob lies on a file system that every rank sees: read in place.

    :param offset: first byte in the file (a blob may stand inside an archive).
    :param size: bytes.
    """

    path: Path
    offset: int
    size: int


class Source(ABC):
    """Images and blobs of one place; `reference` is what the user wrote, such as `oci:DIR`."""

    reference: str
    is_remote = False
    """Whether reading it waits for a network, so that all ranks should take a share of the
    roots."""

    keeps = False
    """Whether `fetch` brings a layer to a place of the source's own, where `locate` finds it
    then."""

    is_selection = False
    """Whether indexes here may name manifests that were left out on purpose, such as other
    platforms'."""

    origin = ""
    """What `Layer.origin` is of the layers that are met here."""

    def prepare(self) -> None:  # noqa: B027 (most sources have nothing to make)
        """Make what the source needs on disk; one rank calls it, before any other opens the
        source."""

    @abstractmethod
    def roots(self) -> Iterator[Root]:
        """Yield the named manifests; raise `SourceError` if the place is not what it should be."""

    def enter(self, root: Root) -> tuple[Root, Source]:
        """Return a root with its manifest, and the source that what it names is read from.

        :raises BlobError: the manifest can't be had, which costs this root.
        :raises RemetricsError: anything else ends the run.
        """
        return root, self

    @abstractmethod
    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        """Return a stream of the blob's bytes from `offset` on; raise `BlobError` if it can't be
        had."""

    def locate(self, digest: Digest, size: int = -1) -> Extent | None:
        """Return where the blob lies if it can be read in place, else None; `BlobError` if it is
        missing.

        :param size: bytes that the manifest says, for places that have several files of a blob (-1:
            unknown).
        """
        return None

    def fetch(self, layer: Layer, path: Path) -> None:
        """Bring a layer that can't be read in place into a file, verified; `BlobError` if it can't
        be had.

        A source that `keeps` takes no heed of `path`.
        """
        raise BlobError("missing", f"{self.reference} fetches nothing")

    def holds(self, layer: Layer) -> bool:
        """Tell whether `fetch` knows where to look for a layer."""
        return layer.origin == self.origin

    def size_of(self, digest: Digest) -> int:
        """Return the size of a blob whose descriptor doesn't say it, -1 if the source doesn't
        know."""
        extent = self.locate(digest)
        return extent.size if extent else -1

    def measure(self, layer: Layer) -> int:
        """Return the size of a layer as the place says that `fetch` gets it from, -1 if it does
        not."""
        return self.size_of(layer.digest)

    def read_manifest(self, digest: Digest, limit: int) -> bytes:
        """Return a manifest or an index, as `read` returns any blob."""
        return self.read(digest, limit)

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob whole; `BlobError` if it is missing, longer than `limit`, or not what
        its digest says."""
        with self.open(digest) as stream:
            return verified(digest, stream.read(limit + 1), limit)


def verified(digest: Digest, data: bytes, limit: int) -> bytes:
    """Return a blob's bytes if they are what its digest says and no more than `limit`; else raise
    `BlobError`."""
    if len(data) > limit:
        raise BlobError("limit_size", f"{digest} is longer than {limit} bytes")
    if hashlib.sha256(data).digest() != digest.raw:
        raise BlobError(
            "digest_mismatch",
            f"{digest} has other bytes: sha256:{hashlib.sha256(data).hexdigest()}",
        )
    return data
