"""A registry in this process, of documents and blobs that a test makes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hpc_remetrics.sources.manifests import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from support.raw_server import RawServer, answer


class TinyRegistry(RawServer):
    """A running registry; a HEAD or GET of what it doesn't have is answered with 404.

    :ivar headers: more headers of each answer.
    :ivar failing: path -> status that it is answered with.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.headers: list[tuple[str, str]] = []
        self.failing: dict[str, int] = {}
        self._data: dict[str, tuple[bytes, str]] = {}

    def _answer(self, head: str) -> bytes:
        method, path, _ = head.split(" ", 2)
        if path in self.failing:
            return answer(self.failing[path])
        if path not in self._data:
            return answer(404)
        data, media_type = self._data[path]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        headers = [("Content-Type", media_type), ("Docker-Content-Digest", digest), *self.headers]
        whole = answer(200, *headers, body=data)
        return whole[: len(whole) - len(data)] if method == "HEAD" else whole

    def asked(self) -> list[tuple[str, str]]:
        """Return method and path of each request, and forget them."""
        asked = [tuple(head.split(" ", 2)[:2]) for head in self.heads]
        self.heads.clear()
        return asked  # type: ignore[return-value]

    def blob(self, repository: str, data: bytes, media_type: str = OCI_LAYER) -> dict[str, Any]:
        """Put a blob; return its descriptor."""
        descriptor = _descriptor(data, media_type)
        self._data[f"/v2/{repository}/blobs/{descriptor['digest']}"] = (data, media_type)
        return descriptor

    def document(self, name: str, document: dict[str, Any], media_type: str) -> dict[str, Any]:
        """Put a manifest or an index by its digest, and by its tag if `name` has one."""
        repository, _, tag = name.partition(":")
        data = json.dumps(document).encode()
        descriptor = _descriptor(data, media_type)
        for version in filter(None, (tag, descriptor["digest"])):
            self._data[f"/v2/{repository}/manifests/{version}"] = (data, media_type)
        return descriptor

    def image(self, name: str, *layers: bytes, **changes: Any) -> dict[str, Any]:
        """Put an image; return the descriptor of its manifest.

        :param changes: members of the manifest that are otherwise.
        """
        repository = name.partition(":")[0]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(repository, json.dumps({"name": name}).encode(), OCI_CONFIG),
            "layers": [self.blob(repository, layer) for layer in layers],
        }
        return self.document(name, {**manifest, **changes}, OCI_MANIFEST)

    def index(self, name: str, **platforms: dict[str, Any]) -> dict[str, Any]:
        """Put an index of manifests by the architectures that they are for."""
        children = [
            {**child, "platform": {"os": "linux", "architecture": architecture}}
            for architecture, child in platforms.items()
        ]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
        return self.document(name, document, OCI_INDEX)


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(data)}
