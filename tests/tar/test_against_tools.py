"""Trees of files packed by GNU tar and bsdtar in every format: we read what was on disk, and what
bsdtar reads."""

import hashlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.mtree import mtree, plain, time_of
from support.tools import need

SOME = settings(
    max_examples=int(os.environ.get("TREE_EXAMPLES", "25")),
    suppress_health_check=list(HealthCheck),
)
FORMATS = {
    "gnu-v7": ["tar", "--format=v7"],
    "gnu-oldgnu": ["tar", "--format=oldgnu"],
    "gnu-gnu": ["tar", "--format=gnu", "--sparse"],
    "gnu-ustar": ["tar", "--format=ustar"],
    "gnu-pax": ["tar", "--format=pax"],
    "gnu-pax-sparse-0.0": ["tar", "--format=pax", "--sparse", "--sparse-version=0.0"],
    "gnu-pax-sparse-0.1": ["tar", "--format=pax", "--sparse", "--sparse-version=0.1"],
    "gnu-pax-sparse-1.0": ["tar", "--format=pax", "--sparse", "--sparse-version=1.0"],
    "bsd-gnutar": ["bsdtar", "--format=gnutar"],
    "bsd-pax": ["bsdtar", "--format=pax"],
    "bsd-ustar": ["bsdtar", "--format=ustar"],
    "bsd-v7": ["bsdtar", "--format=v7tar"],
}
NANOSECONDS = ("gnu-pax", "bsd-pax")
LONG_NAMES = ("gnu-gnu", "gnu-oldgnu", "gnu-pax", "bsd-pax", "bsd-gnutar")
HOLES = 200_000
WORDS = {"dir": "directory", "link": "symlink", "fifo": "fifo", "file": "file"}

names = st.one_of(
    st.sampled_from(
        [
            b"a",
            b"b.py",
            b"x y",
            b"-dash",
            b"\xff\xfe",
            "ünï".encode(),
            b"new\nline",
            b"back\\slash",
            b"n" * 99,
        ]
    ),
    st.integers(100, 250).map(lambda length: b"l" * length),
)
files = st.tuples(
    st.sampled_from(["file"] * 5 + ["directory", "symlink", "hardlink", "fifo", "sparse"]),
    st.lists(names, min_size=1, max_size=3, unique=True),
    st.one_of(
        st.binary(max_size=20), st.integers(0, 20_000).map(lambda size: b"data" * (size // 4))
    ),
    st.sampled_from([0o644, 0o755, 0o4755, 0o1777, 0o600]),
    st.sampled_from([0, 1, 1000, 65534, 2_000_000]),
    st.sampled_from([0, 1, 1_600_000_000, 2**31 + 5, 8**11 - 1]),
    st.integers(0, 999_999_999),
)


def make(root: bytes, tree: list[tuple]) -> None:
    """Make what can be made of the tree: what a name or a missing right forbids is left out."""
    made = []
    for kind, parts, data, mode, owner, seconds, nanoseconds in tree:
        path = os.path.join(root, *parts)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind in ("file", "sparse"):
                with open(path, "xb") as file:
                    file.write(data)
                    if kind == "sparse":
                        file.seek(HOLES, os.SEEK_CUR)
                        file.write(b"end")
                        file.truncate(file.tell() + 100_000)
                made.append(path)
            elif kind == "directory":
                os.mkdir(path)
            elif kind == "symlink":
                os.symlink(b"to/" + parts[0][:90], path)
            elif kind == "hardlink" and made:
                os.link(made[-1], path)
                continue
            elif kind == "fifo":
                os.mkfifo(path)
            else:
                continue
            if os.geteuid() == 0:
                os.lchown(path, owner, owner)
            if kind != "symlink":
                os.chmod(path, mode)
            os.utime(path, ns=(0, seconds * 10**9 + nanoseconds), follow_symlinks=False)
        except OSError:
            continue


def on_disk(root: bytes, path: bytes) -> dict:
    status = os.lstat(os.path.join(root, path))
    found = {
        "mode": stat.S_IMODE(status.st_mode),
        "owner": (status.st_uid, status.st_gid),
        "ns": status.st_mtime_ns,
    }
    if stat.S_ISREG(status.st_mode):
        with open(os.path.join(root, path), "rb") as file:
            found["content"] = (status.st_size, hashlib.sha256(file.read()).digest())
    return found


def check_disk(form: str, root: bytes, entries: list) -> None:
    for entry in entries:
        disk = on_disk(root, entry.path)
        if entry.kind == "symlink":
            assert entry.link == os.readlink(os.path.join(root, entry.path))
        else:
            assert entry.mode == disk["mode"]
        assert (entry.uid, entry.gid) == disk["owner"]
        assert entry.mtime == disk["ns"] // 10**9
        if form.startswith(NANOSECONDS):
            assert entry.mtime_ns == disk["ns"] % 10**9
        if "content" in disk:
            assert (entry.size, entry.sha256) == disk["content"]


def check_bsdtar(form: str, archive: Path, entries: list) -> None:
    theirs = {
        os.path.normpath(b"root/" + path): keywords for path, keywords in mtree(archive).items()
    }
    ours = {os.path.normpath(b"root/" + entry.path): entry for entry in entries}
    if form.startswith("gnu-pax") and any(b"\xff" in path for path in ours):
        return  # there, bsdtar drops paths that are no UTF-8, and some after them
    assert set(ours) == set(theirs)
    for path, entry in ours.items():
        their = theirs[path]
        if entry.kind == "hardlink":
            continue  # bsdtar loses them
        assert WORDS[their["type"].decode()] == entry.kind
        assert (int(their["mode"], 8), int(their["uid"]), int(their["gid"])) == (
            entry.mode,
            entry.uid,
            entry.gid,
        )
        assert time_of(their) == (entry.mtime, entry.mtime_ns)
        assert plain(their.get("link", b"")) == entry.link
        if entry.kind == "file" and "size" in their:  # not where hard links point to
            assert int(their["size"]) == entry.size
        if "sha256digest" in their and entry.size < HOLES:  # of a sparse file it hashes no holes
            assert their["sha256digest"] == entry.sha256.hex().encode()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
@SOME
@given(tree=st.lists(files, min_size=1, max_size=8))
def test_trees(form, tree, read):
    for tool in ("bsdtar", "tar"):
        need(tool)
    with tempfile.TemporaryDirectory() as directory:
        root, archive = os.fsencode(directory) + b"/root", Path(directory, "archive.tar")
        os.mkdir(root)
        make(root, tree)
        # What the format can't hold (long names in v7) is left out by the tool, which says so by
        # its exit code.
        command = [*FORMATS[form], "-C", os.fsdecode(root), "--numeric-owner", "-cf", archive, "."]
        packed = subprocess.run(command, capture_output=True)
        if form in LONG_NAMES:
            assert packed.returncode == 0, packed.stderr
        result = read(archive)
        assert result.profile.status == "ok", result.profile.message
        check_bsdtar(form, archive, result.entries)
        whole = [
            entry for entry in result.entries if os.path.lexists(os.path.join(root, entry.path))
        ]
        # bsdtar now and then writes a wrong path if it is no UTF-8 and sparse.
        if form in LONG_NAMES and not (
            form == "bsd-pax" and any(b"\xff" in entry.path for entry in result.entries)
        ):
            assert len(whole) == len(result.entries)
            check_disk(form, root, whole)
