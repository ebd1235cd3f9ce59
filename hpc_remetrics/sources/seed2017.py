"""The directory of the 2017 downloader: `manifests/`, `configs/`, `layers/`, times in file names.

A manifest is `NAMESPACE-REPOSITORY-TAG-TIME.json`, with a dash for every slash; a blob is
`sha256-HEX-TIME`. A second download has a later time; an interrupted one left a short file.
Configs lie in `layers/` until somebody moves them.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BlobError, SourceError
from ..records import Digest
from .base import Extent, NamedManifest, verified
from .local import LISTING_BYTES, DirectoryTree, LocalSource, open_extent

if TYPE_CHECKING:
    from ..registry.registries import Registries

_BLOB = re.compile(r"sha256([-:])([0-9a-f]{64})((?:-[0-9.]{1,40})?)\Z")
_STAMP = re.compile(r"-(\d{9,11}(?:\.\d{1,20})?)\Z")
_BLOB_DIRECTORIES = ("layers", "configs")


class Seed2017Source(LocalSource):
    """The images of such a directory: newest manifests, and newest whole files of blobs."""

    form = "seed2017:DIR"
    summary = "the 2017 tool's manifests/, configs/, layers/"

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> Seed2017Source:
        path, _ = cls.existing(reference, rest)
        return cls(reference, path)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return (path / "manifests").exists() and (path / "layers").exists()

    def __init__(self, reference: str, directory: Path) -> None:
        self.reference = reference
        self._files = DirectoryTree(directory)
        self._index: _BlobIndex | None = None

    def prepare(self) -> None:
        """List the blobs."""
        self._blobs()

    def named_manifests(self) -> Iterator[NamedManifest]:
        for name, file in sorted(self._manifests().items()):
            try:
                manifest = self._files.head(f"manifests/{file}", LISTING_BYTES)
            except SourceError:
                # The walk counts it apart, since no bytes are no manifest.
                manifest = b""
            yield NamedManifest(name, manifest)

    def _manifests(self) -> dict[str, str]:
        """Return the name of each image and the file of its newest manifest."""
        newest: dict[str, tuple[float, str]] = {}
        try:
            with os.scandir(self._files.path / "manifests") as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file():
                        name, time = image_name(entry.name)
                        newest[name] = max(newest.get(name, (-1.0, "")), (time, entry.name))
        except OSError as error:
            raise SourceError(
                f"{self.reference}: can't list {error.filename}: {error.strerror}",
                "name the directory that holds manifests/ and layers/",
            ) from None
        return {name: file for name, (_, file) in newest.items()}

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        copies = self._copies(digest)
        whole = [extent for extent in copies if extent.size == size]
        if copies and not whole:
            # An interrupted download is shorter than a whole one, whatever a manifest states.
            largest = max(extent.size for extent in copies)
            whole = [extent for extent in copies if extent.size == largest]
        return next(iter(whole or copies), None)

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob from the newest file that has the right digest."""
        error = BlobError("missing", f"{digest} is not in {self.reference}")
        for extent in self._copies(digest):
            try:
                with open_extent(extent) as stream:
                    return verified(digest, stream.read(limit + 1), limit)
            except BlobError as raised:
                error = raised
            except OSError as raised:
                error = BlobError("io_error", f"can't read {digest}: {raised.strerror or raised}")
        raise error

    def _copies(self, digest: Digest) -> list[Extent]:
        """Return the files of a blob, the newest first."""
        found = [self._files.find(path) for path in self._blobs().paths(digest)]
        return [extent for extent in found if extent is not None]

    def _blobs(self) -> _BlobIndex:
        if self._index is None:
            self._index = _BlobIndex(self._files.path)
        return self._index


def image_name(file: str) -> tuple[str, float]:
    """Return the image and the time of download (0: unknown) from the file name of a manifest.

    Docker Hub's namespaces contain no dash, so the first dash was a slash.

    >>> names = ("library-redis-latest-1502943512.62.json", "a-b-c-latest-1502943512.json")
    >>> tuple(map(image_name, names))
    (('library/redis:latest', 1502943512.62), ('a/b-c:latest', 1502943512.0))
    >>> image_name("test.manifest")
    ('test.manifest', 0.0)
    """
    stem = file.removesuffix(".json")
    stamp = _STAMP.search(stem)
    if not stamp:
        return stem, 0.0
    repository, dash, tag = stem[: stamp.start()].rpartition("-")
    if not dash:
        return tag, float(stamp[1])
    return f"{repository.replace('-', '/', 1)}:{tag}", float(stamp[1])


class _BlobIndex:
    """The file names of all blobs as sorted records in one `bytes`, since there may be millions.

    A record is padded with zeros to the width of the longest one:

        digest (32 bytes) | number of the directory (4, big-endian) | `-` or `:` | `-TIME` or ""
    """

    def __init__(self, directory: Path) -> None:
        self._directories: list[str] = []
        records = sorted(self._scan(directory))
        self._width = max(map(len, records), default=1)
        self._data = b"".join(record.ljust(self._width, b"\0") for record in records)

    def _scan(self, top: Path) -> Iterator[bytes]:
        """Yield the record of each blob, not padded."""
        for place in _BLOB_DIRECTORIES:
            for directory, subdirectories, names in os.walk(top / place, onerror=_complain):
                subdirectories.sort()
                number = len(self._directories).to_bytes(4, "big")
                self._directories.append(os.path.relpath(directory, top))
                for name in names:
                    if match := _BLOB.match(name):
                        yield bytes.fromhex(match[2]) + number + f"{match[1]}{match[3]}".encode()

    def paths(self, digest: Digest) -> list[str]:
        """Return the relative paths of a blob's files, the newest first."""
        records = range(len(self._data) // self._width)
        number = bisect_left(records, digest.raw, key=lambda number: self._record(number)[:32])
        # Put the file names together again.
        found = []
        while (record := self._record(number)) and record[:32] == digest.raw:
            directory = self._directories[int.from_bytes(record[32:36], "big")]
            mark = record[36:37].decode()
            stamp = record[37:].rstrip(b"\0").decode()
            found.append((_time(stamp), f"{directory}/sha256{mark}{digest.hex}{stamp}"))
            number += 1
        return [path for _, path in sorted(found, reverse=True)]

    def _record(self, number: int) -> bytes:
        return self._data[number * self._width : (number + 1) * self._width]


def _complain(error: OSError) -> None:
    """Raise any error of the listing but a missing directory: an unreadable blob is not missing."""
    if not isinstance(error, FileNotFoundError):
        raise SourceError(f"can't list {error.filename}: {error.strerror}", "make it readable")


def _time(stamp: str) -> float:
    try:
        return float(stamp[1:])
    except ValueError:
        return 0.0
