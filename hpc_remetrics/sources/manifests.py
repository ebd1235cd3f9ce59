"""Resolve named manifests into images and layers; everything else in them is counted apart.

The kind of a document is decided by its own `mediaType`, then by the descriptor that names it, then
by its members. No content of a document raises an error: what can't be read becomes a `Skipped`
with its cause.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from ..errors import BlobError, RegistryError
from ..limits import Limits
from ..records import Catalog, Configs, Digest, Image, ImageConfig, Layer, Popularity, Skipped
from ..wording import counted
from . import documents, platforms, schema1
from .base import NamedManifest, Source
from .documents import (
    Descriptor,
    Malformed,
    get,
    get_list,
    get_media_type,
    get_object,
    get_platform,
    get_text,
    has,
    shown,
)
from .image_config import annotations_of, read_image_config

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_ARCHIVE_LAYER = "application/x.hpc-remetrics.docker-archive.layer.tar"
"""A private media type: a plain tar as `docker save` writes it, which no manifest can name."""

LAYER_MEDIA_TYPES = {
    "": "unspecified",
    OCI_LAYER: "oci_tar",
    f"{OCI_LAYER}+gzip": "oci_tar_gzip",
    f"{OCI_LAYER}+zstd": "oci_tar_zstd",
    DOCKER_LAYER: "docker_tar",
    f"{DOCKER_LAYER}.gzip": "docker_tar_gzip",
    f"{DOCKER_LAYER}.zstd": "docker_tar_zstd",
    DOCKER_ARCHIVE_LAYER: "docker_archive_tar",
}
"""Media types of layers that are profiled -> their names in `records.MEDIA_TYPES`."""

_OCI_FOREIGN, _DOCKER_FOREIGN = FOREIGN_PREFIXES = (
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
"""Prefixes of the media types of foreign layers, which registries don't store."""

_FOREIGN_MEDIA_TYPES = {
    _OCI_FOREIGN: "oci_nondistributable_tar",
    f"{_OCI_FOREIGN}+gzip": "oci_nondistributable_tar_gzip",
    f"{_OCI_FOREIGN}+zstd": "oci_nondistributable_tar_zstd",
    _DOCKER_FOREIGN: "docker_foreign_tar",
    f"{_DOCKER_FOREIGN}.gzip": "docker_foreign_tar_gzip",
    f"{_DOCKER_FOREIGN}.zstd": "docker_foreign_tar_zstd",
}
"""The same for foreign layers, which are profiled where their bytes are on a file system."""

_PROFILED = {**LAYER_MEDIA_TYPES, **_FOREIGN_MEDIA_TYPES}

_STATEMENT = "application/vnd.in-toto+json"

_KINDS = {
    OCI_MANIFEST: "oci",
    OCI_INDEX: "index",
    DOCKER_MANIFEST: "docker_schema2",
    DOCKER_LIST: "index",
    "application/vnd.docker.distribution.manifest.v1+json": "docker_schema1",
    "application/vnd.docker.distribution.manifest.v1+prettyjws": "docker_schema1",
    "application/vnd.oci.artifact.manifest.v1+json": "artifact",
}
_VAGUE = frozenset({"", "application/json", "application/octet-stream", "text/plain", "text/html"})
"""Media types that servers and old tools give to any document."""

_IMAGE_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG}) | _VAGUE
_MEMBERS = {
    "index": "manifests",
    "docker_schema1": "fsLayers",
    "oci": "layers",
    "docker_schema2": "layers",
}
_CAUSE_OF_BLOB_ERROR = dict.fromkeys(
    ("missing", "io_error", "denied", "limit_time"), "missing_manifest"
)
_TEXTS_BYTES = 64 << 20
"""Bytes of configs and annotations under one name, beyond which no further image is taken."""

_PASSING = frozenset({"io_error", "denied", "limit_time", "rate_limited"})
"""Causes of failures at a registry that may not happen again."""


