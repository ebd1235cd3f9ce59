"""What `docker save` and `podman save` write: a tar with `manifest.json`, image configs and layers.

Such an archive holds no registry manifests, so one is made up for each image: its layers are the
files as they lie there, each named by the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import SourceError
from ..records import Digest
from . import documents
from .archive import Archive
from .base import Extent, Root
from .documents import Malformed, get_list, get_object, get_text, shown
from .local import LISTING_BYTES, LocalSource, open_extent
from .manifests import DOCKER_ARCHIVE_LAYER, DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST

_BLOB = re.compile(r"blobs/(sha256)/([0-9a-f]{64})\Z")
_COMPRESSED = {
    b"\x1f\x8b": f"{DOCKER_LAYER}.gzip",
    b"\x28\xb5\x2f\xfd": f"{DOCKER_LAYER}.zstd",
    b"BZh": "",
    b"\xfd7zXZ\x00": "",
}
"""First bytes of compressed layers, and their media types ("" where there is none)."""

_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True)
class _Saved:
    """One image of the archive: its tags, and the manifest made up for it or why there is none."""

    tags: tuple[str, ...]
    unnamed: str
    manifest: bytes = b""
    fault: str = ""


class DockerArchiveSource(LocalSource):
    """The images of a `docker save` or `podman save` archive, old form and new.

    :param ref: `name:tag`, or `@N` for the image of that number; "" for all.
    """

    def __init__(self, reference: str, files: Archive, ref: str = "") -> None:
        self.reference = reference
        self._files = files
        self._ref = ref
        self._images: list[_Saved] | None = None
        self._blobs: dict[Digest, Extent] = {}
        self._hashed: dict[Extent, str] = {}

    def roots(self) -> Iterator[Root]:
        kind = "docker_archive"
        chosen = [
            Root(name, image.manifest, DOCKER_MANIFEST, manifest_type=kind, fault=image.fault)
            for number, image in enumerate(self._load())
            for name in image.tags or (image.unnamed,)
            if self._ref in ("", name, f"@{number}") or name == f"{self._ref}:latest"
        ]
        if not chosen:
            raise SourceError(f"{self._files.place} has no image {self._ref!r}", self._offer())
        yield from chosen

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        self._load()
        return self._blobs.get(digest)

    def _load(self) -> list[_Saved]:
        """Return the images; the first time, find and name every blob."""
        if self._images is None:
            try:
                items = enumerate(self._items())
                self._images = [self._image(number, item) for number, item in items]
            except OSError as error:
                raise SourceError(
                    f"can't read {self._files.place}: {error.strerror or error}"
                ) from None
        return self._images

    def _offer(self) -> str:
        images = self._load()
        names = [shown(name) for image in images for name in image.tags][:8]
        return (
            f"it has {', '.join(names)}"
            if names
            else f"its images have no names, choose @0 to @{len(images) - 1}"
        )

    def _items(self) -> list[Any]:
        if "manifest.json" not in self._files.members:
            is_layout = "oci-layout" in self._files.members
            hint = (
                f"write oci-archive:{self._files.place}"
                if is_layout
                else "save it with docker 1.10 or later"
            )
            raise SourceError(f"{self._files.place} has no manifest.json", hint)
        data = self._files.read("manifest.json", LISTING_BYTES)
        try:
            items = documents.load(data)
        except Malformed as error:
            raise SourceError(
                f"{self._files.place}: manifest.json can't be read: {error}"
            ) from None
        if not isinstance(items, list) or not items:
            raise SourceError(
                f"{self._files.place}: manifest.json does not list images as docker save does"
            )
        return items

    def _image(self, number: int, item: Any) -> _Saved:
        tags: tuple[str, ...] = ()
        try:
            tags = tuple(
                dict.fromkeys(tag for tag in get_list(item, "RepoTags") if isinstance(tag, str))
            )
            config, diff_ids = self._config(get_text(item, "Config"))
            paths = get_list(item, "Layers")
            if not (config or paths):
                raise Malformed("names neither a config that is there nor layers")
            if len(diff_ids) != len(paths):
                diff_ids = [None] * len(paths)  # the walk refuses it
            layers = [
                self._layer(path, diff_id) for path, diff_id in zip(paths, diff_ids, strict=True)
            ]
        except Malformed as error:
            unnamed = f"{self._files.name}@{number}"
            return _Saved(tags, unnamed, fault=f"its item in manifest.json: {error}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": config,
            "layers": layers,
        }
        unnamed = f"{self._files.name}@{config.get('digest', 'unknown')}"
        return _Saved(tags, unnamed, json.dumps(manifest).encode())

    def _config(self, path: str) -> tuple[dict[str, Any], list[Any]]:
        """Return the descriptor of a config and the diff_ids in it, nothing of one that can't be
        read."""
        try:
            data = self._files.read(path, _CONFIG_BYTES)
        except SourceError:
            return {}, []
        digest = Digest(hashlib.sha256(data).digest())
        self._keep(str(digest), self._files.find(path))
        descriptor = {"mediaType": DOCKER_CONFIG, "digest": str(digest), "size": len(data)}
        try:
            return descriptor, get_list(get_object(documents.parse(data), "rootfs"), "diff_ids")
        except Malformed:
            return descriptor, []

    def _layer(self, path: Any, diff_id: Any) -> dict[str, Any]:
        """Return a descriptor of the layer at `path`, with no size if it is not there."""
        if not isinstance(path, str):
            raise Malformed("the path of a layer is not text")
        extent = self._files.find(path)
        if extent is None:
            return {"mediaType": DOCKER_ARCHIVE_LAYER, "digest": str(diff_id or f"path:{path}")}
        media_type = _media_type(extent)
        digest = self._digest(path, extent, diff_id if media_type == DOCKER_ARCHIVE_LAYER else None)
        self._keep(digest, extent)
        return {"mediaType": media_type, "digest": digest, "size": extent.size}

    def _digest(self, path: str, extent: Extent, diff_id: Any) -> str:
        """Return the digest of a layer's bytes: as its name says, as the config says, else by
        reading them all."""
        if named := _BLOB.match(self._files.follow(path) or ""):
            return ":".join(named.groups())
        if isinstance(diff_id, str):
            return diff_id
        if extent not in self._hashed:
            with open_extent(extent) as stream:
                self._hashed[extent] = f"sha256:{_sha256(stream)}"
        return self._hashed[extent]

    def _keep(self, text: str, extent: Extent | None) -> None:
        try:
            digest = Digest.parse(text)
        except ValueError:
            return
        if extent is not None:
            self._blobs.setdefault(digest, extent)


def _sha256(stream: Any) -> str:
    hasher = hashlib.sha256()
    while block := stream.read(1 << 20):
        hasher.update(block)
    return hasher.hexdigest()


def _media_type(extent: Extent) -> str:
    with open_extent(extent) as stream:
        first = stream.read(8)
    return next(
        (word for magic, word in _COMPRESSED.items() if first.startswith(magic)),
        DOCKER_ARCHIVE_LAYER,
    )
