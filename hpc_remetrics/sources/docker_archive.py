"""Archives of `docker save` and `podman save`: a tar of `manifest.json`, image configs and layers.

Such an archive holds no registry manifests, so one is made up for each image: its layers are the
files of the archive, each with the SHA-256 of its bytes as digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..records import Digest
from . import documents
from .archive import Archive
from .base import Extent, NamedManifest
from .documents import Malformed, get_list, get_object, get_text, shown
from .local import LISTING_BYTES, LocalSource, open_extent
from .manifests import DOCKER_ARCHIVE_LAYER, DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST

if TYPE_CHECKING:
    from ..registry.registries import Registries

_BLOB = re.compile(r"blobs/(sha256)/([0-9a-f]{64})\Z")
_MEDIA_TYPES = {
    b"\x1f\x8b": f"{DOCKER_LAYER}.gzip",
    b"\x28\xb5\x2f\xfd": f"{DOCKER_LAYER}.zstd",
    b"BZh": "",
    b"\xfd7zXZ\x00": "",
}
"""First bytes of a compressed layer -> its media type ("" where none is defined)."""

_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True)
class _Saved:
    """One image of the archive: its tags, and the manifest made up for it or why there is none.

    :param unnamed: the name of the image if it has no tag.
    """

    tags: tuple[str, ...]
    unnamed: str
    manifest: bytes = b""
    fault: str = ""


class DockerArchiveSource(LocalSource):
    """The images of a `docker save` or `podman save` archive, of any version.

    :param ref: `name:tag`, or `@N` for the image of that number; "" for all.
    """

    form = "docker-archive:FILE[:REF]"
    summary = "what `docker save` and `podman save` write"
    path_kind = "file"
    has_ref = True

    @classmethod
    def from_reference(
        cls, reference: str, rest: str, registries: Registries
    ) -> DockerArchiveSource:
        path, ref = cls.existing(reference, rest)
        return cls(reference, Archive(path), ref)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return path.is_file() and "manifest.json" in Archive(path).members

    def __init__(self, reference: str, files: Archive, ref: str = "") -> None:
        self.reference = reference
        self._files = files
        self._ref = ref
        self._images: list[_Saved] | None = None
        self._blobs: dict[Digest, Extent] = {}
        self._hashed: dict[Extent, str] = {}

    def named_manifests(self) -> Iterator[NamedManifest]:
        chosen = [
            NamedManifest(
                name,
                image.manifest,
                DOCKER_MANIFEST,
                manifest_type="docker_archive",
                fault=image.fault,
            )
            for number, image in enumerate(self._load())
            for name in image.tags or (image.unnamed,)
            if self._ref in ("", name, f"@{number}") or name == f"{self._ref}:latest"
        ]
        if not chosen:
            raise SourceError(f"{self._files.path} has no image {self._ref!r}", self._offer())
        yield from chosen

    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        self._load()
        return self._blobs.get(digest)

    def _load(self) -> list[_Saved]:
        """Return the images; the first call finds every blob and its digest."""
        if self._images is None:
            try:
                items = enumerate(self._items())
                self._images = [self._image(number, item) for number, item in items]
            except OSError as error:
                reason = error.strerror or error
                raise SourceError(f"can't read {self._files.path}: {reason}") from None
        return self._images

    def _offer(self) -> str:
        """Return the hint that lists the names of the images."""
        images = self._load()
        names = [shown(name) for image in images for name in image.tags][:8]
        if names:
            return f"it has {', '.join(names)}"
        return f"its images have no names, choose @0 to @{len(images) - 1}"

    def _items(self) -> list[Any]:
        """Return the items of `manifest.json`, one for each image, not checked."""
        path = self._files.path
        if "manifest.json" not in self._files.members:
            hint = "save it with docker 1.10 or later"
            if "oci-layout" in self._files.members:
                hint = f"write oci-archive:{path}"
            raise SourceError(f"{path} has no manifest.json", hint)
        data = self._files.read("manifest.json", LISTING_BYTES)
        try:
            items = documents.load(data)
        except Malformed as error:
            raise SourceError(f"{path}: manifest.json can't be read: {error}") from None
        if not isinstance(items, list) or not items:
            raise SourceError(f"{path}: manifest.json does not list images as docker save does")
        return items

    def _image(self, number: int, item: Any) -> _Saved:
        """Make up the manifest of one image, or say why that is not possible."""
        tags: tuple[str, ...] = ()
        try:
            texts = [tag for tag in get_list(item, "RepoTags") if isinstance(tag, str)]
            tags = tuple(dict.fromkeys(texts))
            config, diff_ids = self._config(get_text(item, "Config"))
            paths = get_list(item, "Layers")
            if not (config or paths):
                raise Malformed("names neither layers nor a config that is in the archive")
            # The walk refuses a config with another number of layers.
            if len(diff_ids) != len(paths):
                diff_ids = [None] * len(paths)
            pairs = zip(paths, diff_ids, strict=True)
            layers = [self._layer(path, diff_id) for path, diff_id in pairs]
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
        """Return the descriptor of a config and its diff_ids; both empty if it can't be read."""
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
        """Return the descriptor of the layer at `path`, without a size if it is missing."""
        if not isinstance(path, str):
            raise Malformed("the path of a layer is not a string")
        extent = self._files.find(path)
        if extent is None:
            return {"mediaType": DOCKER_ARCHIVE_LAYER, "digest": str(diff_id or f"path:{path}")}
        media_type = _media_type(extent)
        digest = self._digest(path, extent, diff_id if media_type == DOCKER_ARCHIVE_LAYER else None)
        self._keep(digest, extent)
        return {"mediaType": media_type, "digest": digest, "size": extent.size}

    def _digest(self, path: str, extent: Extent, diff_id: Any) -> str:
        """Return a layer's digest: from its file name, else the config, else by reading it."""
        if named := _BLOB.match(self._files.follow(path) or ""):
            return ":".join(named.groups())
        if isinstance(diff_id, str):
            return diff_id
        if extent not in self._hashed:
            with open_extent(extent) as stream:
                self._hashed[extent] = f"sha256:{_sha256(stream)}"
        return self._hashed[extent]

    def _keep(self, text: str, extent: Extent | None) -> None:
        """Remember where the blob of a digest lies."""
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
    """Return the media type of a layer by its first bytes."""
    with open_extent(extent) as stream:
        first = stream.read(8)
    for magic, media_type in _MEDIA_TYPES.items():
        if first.startswith(magic):
            return media_type
    return DOCKER_ARCHIVE_LAYER