def resolve(
    source: Source,
    platforms: Sequence[str] = (),
    limits: Limits | None = None,
    keep_secrets: bool = False,
    configs: Configs | None = None,
) -> Catalog:
    """Resolve all images of a source, in its order.

    :param platforms: `os/architecture[/variant]`; empty: all.
    :param keep_secrets: whether secrets in configs and annotations stay as they are.
    :param configs: takes the configs, and is that of the catalog; None: a new one, in memory.
    :returns: one image for each pair of name and manifest digest.
    :raises SourceError: the place is not what its reference says; never for content of a manifest.
    """
    return merge(
        (
            resolve_named(source, named, platforms, limits, keep_secrets)
            for named in source.named_manifests()
        ),
        configs,
    )


def resolve_named(
    source: Source,
    named: NamedManifest,
    platforms: Sequence[str] = (),
    limits: Limits | None = None,
    keep_secrets: bool = False,
) -> Catalog:
    """Resolve what one named manifest refers to; as :func:`resolve`, for ranks that share the work.

    :raises RegistryError: the limit of a registry is used up.
    """
    name = shown(named.name, 4096)
    limits = limits or Limits()
    try:
        named, place = source.enter(named)
    except BlobError as error:
        walk = _ManifestWalk(source, name, platforms, limits, keep_secrets)
        walk.miss(Descriptor(str(named.digest or ""), -1, ""), error)
        return walk.catalog
    walk = _ManifestWalk(place, name, platforms, limits, keep_secrets)
    walk.start(named)
    return with_facts_of_crawl(walk.catalog, named)


def with_facts_of_crawl(catalog: Catalog, named: NamedManifest) -> Catalog:
    """Return the catalog of a named manifest with what a crawl's list says of it."""
    if not catalog.images:
        return catalog
    repositories = catalog.repositories
    if named.popularity:
        repositories = {catalog.images[0].repository: named.popularity}
    images = [replace(image, pushed=named.pushed) for image in catalog.images]
    return replace(catalog, images=images, repositories=repositories)


def merge(catalogs: Iterable[Catalog], configs: Configs | None = None) -> Catalog:
    """Join catalogs in their order; an image of the same name and digest is taken once.

    Of several the first that has a config counts: one of the sources may lack it.

    :param configs: takes the configs of all, says how images are kept, and is that of the result;
        None: a new one.
    """
    configs = Configs() if configs is None else configs
    images: dict[tuple[str, Digest], Image] = {}
    skipped: dict[Skipped, None] = {}
    repositories: dict[str, Popularity] = {}
    others: set[str] = set()
    passing = False
    for catalog in catalogs:
        for image in map(configs.adopted, catalog.images):
            known = images.setdefault((image.name, image.digest), image)
            if known.config is None and image.config is not None:
                images[image.name, image.digest] = image
        skipped.update(dict.fromkeys(catalog.skipped))
        for name, popularity in catalog.repositories.items():
            repositories[name] = repositories.get(name, Popularity()) | popularity
        passing |= catalog.passing
        if catalog.others:
            others = platforms.fewer(others | catalog.others)
        # A catalog that was joined into the same configs has nothing to add.
        if catalog.configs is not configs:
            for config in catalog.configs:
                configs.add(config)
    return Catalog(list(images.values()), list(skipped), repositories, passing, others, configs)


@dataclass(frozen=True)
class _Document:
    """A manifest or index that was read, what its descriptor states, and its depth in indexes."""

    data: bytes
    media_type: str
    platform: str
    digest: Digest
    depth: int = 0
    manifest_type: str = ""


