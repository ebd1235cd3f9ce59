"""Layers of the machine's own files, each in another tar dialect, as GNU tar and bsdtar write
them."""

import os
import random
import stat
import subprocess
import sysconfig
from pathlib import Path

FILES = 1_200
LARGEST = 8 << 20

LAYERS = {
    "gnu": (["/usr/bin", "/usr/sbin", "/usr/libexec"], ["tar", "--format=gnu"], "gzip"),
    "posix": (
        ["/etc", "/var/lib"],
        ["tar", "--format=posix", "--pax-option=delete=atime,delete=ctime"],
        "zstd",
    ),
    "ustar": (["/usr/share"], ["tar", "--format=ustar"], "plain"),
    "oldgnu": (["/usr/lib"], ["tar", "--format=oldgnu"], "gzip"),
    "pax": ([sysconfig.get_path("purelib"), "/usr/share/doc"], ["bsdtar", "--format=pax"], "zstd"),
    "restricted": ([sysconfig.get_path("stdlib")], ["bsdtar", "--format=rpax"], "gzip"),
}
"""Name -> directories, the command that packs, how it is compressed."""


def chosen(directories: list[str], short: bool) -> list[bytes]:
    """Return some files of the directories, each with those that it is in, as `find` lists them.

    :param short: whether only names are taken that every dialect can hold.
    """
    found = []
    for directory in directories:
        for place, names, files in os.walk(os.fsencode(directory)):
            found += [os.path.join(place, name) for name in (*names, *files)]
    found.sort()
    random.Random(len(directories)).shuffle(found)
    kept = [path for path in found if _is_fit(path, short)][:FILES]
    return sorted({parent for path in kept for parent in _parents(path)})


def _is_fit(path: bytes, short: bool) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if (
        stat.S_ISSOCK(status.st_mode)
        or b"\n" in path
        or (short and (len(path) > 99 or not path.isascii()))
    ):
        return False
    if stat.S_ISLNK(status.st_mode):
        return not short or len(os.readlink(path)) < 100
    return status.st_size < LARGEST and os.access(path, os.R_OK)


def _parents(path: bytes) -> list[bytes]:
    parts = path.strip(b"/").split(b"/")
    return [b"/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def pack(name: str) -> tuple[bytes, str]:
    """Return a layer's tar and how it is to be compressed."""
    directories, command, packer = LAYERS[name]
    names = chosen(directories, short=name in ("ustar", "oldgnu"))
    options = ["-C", "/", "--no-recursion", "--null", "-c", "-f", "-", "-T", "-"]
    # A file that changes while it is read gives exit code 1 and a tar that is whole.
    result = subprocess.run([*command, *options], input=b"\0".join(names), capture_output=True)
    assert result.stdout and result.returncode in (0, 1), result.stderr
    return result.stdout, packer


def unpacked(blob: Path, directory: Path) -> Path:
    """Extract a blob's files for other tools to look at."""
    directory.mkdir()
    command = [
        "bsdtar",
        "-xf",
        str(blob),
        "-C",
        str(directory),
        "--no-same-owner",
        "--no-same-permissions",
    ]
    subprocess.run(
        [*command, "--no-xattrs", "--no-acls", "--no-fflags"], check=True, capture_output=True
    )
    return directory
