"""Builds an OCI layout of small images from files of this machine with GNU tar."""

import io
import os
import subprocess
import sysconfig
import tarfile
from collections.abc import Mapping
from pathlib import Path

from support.layouts import PACKERS, Layout

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


def build(directory: Path) -> Path:
    """Write the layout and return its directory."""
    layout = Layout(directory / "layout")
    packers = list(PACKERS)
    layers = [
        layout.layer(tar_of(parts), packers[number % 3])
        for number, parts in enumerate(PARTS.values())
    ]
    layers.append(layout.layer(tar_of_odd_things(directory / "odd"), "gzip"))
    layout.image("one:1", layers[:6])
    layout.image("two:1", layers[3:9])
    layout.image("three:latest", [layers[0], *layers[8:]])
    return layout.finish()


def tar_of(parts: list[str]) -> bytes:
    """Pack directories of the standard library."""
    command = [
        "tar",
        "-C",
        str(STDLIB),
        "--sort=name",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
        "-cf",
        "-",
        *parts,
    ]
    return subprocess.run(command, check=True, capture_output=True).stdout


def tar_of_files(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of regular files, in order of the mapping from name to content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def tar_of_odd_things(tree: Path) -> bytes:
    """A layer with links, a whiteout, an opaque marker, a FIFO, an empty file, odd names and
    copies."""
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
    command = [
        "tar",
        "-C",
        str(tree),
        "--sort=name",
        "--format=gnu",
        "--mtime=@1700000000",
        "-cf",
        "-",
        ".",
    ]
    return subprocess.run(command, check=True, capture_output=True).stdout