class _ManifestWalk:
    """The walk over everything under one named manifest, depth first.

    named manifest -> [stack of descriptors] -> read -> index: its children onto the stack
                                                     -> image: `catalog.images`
                                                     -> any other: `catalog.skipped`
    """

    def __init__(
        self,
        source: Source,
        name: str,
        wanted: Sequence[str],
        limits: Limits,
        keep_secrets: bool,
    ) -> None:
        self.catalog = Catalog()
        self._source = source
        self._name = name
        self._wanted = platforms.check(wanted)
        self._limits = limits
        self._keep_secrets = keep_secrets
        self._stack: list[tuple[Any, int]] = []
        self._seen: set[Digest] = set()
        self._sizes: dict[Digest, int] = {}
        self._texts = 0
        self._named: set[str | int] = set()
        self._absent: list[tuple[Descriptor, str]] = []

    def start(self, named: NamedManifest) -> None:
        if named.fault:
            item = Descriptor(str(named.digest or ""), -1, "")
            return self._skip(item, "bad_manifest", named.fault)
        if named.descriptor is not None:
            self._stack.append((named.descriptor, 0))
        else:
            self._open_named(named)
        while self._stack:
            self._follow(*self._stack.pop())
        # If the archive has no manifest of an image at all, the image is missing.
        cause = "not_in_archive" if self.catalog.images else "missing_manifest"
        for item, message in self._absent:
            self._skip(item, cause, message)

    def _open_named(self, named: NamedManifest) -> None:
        digest = named.digest or Digest(hashlib.sha256(named.manifest).digest())
        media_type = named.media_type.partition(";")[0].strip().lower()
        document = _Document(
            named.manifest, media_type, named.platform, digest, 0, named.manifest_type
        )
        if len(named.manifest) > self._limits.manifest_bytes:
            return self._skip_document(
                document, "bad_manifest", f"longer than {self._limits.manifest_bytes} bytes"
            )
        self._judge(document)

    def _skip(self, item: Descriptor, cause: str, message: str) -> None:
        self.catalog.skipped.append(
            Skipped(
                self._name,
                shown(item.digest),
                item.size,
                shown(item.media_type),
                cause,
                shown(message, 500),
            )
        )

    def miss(self, item: Descriptor, error: BlobError) -> None:
        """Count apart a manifest that is not available."""
        # All others would fail too: the run stops, and the same command continues it.
        if error.cause == "rate_limited":
            raise error
        self.catalog.passing |= isinstance(error, RegistryError) and error.cause in _PASSING
        self._skip(item, _CAUSE_OF_BLOB_ERROR.get(error.cause, "bad_manifest"), str(error))

    def _skip_document(self, document: _Document, cause: str, message: str) -> None:
        item = Descriptor(str(document.digest), len(document.data), document.media_type)
        self._skip(item, cause, message)

    def _follow(self, value: Any, depth: int) -> None:
        """Check a descriptor, read the manifest or index that it names, and classify that."""
        try:
            item = Descriptor.parse(value)
        except Malformed as error:
            digest = get(value, "digest") if isinstance(value, dict) else ""
            return self._skip(Descriptor(str(digest or ""), -1, ""), "bad_manifest", str(error))

        # Skip what the options or the limits leave out.
        cause, message = self._refuse(item)
        if cause == "other_platform":
            self._note_platform(item.platform)
        if cause:
            return self._skip(item, cause, message)

        # Read the document, unless another image led to it before.
        digest = Digest.parse(item.digest)
        if digest in self._seen:
            return
        try:
            data = self._source.read_manifest(digest, self._limits.manifest_bytes)
        except BlobError as error:
            self._seen.add(digest)
            if error.cause == "missing" and depth and self._source.is_selection:
                return self._absent.append((item, str(error)))
            return self.miss(item, error)

        # Compare its size with the descriptor's.
        if item.size not in (-1, len(data)):
            message = f"has {len(data)} bytes, its descriptor says {item.size}"
            return self._skip(item, "bad_manifest", message)
        self._seen.add(digest)
        self._judge(_Document(data, item.media_type, item.platform, digest, depth))

    def _refuse(self, item: Descriptor) -> tuple[str, str]:
        """Return (cause, message) why an entry of an index is not followed, ("", "") if it is."""
        if item.is_reference or item.platform.lower() == "unknown/unknown":
            return "attestation", "a statement about an image"
        if _is_foreign_type(item.artifact_type) or _KINDS.get(item.media_type) == "artifact":
            return "artifact", f"holds {item.artifact_type or 'an artifact'}"
        if item.media_type not in _KINDS and item.media_type not in _VAGUE:
            return "unknown_media_type", "neither a manifest nor an index"
        if item.platform and not platforms.matches(item.platform, self._wanted):
            return "other_platform", f"for {item.platform}"
        return _refuse_digest(item)

    def _judge(self, document: _Document) -> None:
        """Classify a document and take it as what it is."""
        try:
            value = documents.parse(document.data)
            kind = kind_of(value, document.media_type)
            media_type = get_media_type(value) or document.media_type
            if media_type != document.media_type:
                document = replace(document, media_type=media_type)

            # Check the digest; only that of schema 1 leaves out its signatures.
            if kind == "docker_schema1":
                self._take_schema1(document, value)
            elif (got := hashlib.sha256(document.data).hexdigest()) != document.digest.hex:
                raise Malformed(f"is sha256:{got}, named {document.digest}")

            # Take it as what it is.
            elif kind == "index":
                self._take_index(document, value)
            elif kind == "artifact":
                self._skip_document(document, "artifact", "holds an artifact")
            elif kind == "unknown":
                self._skip_document(
                    document, "unknown_media_type", "neither a manifest nor an index"
                )
            else:
                self._take_manifest(document, value, kind)
        except Malformed as error:
            self._skip_document(document, "bad_manifest", str(error))
        except RegistryError as error:
            self.miss(
                Descriptor(str(document.digest), len(document.data), document.media_type), error
            )

    def _take_index(self, document: _Document, value: dict[str, Any]) -> None:
        artifact_type = get_text(value, "artifactType")
        if _is_foreign_type(artifact_type):
            return self._skip_document(document, "artifact", f"holds {artifact_type}")
        if document.depth >= self._limits.index_depth:
            message = f"more than {self._limits.index_depth} indexes within each other"
            return self._skip_document(document, "too_deep", message)
        children = get_list(value, "manifests")
        self._named |= set(map(_key, children))
        if len(self._named) > (most := self._limits.index_manifests):
            message = (
                f"more than {counted(most, 'manifest')} under this name (--limit index_manifests=N)"
            )
            return self._skip_document(document, "too_many", message)
        self._stack.extend((child, document.depth + 1) for child in reversed(children))

    def _take_manifest(self, document: _Document, value: dict[str, Any], kind: str) -> None:
        config = get_object(value, "config")
        config_type = get_media_type(config)
        artifact_type = get_text(value, "artifactType")
        if _is_foreign_type(artifact_type) or config_type not in _IMAGE_CONFIGS:
            message = f"holds {artifact_type or config_type}"
            return self._skip_document(document, "artifact", message)
        written = get_list(value, "layers")
        if self._has_too_many(document, written):
            return
        layers = list(map(Descriptor.parse, written))
        platform, diff_ids, image_config = self._read_config(config)
        if platform.lower() == "unknown/unknown":
            return self._skip_document(document, "attestation", "a statement about an image")
        platform = document.platform or platform
        if not platforms.matches(platform, self._wanted):
            return self._leave_out(document, platform)
        why = list(map(self._refuse_layer, layers))
        refused = {cause for cause, _ in why}
        is_image = not refused or not refused <= {"attestation", "unknown_media_type"}
        # An empty list of diff_ids says no more than a missing one: Go can't tell them apart.
        if is_image and diff_ids and len(diff_ids) != len(layers):
            diffs = counted(len(diff_ids), "diff_id")
            raise Malformed(f"has {counted(len(layers), 'layer')}, and its config has {diffs}")
        taken = self._take_layers(layers, why, diff_ids)
        if refused == {"attestation"}:
            return self._skip_document(document, "attestation", "a statement about an image")
        if not is_image:
            return self._skip_document(
                document, "artifact", "none of its layers is one of an image"
            )
        manifest_type = document.manifest_type or kind
        image = Image(
            self._name,
            document.digest,
            platform,
            manifest_type,
            taken,
            config=image_config.digest if image_config else None,
            annotations=annotations_of(value, self._keep_secrets),
        )
        if self._texts > _TEXTS_BYTES:
            message = "the configs and annotations under this name are too long"
            return self._skip_document(document, "too_many", message)
        self._texts += _bytes_of_texts(image, image_config)
        self.catalog.images.append(image)
        if image_config:
            self.catalog.configs.add(image_config)

    def _has_too_many(self, document: _Document, layers: Sequence[Any]) -> bool:
        """Tell whether an image has more layers than the limit; if so, count it apart."""
        most = self._limits.image_layers
        if len(layers) <= most:
            return False
        message = f"{counted(len(layers), 'layer')}, more than {most} (--limit image_layers=N)"
        self._skip_document(document, "too_many", message)
        return True

    def _leave_out(self, document: _Document, platform: str) -> None:
        """Count apart an image of another platform than those asked for."""
        self._note_platform(platform)
        message = f"for {platform or 'an unspecified platform'}"
        self._skip_document(document, "other_platform", message)

    def _note_platform(self, platform: str) -> None:
        self.catalog.others = platforms.fewer({*self.catalog.others, platform or "unknown"})

    def _take_layers(
        self,
        layers: Sequence[Descriptor],
        why: Sequence[tuple[str, str]],
        diff_ids: Sequence[Digest | None] = (),
    ) -> tuple[Layer, ...]:
        """Return the layers that can be profiled, base first, and count the others apart."""
        taken = []
        for layer, (cause, message), diff_id in zip_longest(layers, why, diff_ids[: len(layers)]):
            if cause:
                self._skip(layer, cause, message)
                continue
            digest = Digest.parse(layer.digest)
            size, media_type = self._size(digest, layer.size), _PROFILED[layer.media_type]
            taken.append(Layer(digest, size, media_type, diff_id, self._source.origin))
        return tuple(taken)

    def _refuse_layer(self, layer: Descriptor) -> tuple[str, str]:
        """Return (cause, message) why a layer is not profiled, ("", "") if it is."""
        cause, message = _refuse_layer(layer)
        if cause == "foreign" and layer.media_type in _PROFILED and self._is_here(layer):
            return "", ""
        return cause, message

    def _is_here(self, layer: Descriptor) -> bool:
        """Tell whether the bytes of a layer lie on a file system that every rank sees."""
        try:
            digest = Digest.parse(layer.digest)
            return not self._source.is_remote and bool(self._source.locate(digest, layer.size))
        except (ValueError, BlobError):
            return False

    def _take_schema1(self, document: _Document, value: dict[str, Any]) -> None:
        if self._has_too_many(document, get_list(value, "fsLayers")):
            return
        digests = schema1.layer_digests(value)
        signed = Digest(hashlib.sha256(schema1.payload(document.data, value)).digest())
        whole = Digest(hashlib.sha256(document.data).digest())
        if document.digest not in (signed, whole):
            raise Malformed(f"is {signed}, named {document.digest}")
        platform = document.platform or schema1.platform(value)
        if not platforms.matches(platform, self._wanted):
            return self._leave_out(document, platform)
        found = [Descriptor(digest, -1, "") for digest in digests]
        layers = self._take_layers(found, list(map(self._refuse_layer, found)))
        self.catalog.images.append(Image(self._name, signed, platform, "docker_schema1", layers))

    def _read_config(
        self, descriptor: dict[str, Any]
    ) -> tuple[str, list[Digest | None], ImageConfig | None]:
        """Return platform, diff_ids and all else that a config says.

        The first two are "" and [] if the config is missing or malformed, or has other types there.
        """
        try:
            digest = Digest.parse(get_text(descriptor, "digest"))
            data = self._source.read(digest, self._limits.manifest_bytes)
        except (ValueError, BlobError) as error:
            # Rows must not depend on passing failures of a registry.
            if isinstance(error, RegistryError) and error.cause in _PASSING:
                raise
            return "", [], None
        document, config = read_image_config(digest, data, self._keep_secrets)
        try:
            diff_ids = get_list(get_object(document, "rootfs"), "diff_ids")
            return get_platform(document), list(map(_digest_or_none, diff_ids)), config
        except Malformed:
            return "", [], config

    def _size(self, digest: Digest, size: int) -> int:
        """Return the bytes of a layer as its descriptor or its source states, else -1."""
        if size >= 0:
            return size
        # Ask a registry once for a layer that an image names many times.
        if digest not in self._sizes:
            try:
                self._sizes[digest] = self._source.size_of(digest)
            except BlobError:
                self._sizes[digest] = -1
        return self._sizes[digest]


