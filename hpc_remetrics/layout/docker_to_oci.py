"""Translate Docker manifests to OCI, which tools for OCI layouts (umoci, older skopeo) require.

Only media types change, as in containerd: configs and layers are the same blobs. The original
manifest stays beside its translation, and annotations of the index name it, so that nothing of the
registry's content is lost.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..records import Digest
from ..sources import documents
from ..sources.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)
from ..sources.oci import ORIGINAL
from .image_layout import Layout

_OCI_TYPES = {
    DOCKER_LIST: OCI_INDEX,
    DOCKER_MANIFEST: OCI_MANIFEST,
    DOCKER_CONFIG: OCI_CONFIG,
    DOCKER_LAYER: OCI_LAYER,
    f"{DOCKER_LAYER}.gzip": f"{OCI_LAYER}+gzip",
    f"{DOCKER_LAYER}.zstd": f"{OCI_LAYER}+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
}


def to_oci(layout: Layout, entry: dict[str, Any]) -> dict[str, Any]:
    """Translate a manifest or index with all that it names; return its entry for the index.

    The translation is stored in the layout. A descriptor that is OCI's already, or that has no
    translation (Docker's schema 1), is returned unchanged.
    """
    translated = _translate(layout, entry)
    if translated["digest"] == entry["digest"]:
        return entry
    original = {f"{ORIGINAL}{name}": str(entry[key]) for name, key in _ORIGINAL_KEYS.items()}
    return {**entry, **translated, "annotations": original}


_ORIGINAL_KEYS = {"type": "mediaType", "digest": "digest", "size": "size"}

_DESCRIPTOR = ("mediaType", "digest", "size", "platform", "annotations")
_DOCUMENT = ("schemaVersion", "mediaType", "config", "layers", "manifests")
"""Members that are read; documents may spell them in another case."""


def _translate(layout: Layout, item: dict[str, Any]) -> dict[str, Any]:
    """Translate what a descriptor names, and return the descriptor of the translation."""
    item = documents.spelled(item, _DESCRIPTOR)
    if item.get("mediaType") not in (DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX):
        return item
    try:
        data = layout.blob(Digest.parse(str(item.get("digest")))).read_bytes()
    except (OSError, ValueError):
        # It is missing at the registry, or for a platform that was not asked for.
        return item
    value = documents.spelled(documents.parse(data), _DOCUMENT)
    changed: dict[str, Any] = {
        key: _with_oci_types(value[key]) for key in ("config", "layers") if key in value
    }
    if isinstance(children := value.get("manifests"), list):
        changed["manifests"] = [
            _translate(layout, one) if isinstance(one, dict) else one for one in children
        ]
    changed = _with_oci_types({**value, **changed})
    if changed == value:
        return item
    text = json.dumps(changed, separators=(",", ":")).encode()
    digest = Digest(hashlib.sha256(text).digest())
    layout.keep_bytes(digest, text)
    return _with_oci_types({**item, "digest": str(digest), "size": len(text)})


def _with_oci_types(value: Any) -> Any:
    """Return a JSON value with the media types of OCI."""
    if isinstance(value, list):
        return [_with_oci_types(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = documents.spelled(value, _DESCRIPTOR)
    if not isinstance(kind := value.get("mediaType"), str):
        return value
    return {**value, "mediaType": _OCI_TYPES.get(kind, kind)}
