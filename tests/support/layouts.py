"""Writes OCI image layouts from tar files, with gzip and zstd as packers."""

import gzip
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

TAR = "application/vnd.oci.image.layer.v1.tar"


def _zstd(tar: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-3"], input=tar, check=True, capture_output=True).stdout


PACKERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gzip": (lambda tar: gzip.compress(tar, 6, mtime=0), f"{TAR}+gzip"),
    "zstd": (_zstd, f"{TAR}+zstd"),
    "plain": (bytes, TAR),
}


class Layout:
    """An OCI layout that grows: `layer` gives what `image` takes; `finish` writes the index."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.index: list[dict] = []
        (directory / "blobs" / "sha256").mkdir(parents=True)

    def layer(self, tar: bytes, packer: str) -> tuple[dict, str]:
        """Return descriptor and diff_id."""
        pack, media_type = PACKERS[packer]
        return self.blob(pack(tar), media_type), "sha256:" + hashlib.sha256(tar).hexdigest()

    def blob(self, data: bytes, media_type: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        self.path(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def path(self, digest: str) -> Path:
        return self.directory / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def image(
        self,
        name: str,
        layers: list[tuple[dict, str]],
        history: list[dict] | None = None,
        **members: object,
    ) -> None:
        """Add an image; without a history each of its layers is from a step that says COPY.

        :param members: of its config, in place of the usual ones or besides them.
        """
        copies = [{"created": "2026-01-01T00:00:00Z", "created_by": "COPY"} for _ in layers]
        diff_ids = [diff_id for _, diff_id in layers]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": copies if history is None else history,
            **members,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(
                json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"
            ),
            "layers": [descriptor for descriptor, _ in layers],
        }
        entry = self.blob(json.dumps(manifest).encode(), manifest["mediaType"])
        self.index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})

    def finish(self) -> Path:
        (self.directory / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": self.index})
        )
        (self.directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        return self.directory