def _bytes_of_texts(image: Image, config: ImageConfig | None) -> int:
    """Return about how much memory annotations and config take."""
    size = sum(len(key) + len(text) + 128 for key, text in image.annotations)
    if config:
        items = len(config.labels) + len(config.environment) + len(config.history)
        size += config.size + 128 * items
    return size


def kind_of(value: dict[str, Any], media_type: str) -> str:
    """Return the kind of a document: its manifest type, `index`, `artifact` or `unknown`.

    :raises Malformed: it has the members of two kinds, so that tools would disagree about it.
    """
    if sum(get(value, key) is not None for key in ("manifests", "layers", "fsLayers")) > 1:
        raise Malformed("has the members of a manifest and of an index")
    named = next((name for name in (get_media_type(value), media_type) if name not in _VAGUE), "")
    kind = _KINDS.get(named, "unknown") if named else _kind_by_shape(value)
    member = _MEMBERS.get(kind)
    if member and not has(value, member):
        raise Malformed(f"has no {member!r}")
    return kind


def _kind_by_shape(value: dict[str, Any]) -> str:
    if has(value, "fsLayers") or get(value, "schemaVersion") == 1:
        return "docker_schema1"
    if has(value, "manifests"):
        return "index"
    if not has(value, "layers"):
        raise Malformed("neither a manifest nor an index")
    config_type = get_media_type(get_object(value, "config"))
    return "docker_schema2" if config_type == DOCKER_CONFIG else "oci"


