"""A source of layers that a test makes: read in place, or fetched as from a registry."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hpc_remetrics.errors import BlobError
from hpc_remetrics.records import Digest, Layer
from hpc_remetrics.sources.base import Extent, NamedManifest, Source


def tar_of(*names: str, size: int = 10) -> bytes:
    """Return a tar of regular files of `size` bytes each."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(name.encode().ljust(size, b"\0")[:size]))
    return data.getvalue()


class BlobSource(Source):
    """Blobs in a directory; a remote one gives them by `fetch` alone.

    :ivar fetched: digests in the order in which they were fetched.
    :ivar errors: what `fetch` raises for a digest.
    """

    def __init__(self, directory: Path, *, remote: bool = False, keeps: bool = False) -> None:
        directory.mkdir(exist_ok=True)
        self.reference = f"test:{directory}"
        self.origin = "registry/repository" if remote else ""
        self.is_remote = remote
        self.keeps = keeps
        self.fetched: list[Digest] = []
        self.errors: dict[Digest, BaseException] = {}
        self._directory = directory
        self._kept: set[Digest] = set()

    def add(self, data: bytes, size: int | None = None) -> Layer:
        """Add a blob and return its layer, with a false size if one is given."""
        digest = Digest(hashlib.sha256(data).digest())
        (self._directory / digest.hex).write_bytes(data)
        stated = len(data) if size is None else size
        return Layer(digest, stated, "oci_tar", origin=self.origin)

    def _path(self, digest: Digest) -> Path:
        return self._directory / digest.hex

    def named_manifests(self) -> Iterator[NamedManifest]:
        yield from ()

    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        return io.BytesIO(self._path(digest).read_bytes()[offset:])

    def locate(self, digest: Digest, size: int = -1) -> Extent | None:
        if self.is_remote and digest not in self._kept:
            return None
        path = self._path(digest)
        if not path.exists():
            raise BlobError("missing", f"{digest} is not there")
        return Extent(path, 0, path.stat().st_size)

    def fetch(self, layer: Layer, path: Path) -> None:
        self.fetched.append(layer.digest)
        if layer.digest in self.errors:
            raise self.errors[layer.digest]
        data = self._path(layer.digest).read_bytes()
        if layer.size not in (-1, len(data)):
            raise BlobError("size_mismatch", f"{len(data)} bytes, the manifest says {layer.size}")
        if self.keeps:
            self._kept.add(layer.digest)
        else:
            path.write_bytes(data)

    def measure(self, layer: Layer) -> int:
        path = self._path(layer.digest)
        if not path.exists():
            raise BlobError("missing", f"{layer.digest} is not there")
        return path.stat().st_size
