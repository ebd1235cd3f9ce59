"""Images at registries: `docker://HOST/NAME[:TAG|@DIGEST]`, and lists of many, `repos:FILE.csv`.

Only rank 0 reads a list; a root holds no manifest until somebody enters it, so that all ranks can.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import RegistryError, SourceError, UsageError
from ..limits import MANIFEST_BYTES
from ..records import Digest, Layer, Popularity
from ..registry.endpoint import Registry
from ..registry.pool import Registries
from ..registry.reference import HUB, Reference
from .base import Root, Source
from .repositories import Repository, read_repositories


class RemoteSource(Source):
    """Images at registries, and the blobs of their repositories.

    :param registries: of the process; a copy on another rank asks by its own.
    """

    is_remote = True

    def __init__(self, reference: str, registries: Registries) -> None:
        self.reference = reference
        self._registries = registries

    def enter(self, root: Root) -> tuple[Root, Source]:
        image = Reference.parse(root.place)
        place = _Place(self.reference, self._registries, image)
        manifest = self._registries.get(image.host).manifest(
            image.repository, image.version, MANIFEST_BYTES
        )
        digest = image.digest or manifest.digest
        return Root(
            root.name, manifest.data, manifest.media_type, digest, popularity=root.popularity
        ), place

    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        raise RegistryError("missing", f"nothing says which repository holds {digest}")

    def fetch(self, layer: Layer, path: Path) -> None:
        host, _, repository = layer.origin.partition("/")
        self._registries.get(host).fetch_blob(repository, layer.digest, layer.size, path)

    def measure(self, layer: Layer) -> int:
        host, _, repository = layer.origin.partition("/")
        return self._registries.get(host).blob_size(repository, layer.digest)


class _Place(RemoteSource):
    """One repository, as what is entered by a root."""

    def __init__(self, reference: str, registries: Registries, image: Reference) -> None:
        super().__init__(reference, registries)
        self._image = image
        self.origin = f"{image.host}/{image.repository}"

    def roots(self) -> Iterator[Root]:
        yield Root(name_of(self._image), place=str(self._image))

    @property
    def _registry(self) -> Registry:
        return self._registries.get(self._image.host)

    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        return self._registry.open_blob(self._image.repository, digest, offset)

    def size_of(self, digest: Digest) -> int:
        return self._registry.blob_size(self._image.repository, digest)

    def read_manifest(self, digest: Digest, limit: int) -> bytes:
        return self._registry.manifest(self._image.repository, str(digest), limit).data

    def read(self, digest: Digest, limit: int) -> bytes:
        return self._registry.read_blob(self._image.repository, digest, limit)


class DockerSource(_Place):
    """One image, or the several of an index; that it can't be had ends the run, as the user named
    it."""

    def __init__(self, reference: str, registries: Registries, image: Reference) -> None:
        super().__init__(reference, registries, image)

    def enter(self, root: Root) -> tuple[Root, Source]:
        try:
            return super().enter(root)
        except RegistryError as error:
            if error.cause == "missing":
                raise SourceError(
                    f"there is no image {self._image}", "or it wants a login"
                ) from None
            if error.cause == "rate_limited":
                raise  # nothing is wrong with the name: the same command goes on later
            raise SourceError(f"{self._image} can't be had: {error.args[0]}", error.hint) from None


class ReposSource(RemoteSource):
    """The images that a crawl's list names, by the tag of each row, else `latest`."""

    def __init__(self, reference: str, registries: Registries, path: Path) -> None:
        super().__init__(reference, registries)
        self._path = path

    def roots(self) -> Iterator[Root]:
        drawn = _drawn(read_repositories(self._path))
        for row in read_repositories(self._path):
            try:
                image = _image_of(row)
            except UsageError as error:
                raise SourceError(f"{self._path}: {error.args[0]}") from None
            sample = (
                (row.stratum, row.weight, drawn[row.stratum]) if row.stratum and row.weight else ()
            )
            popularity = Popularity(_known(row.stars), _known(row.pulls), *sample)
            yield Root(name_of(image), place=str(image), popularity=popularity)

    def holds(self, layer: Layer) -> bool:
        return layer.origin != ""


def _drawn(rows: Iterable[Repository]) -> Counter[str]:
    """Count the repositories of each stratum of a sample; of a list that is none nothing is
    counted."""
    sampled = itertools.takewhile(lambda row: row.stratum, rows)
    return Counter(
        stratum for stratum, _, _ in {(row.stratum, row.registry, row.name) for row in sampled}
    )


def name_of(image: Reference) -> str:
    """Return what an image is called in a dataset: Docker Hub's own name there, elsewhere with the
    host.

    >>> name_of(Reference.parse("docker://redis")), name_of(Reference.parse("quay.io/a/b:1"))
    ('library/redis:latest', 'quay.io/a/b:1')
    """
    return image.path if image.host == HUB else str(image)


def _image_of(row: Repository) -> Reference:
    version = f"@{row.digest}" if row.digest else f":{row.tag}" if row.tag else ""
    return Reference.parse(f"{row.name}{version}", row.registry)


def _known(number: int | None) -> int:
    return -1 if number is None else number