def _refuse_digest(item: Descriptor) -> tuple[str, str]:
    try:
        Digest.parse(item.digest)
    except ValueError as error:
        return "bad_digest", str(error)
    return "", ""


def _refuse_layer(layer: Descriptor) -> tuple[str, str]:
    """Return (cause, message) why a layer is not profiled by its descriptor, ("", "") if it is."""
    if layer.media_type.endswith("+encrypted"):
        return "encrypted", "an encrypted layer"
    if layer.has_urls or layer.media_type.startswith(FOREIGN_PREFIXES):
        return "foreign", "a layer that is stored elsewhere"
    if layer.media_type == _STATEMENT:
        return "attestation", "a statement about an image"
    if layer.media_type not in LAYER_MEDIA_TYPES:
        return "unknown_media_type", "not a layer of an image"
    return _refuse_digest(layer)


def _key(child: Any) -> str | int:
    """Return the digest of an index's entry, or its identity if it has no valid one."""
    digest = get(child, "digest") if isinstance(child, dict) else None
    return digest if isinstance(digest, str) else id(child)


def _is_foreign_type(artifact_type: str) -> bool:
    """Tell whether an artifact type is set and, as OCI 1.1 allows, not that of an image config."""
    name = artifact_type.partition(";")[0].strip().lower()
    return name not in ("", OCI_CONFIG, DOCKER_CONFIG)


def _digest_or_none(text: Any) -> Digest | None:
    try:
        return Digest.parse(text)
    except ValueError:
        return None
