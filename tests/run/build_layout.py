"""Builds an OCI layout of small images from files of this machine with GNU tar, gzip and zstd."""

import hashlib
import json
import os
import subprocess
import sysconfig
from pathlib import Path

STDLIB = Path(sysconfig.get_path("stdlib"))
PARTS = {
    "email": ["email"],
    "json": ["json"],
    "encodings": ["encodings"],
    "asyncio": ["asyncio"],
    "xml": ["xml"],
    "unittest": ["unittest"],
    "http": ["http"],
    "ctypes": ["ctypes"],
    "logging": ["logging"],
    "distutils": ["concurrent"],
    "importlib": ["importlib"],
    "multiprocessing": ["multiprocessing"],
}
PACKERS = {
    "gzip": (["gzip", "-n", "-6"], "application/vnd.oci.image.layer.v1.tar+gzip"),
    "zstd": (["zstd", "-q", "-3"], "application/vnd.oci.image.layer.v1.tar+zstd"),
    "plain": (["cat"], "application/vnd.oci.image.layer.v1.tar"),
}


def build(folder: Path) -> Path:
    """Write the layout and return its folder."""
    layout = folder / "layout"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    layers = [_layer(layout, _tar(parts), list(PACKERS)[number % 3]) for number, parts in enumerate(PARTS.values())]
    layers.append(_layer(layout, _tar_of_odd_things(folder / "odd"), "gzip"))
    images = {"one:1": layers[:6], "two:1": layers[3:9], "three:latest": [layers[0], *layers[8:]]}
    entries = [_image(layout, name, chosen) for name, chosen in images.items()]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return layout


def _tar(parts: list[str]) -> bytes:
    command = ["tar", "-C", str(STDLIB), "--sort=name", "--numeric-owner", "--owner=0", "--group=0", "-cf", "-", *parts]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _tar_of_odd_things(tree: Path) -> bytes:
    """A layer with links, a whiteout, an opaque marker, a FIFO, an empty file, odd names and copies."""
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_text("some text\n")
    os.link(tree / "a" / "file", tree / "a" / "hard")
    (tree / "a" / "soft").symlink_to("../nowhere")
    (tree / "a" / "copy").write_text("some text\n")
    (tree / "a" / "empty").write_bytes(b"")
    (tree / "a" / ".wh.gone").write_bytes(b"")
    (tree / "a" / "b" / ".wh..wh..opq").write_bytes(b"")
    (tree / os.fsdecode(b"bad\xff name\nline")).write_text("odd")
    (tree / ("long" * 40)).write_text("long")
    os.mkfifo(tree / "pipe")
    command = ["tar", "-C", str(tree), "--sort=name", "--format=gnu", "--mtime=@1700000000", "-cf", "-", "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _layer(layout: Path, tar: bytes, packer: str) -> tuple[dict, str]:
    command, media_type = PACKERS[packer]
    data = subprocess.run(command, input=tar, check=True, capture_output=True).stdout
    return _blob(layout, data, media_type), "sha256:" + hashlib.sha256(tar).hexdigest()


def _blob(layout: Path, data: bytes, media_type: str) -> dict:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _image(layout: Path, name: str, layers: list[tuple[dict, str]]) -> dict:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [d for _, d in layers]}}
    config_blob = _blob(layout, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_blob,
        "layers": [descriptor for descriptor, _ in layers],
    }
    entry = _blob(layout, json.dumps(manifest).encode(), manifest["mediaType"])
    return {**entry, "annotations": {"org.opencontainers.image.ref.name": name}}
