"""Two sets of real layers: Debian packages and wheels, packed by GNU tar, a layer an image.

    python -m benchmarks.layers DIRECTORY [--large]

makes an OCI layout without being root, and keeps what it downloaded:

    DIRECTORY/oci          6 layers   0.26 GB compressed   0.88 GB of tar
    DIRECTORY/oci-large   10 layers   0.87 GB compressed   2.75 GB of tar

The versions are those that the machine's Debian or Ubuntu offers, so layers differ from one machine
to another: figures are comparable within a run only, which is why they are given as ratios.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SETS: dict[str, dict[str, list[str]]] = {
    "oci": {
        "base": [],
        "python": [
            "libpython*-stdlib",
            "libpython*-testsuite",
            "python3-pip",
            "python3-setuptools",
            "python3-django",
        ],
        "javascript": [
            "node-typescript",
            "webpack",
            "eslint",
            "node-core-js",
            "node-babel7",
            "node-lodash",
            "npm",
        ],
        "go": ["golang-*-src"],
        "java": ["openjdk-*-jre-headless"],
        "numeric": ["numpy==2.2.6", "scipy==1.15.3", "pandas==2.2.3"],
    },
    "oci-large": {
        "office": ["libreoffice-core", "libreoffice-common"],
        "tex": [
            "texlive-base",
            "texlive-latex-base",
            "texlive-latex-extra",
            "texlive-pictures",
            "texlive-fonts-recommended",
        ],
        "compiler": ["gcc-*", "g++-*", "libboost*-dev"],
        "llvm": ["llvm-*-dev", "libllvm*"],
        "rust": ["libstd-rust-dev"],
        "desktop": ["emacs-common", "vim-runtime", "fonts-noto-cjk", "adwaita-icon-theme"],
        "server": ["postgresql-*", "libruby*", "perl-modules-*", "r-base-core"],
        "jdk": ["openjdk-*-jdk-headless"],
        "web": [
            "ansible==11.6.0",
            "botocore==1.38.0",
            "django==5.2",
            "jupyterlab==4.4.2",
            "plotly==6.1.0",
            "sympy==1.14.0",
            "transformers==4.52.3",
        ],
        "tools": ["opencv-python-headless==4.11.0.86", "playwright==1.52.0", "polars==1.30.0"],
    },
}
"""Layout of a set -> layer -> its packages.

Packages of Debian, where `*` stands for the highest version; none: what every Debian has. Names
with `==` are wheels.
"""

_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def build(directory: Path, chosen: str = "oci") -> Path:
    """Make the layout of a set unless it is there; return its directory.

    :param chosen: one of `SETS`.
    """
    layout = directory / chosen
    if (layout / "index.json").is_file():
        return layout
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    entries = []
    for name, packages in SETS[chosen].items():
        print(f"layer {name}", file=sys.stderr, flush=True)
        tree = directory / "trees" / name
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        if any("==" in package for package in packages):
            _unpack_wheels(directory / "downloads" / name, packages, tree)
        else:
            _unpack_packages(directory / "downloads" / name, packages or _required(), tree)
        entries.append(_image(layout, name, _pack(tree)))
        shutil.rmtree(tree)
    (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return layout


def _run(*command: object, **options: Any) -> str:
    return subprocess.run(
        [*map(str, command)], check=True, stdout=subprocess.PIPE, text=True, **options
    ).stdout


def _required() -> list[str]:
    """Return the packages that every Debian has, as this machine's package lists say."""
    listed = _run("apt-cache", "dumpavail")
    fields = [
        dict(re.findall(r"^(\w+): (.*)$", text, re.MULTILINE)) for text in listed.split("\n\n")
    ]
    wanted = ("required", "important", "standard")
    return sorted({one["Package"] for one in fields if one.get("Priority") in wanted})


def _unpack_packages(directory: Path, packages: Iterable[str], tree: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if not any(directory.glob("*.deb")):
        names = [_highest(package) for package in packages]
        subprocess.run(
            ["apt-get", "-q", "download", *names],
            check=True,
            cwd=directory,
            stdout=subprocess.DEVNULL,
        )
    for package in sorted(directory.glob("*.deb")):
        unpacked = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        # Links such as /lib -> usr/lib come with one package and lead through for the next.
        command = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(tree)]
        subprocess.run(command, stdin=unpacked.stdout, check=True)
        if unpacked.wait():
            raise RuntimeError(f"dpkg-deb can't read {package}")


def _highest(package: str) -> str:
    """Return the name with the highest version in place of `*`."""
    if "*" not in package:
        return package
    pattern = re.compile(re.escape(package).replace(r"\*", r"-?(\d+(?:\.\d+)*)") + r"\Z")
    known = [
        found for name in _run("apt-cache", "pkgnames").split() if (found := pattern.match(name))
    ]
    if not known:
        raise RuntimeError(f"no package is named like {package}: sudo apt-get update")
    return max(known, key=lambda found: [*map(int, found.group(1).split("."))]).group()


def _unpack_wheels(directory: Path, names: Sequence[str], tree: Path) -> None:
    if not directory.is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            directory,
        ]
        _run(*command, *names)
    for wheel in sorted(directory.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tree / "usr/local/lib/site-packages")


def _pack(tree: Path) -> bytes:
    command = [
        "tar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "-C",
        str(tree),
        "-c",
        ".",
    ]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def _image(layout: Path, name: str, tar: bytes) -> dict[str, Any]:
    packed = subprocess.run(["gzip", "-n6"], input=tar, check=True, stdout=subprocess.PIPE).stdout
    diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(
            layout, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"
        ),
        "layers": [_blob(layout, packed, _LAYER)],
    }
    entry = _blob(layout, json.dumps(manifest).encode(), manifest["mediaType"])
    return {**entry, "annotations": {"org.opencontainers.image.ref.name": f"{name}:1"}}


def _blob(layout: Path, data: bytes, media_type: Any) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def blobs(layout: Path) -> dict[str, Path]:
    """Return the layers of a layout that `build` made: name -> blob."""
    found = {}
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        manifest = json.loads(_path(layout, entry["digest"]).read_text())
        name = entry["annotations"]["org.opencontainers.image.ref.name"].partition(":")[0]
        found[name] = _path(layout, manifest["layers"][0]["digest"])
    return found


def _path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.layers", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("directory", type=Path, nargs="?", default=Path("bench-data"))
    parser.add_argument("--large", action="store_true", help="make the larger set")
    options = parser.parse_args()
    layout = build(options.directory, "oci-large" if options.large else "oci")
    for name, path in blobs(layout).items():
        print(f"{name:<12}{path.stat().st_size / 1e6:8.1f} MB")


if __name__ == "__main__":
    main()
