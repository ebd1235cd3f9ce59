"""Builds an OCI layout of tens of images and more than 100,000 files from the files of this Python,
quickly.

Layers are random groups of directories, under one of several prefixes, so that files come again in
other layers, at the same path and at others. On top of some stand layers that change what is below:
whiteouts, opaque markers, overwritten files, files in place of directories, hard links.
"""

from __future__ import annotations

import io
import os
import random
import subprocess
import sysconfig
import tarfile
from collections import defaultdict
from pathlib import Path

from support.layouts import Layout

LAYERS, FILES_A_LAYER, CHANGES, IMAGES = 24, 4500, 8, 40
_LARGEST = 6000
_STEPS = (
    "ADD rootfs.tar / # buildkit",
    "/bin/sh -c apt-get update && apt-get install -y gcc",
    "RUN /bin/sh -c pip install numpy # buildkit",
    "COPY . /app # buildkit",
    "bazel build ...",
    "",
)
_PREFIXES = ("usr/lib/python3", "usr/local/lib", "opt/app/v1.0/lib")

Group = tuple[Path, list[str]]
"""A directory, and paths of files below it."""


def build(directory: Path) -> Path:
    """Write the layout and return its directory."""
    rng, layout = random.Random(2017), Layout(directory / "layout")
    groups = _groups()
    layers, names = [], []
    for number in range(LAYERS):
        prefix = _PREFIXES[number % 3]
        chosen = _chosen(rng, groups)
        layers.append(
            layout.layer(
                _tar(directory / "list", chosen, prefix), "gzip" if number % 8 == 0 else "plain"
            )
        )
        names.append([f"{prefix}/{name}" for _, files in chosen for name in files])
    changes = [layout.layer(_changes(rng, number, names), "plain") for number in range(CHANGES)]
    for number in range(IMAGES):
        base = rng.sample(range(LAYERS), rng.randrange(1, 4))
        if number % 4:
            base = [0, 1, *base[1:]] if number % 2 else [2, *base]
        stack = [layers[place] for place in base] + rng.sample(changes, rng.randrange(0, 4))
        if number % 3:
            stack.append(layout.layer(_own(number), "plain"))
        layout.image(f"team{number % 7}/image{number}:1", stack, _history(number, len(stack)))
    layout.image("team0/all:1", changes)
    layout.image("team0/twice:1", [layers[0], changes[0], layers[0]])
    return layout.finish()


def _history(number: int, layers: int) -> list[dict]:
    """Return the steps that made an image; that of every seventh does not know all of them."""
    rng = random.Random(number)
    steps = [{"created_by": line} for line in rng.choices(_STEPS, k=layers - (number % 7 == 0))]
    for _ in range(number % 3):
        steps.insert(rng.randrange(len(steps) + 1), {"created_by": "ENV A=b", "empty_layer": True})
    return steps


def _groups() -> list[Group]:
    """Return the small files of the standard library and of what is installed, by directory of two
    parts."""
    found: dict[tuple[Path, str], list[str]] = defaultdict(list)
    for root in map(Path, (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))):
        for directory, directories, files in os.walk(root):
            directories[:] = sorted(
                name for name in directories if name not in ("__pycache__", "site-packages")
            )
            for name in sorted(files):
                path = Path(directory, name)
                relative = path.relative_to(root)
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
                    found[root, "/".join(relative.parts[:2][:-1])].append(str(relative))
    return [(root, files) for (root, _), files in sorted(found.items())]


def _chosen(rng: random.Random, groups: list[Group]) -> list[Group]:
    chosen, count = [], 0
    for root, files in rng.sample(groups, len(groups)):
        if count < FILES_A_LAYER:
            chosen.append((root, files[: FILES_A_LAYER - count]))
            count += len(chosen[-1][1])
    return chosen


def _tar(names: Path, chosen: list[Group], prefix: str) -> bytes:
    """Pack groups of files below a prefix with GNU tar."""
    command = [
        "tar",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
        f"--transform=s,^,./{prefix}/,",
        "-cf",
        "-",
    ]
    roots: dict[Path, list[str]] = defaultdict(list)
    for root, files in chosen:
        roots[root] += files
    for number, (root, files) in enumerate(roots.items()):
        listed = names.with_suffix(f".{number}")
        listed.write_text("".join(f"{name}\n" for name in files))
        command += ["-C", str(root), f"--files-from={listed}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _changes(rng: random.Random, number: int, names: list[list[str]]) -> bytes:
    """A layer that hides and changes some of what other layers have."""
    data = io.BytesIO()
    paths = [
        name for layer in (names[0], names[2], rng.choice(names)) for name in rng.sample(layer, 60)
    ]
    paths = list(dict.fromkeys(paths))
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for place, path in enumerate(paths):
            directory, _, name = path.rpartition("/")
            kind = place % 9
            if kind < 3:
                _add(
                    tar,
                    path,
                    f"changed {place % 5} by {number % 2}".encode() * rng.randrange(1, 200),
                )
            elif kind < 5:
                _add(tar, f"{directory}/.wh.{name}", b"")
            elif kind == 5:
                _add(tar, f"{directory.rpartition('/')[0]}/.wh.{directory.rpartition('/')[2]}", b"")
            elif kind == 6:
                _add(tar, f"{directory}/.wh..wh..opq", b"")
            elif kind == 7 and sum(other.startswith(f"{directory}/") for other in paths) == 1:
                _add(tar, directory, b"", tarfile.SYMTYPE, "/elsewhere")
            else:
                _add(tar, f"srv/data{number}/{place}.bin", bytes(place))
                _add(
                    tar, f"srv/links/{place}", b"", tarfile.LNKTYPE, f"srv/data{number}/{place}.bin"
                )
        _add(tar, f"srv/data{(number + 1) % CHANGES}/.wh..wh..opq", b"")
    return data.getvalue()


def _own(number: int) -> bytes:
    """A layer of files that are in no other image, or at another path."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for place in range(40):
            _add(
                tar,
                f"srv/own/{place % 7}/{place}.txt",
                f"{number} {place % 30}".encode() * (place + 1),
            )
            _add(tar, f"srv/own{number}/{place}", b"the same everywhere" * place)
    return data.getvalue()


def _add(
    tar: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size, entry.mtime = kind, link, len(content), 1_700_000_000
    tar.addfile(entry, io.BytesIO(content))
