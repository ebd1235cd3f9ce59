"""Docker's manifests in OCI's words, since tools that read OCI layouts (umoci, older skopeo) know
no others.

Only media types change, as containerd does it: configs and layers are the same blobs. The original
stays beside its translation, and the index says which it is, so that nothing of what the registry
had is lost.
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

_WORDS = {
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


def to_oci(layout: Layout, root: dict[str, Any]) -> dict[str, Any]:
    """Return the descriptor that the layout's index is to have for a root; its translation is kept
    in the layout.

    What is OCI's already, and what has no translation (Docker's schema 1), is returned as it is.
    """
    translated = _translate(layout, root)
    if translated["digest"] == root["digest"]:
        return root
    original = {f"{ORIGINAL}{name}": str(root[key]) for name, key in _ORIGINAL_KEYS.items()}
    return {**root, **translated, "annotations": original}


_ORIGINAL_KEYS = {"type": "mediaType", "digest": "digest", "size": "size"}

_DESCRIPTOR = ("mediaType", "digest", "size", "platform", "annotations")
_DOCUMENT = ("schemaVersion", "mediaType", "config", "layers", "manifests")
"""Members that are looked at, which may be spelled in another case."""


def _translate(layout: Layout, item: dict[str, Any]) -> dict[str, Any]:
    """Return a descriptor in OCI's words, after what it names has been translated; others are
    returned as they are."""
    item = documents.spelled(item, _DESCRIPTOR)
    if item.get("mediaType") not in (DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX):
        return item
    try:
        data = layout.blob(Digest.parse(str(item.get("digest")))).read_bytes()
    except (OSError, ValueError):
        return (
            item  # a manifest that is not at the registry, or for a platform that wasn't asked for
        )
    value = documents.spelled(documents.parse(data), _DOCUMENT)
    changed: dict[str, Any] = {
        key: _worded(value[key]) for key in ("config", "layers") if key in value
    }
    if isinstance(children := value.get("manifests"), list):
        changed["manifests"] = [
            _translate(layout, one) if isinstance(one, dict) else one for one in children
        ]
    changed = _worded({**value, **changed})
    if changed == value:
        return item
    text = json.dumps(changed, separators=(",", ":")).encode()
    digest = Digest(hashlib.sha256(text).digest())
    layout.keep_bytes(digest, text)
    return _worded({**item, "digest": str(digest), "size": len(text)})


def _worded(value: Any) -> Any:
    """Return descriptors, or whatever has a media type, in OCI's words."""
    if isinstance(value, list):
        return [_worded(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = documents.spelled(value, _DESCRIPTOR)
    if not isinstance(kind := value.get("mediaType"), str):
        return value
    return {**value, "mediaType": _WORDS.get(kind, kind)}
