"""The requests of the OCI distribution specification: manifests, blobs, tags."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlencode

from ..errors import RegistryError
from ..limits import EMPTY_PAGES
from ..records import Digest
from .access import Access
from .auth import Keyring
from .blobs import Fetch
from .budget import PULLS, Budget
from .client import Client
from .header_fields import each, next_page
from .responses import PassingError, SmallResponse, length_of, shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.5",
        "application/vnd.docker.distribution.manifest.v1+json;q=0.5",
        "application/json;q=0.1",
    )
)
"""The Accept header for manifests: all known types, new ones first."""

_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+"


@dataclass(frozen=True)
class Manifest:
    """A manifest or index from a registry.

    :param data: its bytes; empty after a HEAD request.
    :param media_type: the Content-Type header, "" without.
    :param digest: the Docker-Content-Digest header, else that of the bytes; None after a HEAD
        request without that header.
    :param size: bytes, -1 if unknown.
    :param headers: all headers of the response, such as `ratelimit-remaining`.
    """

    data: bytes
    media_type: str
    digest: Digest | None
    size: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class RegistryPage:
    """One page of a list: JSON, headers, and path and query of the next page ("": the last)."""

    document: dict[str, Any]
    headers: Mapping[str, str]
    next: str


class Registry:
    """The requests of one thread to one registry; threads share `budget` and `keyring`.

    :param host: `name[:port]`, `docker.io` for Docker Hub.
    :param stopped: when it is set, waits end with an error.
    """

    def __init__(
        self,
        host: str,
        access: Access | None = None,
        budget: Budget | None = None,
        keyring: Keyring | None = None,
        stopped: threading.Event | None = None,
    ) -> None:
        self.host = host
        self.client = Client(host, access or Access(), budget, keyring, stopped)

    def manifest(self, repository: str, version: str, limit: int = 4 << 20) -> Manifest:
        """Return the manifest or index of a tag or digest; registries count this as a pull.

        Its bytes are checked against the requested digest, or the one in the headers.

        :param limit: longest manifest, bytes.
        :raises RegistryError: it is not available.
        """
        wanted = version if version.startswith("sha256:") else ""
        small = self.client.get(
            _manifest_path(repository, version),
            headers={"Accept": ACCEPT},
            scope=scope_of(repository),
            limit=limit,
            kind=PULLS,
            check=lambda answer: _check_manifest(answer, wanted),
        )
        return _manifest(small, small.data)

    def head_manifest(self, repository: str, version: str) -> Manifest:
        """Return a manifest without its bytes; registries don't count this as a pull.

        :raises RegistryError: it is not available.
        """
        small = self.client.get(
            _manifest_path(repository, version),
            method="HEAD",
            headers={"Accept": ACCEPT},
            scope=scope_of(repository),
        )
        return _manifest(small, b"")

    def blob_size(self, repository: str, digest: Digest) -> int:
        """Return the bytes of a blob as the registry states them, -1 if it does not."""
        small = self.client.get(
            _blob_path(repository, digest), method="HEAD", scope=scope_of(repository)
        )
        return length_of(small.headers)

    def read_blob(self, repository: str, digest: Digest, limit: int) -> bytes:
        """Return a small blob, such as a config, verified.

        :param limit: longest blob, bytes.
        :raises RegistryError: it is not available, longer, or has another digest.
        """

        def check(answer: SmallResponse) -> None:
            if hashlib.sha256(answer.data).digest() != digest.raw:
                raise PassingError("digest_mismatch", f"{self.host} has {digest} with other bytes")

        path = _blob_path(repository, digest)
        return self.client.get(path, scope=scope_of(repository), limit=limit, check=check).data

    def fetch_blob(self, repository: str, digest: Digest, size: int, path: Path) -> int:
        """Fetch a blob into a file, verified; continue a file that holds its beginning.

        :param size: bytes by the descriptor, -1 where it states none.
        :returns: the bytes of the blob.
        :raises BlobError: it is not available, wrong, or can't be written.
        """
        return Fetch(
            self.client, _blob_path(repository, digest), scope_of(repository), digest, size
        ).run(path)

    def open_blob(self, repository: str, digest: Digest, offset: int = 0) -> BinaryIO:
        """Return a stream of a blob from `offset` on, neither verified nor resumed."""
        path = _blob_path(repository, digest)
        scope = scope_of(repository)
        headers = {}
        if offset:
            last = max(self.blob_size(repository, digest) - 1, offset)
            headers["Range"] = f"bytes={offset}-{last}"
        answer = self.client.trying(lambda: self.client.send("GET", path, headers, scope))
        stream = io.BufferedReader(_ChunkReader(answer.chunks()), 1 << 18)
        if offset and answer.status != 206:
            while offset and (data := stream.read(min(offset, 1 << 20))):
                offset -= len(data)
        return stream

    def pages(self, url: str, scope: str = "", member: str = "") -> Iterator[RegistryPage]:
        """Yield the pages of a list, following `Link` headers.

        :param url: path and query of the first page, or a `RegistryPage.next`.
        :param member: the member of a page that holds its items, to see whether there are new ones.
        :raises RegistryError: a page is not available, or the list has no end.
        """
        asked: set[str] = set()
        items: set[int] = set()
        empty = 0
        while url:
            # Refuse a list that would never end.
            if url in asked or empty >= EMPTY_PAGES:
                what = f"has nothing new on {empty} pages in a row"
                if url in asked:
                    what = "leads in a circle"
                message = f"a list of {self.host} {what}; the rest is left out"
                raise RegistryError("io_error", message)

            # Read a page.
            asked.add(url)
            small = self.client.get(url, scope=scope)
            document = small.json()
            url = _next(small)
            page = RegistryPage(document if isinstance(document, dict) else {}, small.headers, url)

            # Count pages that bring nothing new.
            before = len(items)
            items.update(hash(repr(item)) for item in _items(page, member))
            empty = 0 if len(items) > before else empty + 1
            yield page

    def tags(self, repository: str, page_size: int = 1000) -> Iterator[str]:
        """Yield the tags of a repository in the registry's order."""
        yield from self._texts(
            f"/v2/{repository}/tags/list?n={page_size}", scope_of(repository), "tags"
        )

    def catalog(self, page_size: int = 1000, last: str = "") -> Iterator[str]:
        """Yield the repositories of the registry, those after `last`."""
        query = urlencode({"n": page_size, **({"last": last} if last else {})})
        yield from self._texts(f"/v2/_catalog?{query}", "registry:catalog:*", "repositories")

    def _texts(self, url: str, scope: str, member: str) -> Iterator[str]:
        for page in self.pages(url, scope, member):
            yield from (value for value in _items(page, member) if isinstance(value, str))


