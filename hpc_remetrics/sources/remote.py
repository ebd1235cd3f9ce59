"""Images at registries: `docker://HOST/NAME[:TAG|@DIGEST]`, and lists of many, `repos:FILE.csv`.

Only rank 0 reads a list. Its named manifests hold no bytes until `enter` asks the registry, so that
all ranks can share that.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import RegistryError, SourceError, UsageError
from ..limits import MANIFEST_BYTES
from ..records import Digest, Layer, Popularity
from ..registry.reference import HUB, Reference
from . import image_reference
from .base import NamedManifest, Source
from .dates import push_time
from .path_source import PathSource
from .repositories import Repository, read_repositories

if TYPE_CHECKING:
    from ..registry.endpoint import Registry
    from ..registry.registries import Registries


class RemoteSource(Source):
    """Images at registries, and the blobs of their repositories.

    :param registries: the HTTP clients of this process.
    """

    is_remote = True

    def __init__(self, reference: str, registries: Registries) -> None:
        self.reference = reference
        self._registries = registries

    def enter(self, named: NamedManifest) -> tuple[NamedManifest, Source]:
        image = Reference.parse(named.location)
        registry = self._registries.get(image.host)
        manifest = registry.manifest(image.repository, image.version, MANIFEST_BYTES)
        entered = NamedManifest(
            named.name,
            manifest.data,
            manifest.media_type,
            image.digest or manifest.digest,
            popularity=named.popularity,
            pushed=named.pushed,
        )
        return entered, RepositorySource(self.reference, self._registries, image)

    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        raise RegistryError("missing", f"nothing says which repository holds {digest}")

    def fetch(self, layer: Layer, path: Path) -> None:
        host, _, repository = layer.origin.partition("/")
        self._registries.get(host).fetch_blob(repository, layer.digest, layer.size, path)

    def measure(self, layer: Layer) -> int:
        host, _, repository = layer.origin.partition("/")
        return self._registries.get(host).blob_size(repository, layer.digest)


class RepositorySource(RemoteSource):
    """One repository of a registry: where the blobs of an entered manifest are read from."""

    def __init__(self, reference: str, registries: Registries, image: Reference) -> None:
        super().__init__(reference, registries)
        self._image = image
        self.origin = f"{image.host}/{image.repository}"

    def named_manifests(self) -> Iterator[NamedManifest]:
        yield NamedManifest(name_of(self._image), location=str(self._image))

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


class DockerSource(RepositorySource):
    """One image (or the several of an index) that the user named; a failure ends the run."""

    form = "docker://HOST/NAME[:TAG|@DIGEST]"
    summary = "an image at a registry (without HOST: Docker Hub)"

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> DockerSource:
        if not rest.startswith("//"):
            # The reference may hold a password: it is repeated only if it is the name of an image.
            hint = image_reference(rest.lstrip("/")) or cls.form
            raise UsageError("what follows docker: is not an image", f"write {hint}")
        return cls(reference, registries, Reference.parse(reference))

    @classmethod
    def absolute(cls, rest: str) -> str:
        try:
            return f"//{Reference.parse(f'docker:{rest}')}"
        except UsageError:
            return rest

    def enter(self, named: NamedManifest) -> tuple[NamedManifest, Source]:
        try:
            return super().enter(named)
        except RegistryError as error:
            # Nothing is wrong with the name: the same command continues later.
            if error.cause == "rate_limited":
                raise
            if error.cause == "missing":
                message = f"there is no image {self._image}"
                raise SourceError(message, "or it requires a login") from None
            message = f"{self._image} is not available: {error.args[0]}"
            raise SourceError(message, error.hint) from None


class ReposSource(PathSource, RemoteSource):
    """The images of a list that `crawl` wrote, with the tag of each row, else `latest`."""

    form = "repos:FILE.csv"
    summary = "the images that a crawl's list names"
    path_kind = "file"

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> ReposSource:
        path, _ = cls.existing(reference, rest)
        return cls(reference, registries, path)

    def __init__(self, reference: str, registries: Registries, path: Path) -> None:
        super().__init__(reference, registries)
        self._path = path

    def named_manifests(self) -> Iterator[NamedManifest]:
        drawn = _drawn(read_repositories(self._path))
        for row in read_repositories(self._path):
            try:
                image = _image_of(row)
                location = _location_of(row, image)
            except UsageError as error:
                raise SourceError(f"{self._path}: {error.args[0]}") from None
            popularity = Popularity(_known(row.stars), _known(row.pulls))
            if row.stratum and row.weight:
                popularity = replace(
                    popularity, stratum=row.stratum, weight=row.weight, drawn=drawn[row.stratum]
                )
            yield NamedManifest(
                name_of(image),
                popularity=popularity,
                pushed=push_time(row.updated),
                location=str(location),
            )

    def holds(self, layer: Layer) -> bool:
        return layer.origin != ""


def _drawn(rows: Iterable[Repository]) -> Counter[str]:
    """Count the repositories of each stratum of a sample; a list without strata has no counts."""
    sampled = itertools.takewhile(lambda row: row.stratum, rows)
    repositories = {(row.stratum, row.registry, row.name) for row in sampled}
    return Counter(stratum for stratum, _, _ in repositories)


def name_of(image: Reference) -> str:
    """Return the name of an image in a dataset: with the host, except for Docker Hub.

    >>> name_of(Reference.parse("docker://redis")), name_of(Reference.parse("quay.io/a/b:1"))
    ('library/redis:latest', 'quay.io/a/b:1')
    """
    return image.path if image.host == HUB else str(image)


def _image_of(row: Repository) -> Reference:
    """Return the name of a row's image: with its tag, or the digest alone if it has no tag."""
    if row.digest and not row.tag:
        return Reference.parse(f"{row.registry}/{row.name}@{row.digest}")
    return Reference.parse(row.reference)


def _location_of(row: Repository, image: Reference) -> Reference:
    """Return what is requested for a row: the manifest that a crawl saw, else what has the tag."""
    if not row.digest:
        return image
    return Reference.parse(f"{image.host}/{image.repository}@{row.digest}")


def _known(number: int | None) -> int:
    return -1 if number is None else number
