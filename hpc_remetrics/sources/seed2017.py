"""The folder that the 2017 downloader wrote: `manifests/`, `configs/`, `layers/`, with times in the
file names.

A manifest is `NAMESPACE-REPOSITORY-TAG-TIME.json`, with a dash for every slash; a blob is
`sha256-HEX-TIME`. What was downloaded again has a second file with a later time; a download that
broke off left a short one. Configs lie in `layers/` until somebody moves them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import BlobError, SourceError
from ..records import Digest
from .base import Extent, Root, verified
from .local import LISTING_BYTES, Folder, LocalSource, open_extent

_BLOB = re.compile(r"sha256([-:])([0-9a-f]{64})((?:-[0-9.]{1,40})?)\Z")
_STAMP = re.compile(r"-(\d{9,11}(?:\.\d{1,20})?)\Z")
_PLACES = ("layers", "configs")


class Seed2017Source(LocalSource):
    """The images of such a folder: of each name the newest manifest, of each blob the newest whole
    file."""

    def __init__(self, reference: str, folder: Path) -> None:
        self.reference = reference
        self._files = Folder(folder)
        self._index: _Index | None = None

    def prepare(self) -> None:
        """List the blobs, so that one rank does it and the others get the list."""
        self._blobs()

    def roots(self) -> Iterator[Root]:
        for name, file in sorted(self._manifests().items()):
            try:
                manifest = self._files.head(f"manifests/{file}", LISTING_BYTES)
            except SourceError:
                manifest = b""  # the walk counts apart what is no manifest
            yield Root(name, manifest)

    def _manifests(self) -> dict[str, str]:
        """Return the name of each image and the file of its newest manifest."""
        newest: dict[str, tuple[float, str]] = {}
        try:
            with os.scandir(self._files.place / "manifests") as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file():
                        name, time = image_name(entry.name)
                        newest[name] = max(newest.get(name, (-1.0, "")), (time, entry.name))
        except OSError as error:
            raise SourceError(
                f"{self.reference}: can't list {error.filename}: {error.strerror}",
                "name the folder that holds manifests/ and layers/",
            ) from None
        return {name: file for name, (_, file) in newest.items()}

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        copies = self._copies(digest)
        whole = [extent for extent in copies if extent.size == size]
        if copies and not whole:
            # A download that broke off is shorter than one that did not, whatever a manifest says.
            largest = max(extent.size for extent in copies)
            whole = [extent for extent in copies if extent.size == largest]
        return next(iter(whole or copies), None)

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob from the newest file that has its bytes."""
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

    def _blobs(self) -> _Index:
        if self._index is None:
            self._index = _Index(self._files.place)
        return self._index


def image_name(file: str) -> tuple[str, float]:
    """Return the image that a manifest's file name stands for, and when it was downloaded (0: it
    does not say).

    Docker Hub's namespaces have no dash, so the first one was a slash.

    >>> image_name("library-redis-latest-1502943512.62.json"), image_name("a-b-c-latest-1502943512.json")
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


class _Index:
    """The names of all blobs: sorted records of one width in one piece, since there may be
    millions."""

    def __init__(self, folder: Path) -> None:
        self._folders: list[str] = []
        records = sorted(self._scan(folder))
        self._width = max(map(len, records), default=1)
        self._data = b"".join(record.ljust(self._width, b"\0") for record in records)

    def _scan(self, folder: Path) -> Iterator[bytes]:
        """Yield digest, number of the folder, and what stands around the digest in the file's
        name."""
        for place in _PLACES:
            for found, folders, names in os.walk(folder / place, onerror=_complain):
                folders.sort()
                number = len(self._folders).to_bytes(4, "big")
                self._folders.append(os.path.relpath(found, folder))
                for name in names:
                    if match := _BLOB.match(name):
                        yield bytes.fromhex(match[2]) + number + f"{match[1]}{match[3]}".encode()

    def paths(self, digest: Digest) -> list[str]:
        """Return the relative paths of a blob's files, the newest first."""
        low, high = 0, len(self._data) // self._width
        while low < high:
            middle = (low + high) // 2
            if self._record(middle)[:32] < digest.raw:
                low = middle + 1
            else:
                high = middle
        found = []
        while (record := self._record(low)) and record[:32] == digest.raw:
            mark, stamp = record[36:37].decode(), record[37:].rstrip(b"\0").decode()
            folder = self._folders[int.from_bytes(record[32:36], "big")]
            found.append((_time(stamp), f"{folder}/sha256{mark}{digest.hex}{stamp}"))
            low += 1
        return [path for _, path in sorted(found, reverse=True)]

    def _record(self, number: int) -> bytes:
        return self._data[number * self._width : (number + 1) * self._width]


def _complain(error: OSError) -> None:
    """Let a folder be missing, and nothing else: a blob that can't be seen is not one that isn't
    there."""
    if not isinstance(error, FileNotFoundError):
        raise SourceError(f"can't list {error.filename}: {error.strerror}", "make it readable")


def _time(stamp: str) -> float:
    try:
        return float(stamp[1:])
    except ValueError:
        return 0.0