def scope_of(repository: str) -> str:
    """Return the token scope for reading a repository."""
    return f"repository:{repository}:pull"


def _items(page: RegistryPage, member: str) -> list[Any]:
    """Return the items of a page; without the name of a member, the page itself."""
    values = page.document.get(member) if member else [page.document]
    return values if isinstance(values, list) else []


def _manifest_path(repository: str, version: str) -> str:
    return f"/v2/{repository}/manifests/{quote(version, safe=':')}"


def _blob_path(repository: str, digest: Digest) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def _manifest(answer: SmallResponse, data: bytes) -> Manifest:
    digest = _digest(answer.headers.get("docker-content-digest", ""))
    if digest is None and data:
        digest = Digest(hashlib.sha256(data).digest())
    size = len(data) if data else length_of(answer.headers)
    return Manifest(data, _media_type(answer), digest, size, answer.headers)


def _check_manifest(answer: SmallResponse, wanted: str) -> None:
    """Check the digest of a manifest; that of schema 1 covers only a part, and is checked later.

    :raises PassingError: it has another digest, so that it should be requested again.
    """
    named = _digest(wanted or answer.headers.get("docker-content-digest", ""))
    if named is None or _media_type(answer).startswith(_SCHEMA1):
        return
    got = hashlib.sha256(answer.data)
    if got.digest() != named.raw:
        raise PassingError(
            "digest_mismatch", f"manifest {named} has other bytes: sha256:{got.hexdigest()}"
        )


def _media_type(answer: SmallResponse) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except ValueError:
        return None


def _next(answer: SmallResponse) -> str:
    """Return path and query of the next page by the `Link` headers, "" without.

    :raises RegistryError: they can't be read.
    """
    try:
        return next_page(each(answer.headers, "link"), answer.url)
    except ValueError as error:
        raise RegistryError(
            "io_error", f"{shown(answer.url)}: {error}", status=answer.status
        ) from None


class _ChunkReader(io.RawIOBase):
    """A raw stream over chunks of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
