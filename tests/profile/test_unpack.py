"""Layers unpacked on scratch: what is made and what is not; nothing leaves the directory."""

import errno
import hashlib
import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from support import elf, small_images, tars
from support.tools import need

from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.profile.unpack import ZEROS, UnpackedTree
from hpc_remetrics.tar.fault import LayerFault

ENTRY = 1024
"""Bytes of the quota that an entry takes besides its content."""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "tree"


@pytest.fixture
def grow(root):
    """Return a function that makes the tree anew with a quota; it is closed at the end."""
    made = []

    def make(quota: int = 1 << 30) -> UnpackedTree:
        made.append(UnpackedTree(root, quota))
        return made[-1]

    yield make
    for tree in made:
        tree.close()


@pytest.fixture
def tree(grow):
    return grow()


def entry(path: bytes, flag: bytes, link: bytes = b"", mode: int = 0o644) -> bytes:
    """An entry without content; a long link goes to a PAX header."""
    return (tars.pax({b"linkpath": link}) if link else b"") + tars.header(path, flag, mode=mode)


@pytest.fixture
def unpack(tmp_path):
    """Return a function that unpacks a tar and gives the tree's root, the row, and the stream's
    row."""

    def run(data: bytes, quota: int = 1 << 30):
        rows = []
        for tree in (UnpackedTree(tmp_path / "tree", quota), None):
            spill = Spill(tmp_path / "spill")
            rows.append(profile_layer(io.BytesIO(data), spill, Limits(), tree=tree))
            spill.close()
            rows[-1].cpu_seconds = 0.0
            rows.append((tmp_path / "spill").read_bytes())
            if tree:
                tree.close()
        return tmp_path / "tree", rows

    return run


def mode_of(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_each_kind_of_entry_is_made(tree, root):
    tree.directory(b"d", 0o750)
    digest, data = tree.write(b"d/file", 0o640, 3, [b"ab", b"c"])
    tree.symlink(b"link", b"d/file")
    tree.hardlink(b"hard", b"d/file")
    tree.empty_file(b".wh.gone", 0o600)
    assert (digest, data) == (hashlib.sha256(b"abc").digest(), b"abc")
    assert os.readlink(root / "link") == "d/file"
    assert (root / "link").read_bytes() == (root / "hard").read_bytes() == b"abc"
    assert os.stat(root / "hard").st_nlink == 2
    assert (root / ".wh.gone").stat().st_size == 0
    assert listing(root) == [".wh.gone", "d", "d/file", "hard", "link"]


def test_the_remains_of_an_earlier_child_are_removed(grow, root):
    (root / "old").mkdir(parents=True)
    (root / "old" / "file").write_text("x")
    grow()
    assert listing(root) == []
    assert mode_of(root) == 0o700


def test_modes_leave_the_owner_access_and_have_no_set_id_bits(tree, root):
    before = os.umask(0)
    try:
        tree.write(b"none", 0, 0, [])
        tree.write(b"all", 0o7777, 0, [])
        tree.empty_file(b"empty", 0o5051)
        tree.directory(b"closed", 0)
        tree.directory(b"open", 0o7777)
        tree.write(b"above/file", 0o644, 0, [])
    finally:
        os.umask(before)
    names = ("none", "all", "empty", "closed", "open", "above")
    assert [mode_of(root / name) for name in names] == [0o600, 0o777, 0o651, 0o700, 0o777, 0o700]
    tree.directory(b"above", 0o755)
    assert mode_of(root / "above") == 0o755
    # A directory in the place of a file is for its owner alone, too
    tree.write(b"all/file", 0o644, 0, [])
    assert mode_of(root / "all") == 0o700


def fill(tree: UnpackedTree, kind: str) -> None:
    """Make one entry of a kind at b"x"."""
    makers = {
        "file": lambda: tree.write(b"x", 0o600, 1, [b"2"]),
        "directory": lambda: tree.directory(b"x", 0o700),
        "symlink": lambda: tree.symlink(b"x", b"target"),
        "hardlink": lambda: tree.hardlink(b"x", b"other"),
        "empty": lambda: tree.empty_file(b"x", 0o600),
        "parent": lambda: tree.write(b"x/inner", 0o600, 1, [b"2"]),
    }
    makers[kind]()


def kind_at(path: Path) -> str:
    if path.is_symlink():
        return "symlink"
    if path.is_dir():
        return "parent" if os.listdir(path) else "directory"
    if path.stat().st_nlink == 2:
        return "hardlink"
    return "file" if path.read_bytes() else "empty"


KINDS = ("file", "directory", "symlink", "hardlink", "empty", "parent")


@pytest.mark.parametrize("later", KINDS)
@pytest.mark.parametrize("earlier", KINDS)
def test_a_later_entry_replaces_whatever_is_in_its_way(tree, root, earlier, later):
    tree.write(b"other", 0o600, 5, [b"other"])
    fill(tree, earlier)
    assert kind_at(root / "x") == earlier
    fill(tree, later)
    # A directory entry leaves what the directory has
    keeps = earlier == "parent" and later == "directory"
    assert kind_at(root / "x") == ("parent" if keeps else later)
    assert (root / "other").read_bytes() == b"other"


def test_a_symbolic_link_to_nothing_is_left_out(tree, root):
    tree.symlink(b"link", b"one")
    tree.symlink(b"link", b"two")
    tree.symlink(b"empty", b"")
    assert os.readlink(root / "link") == "two"
    assert os.listdir(root) == ["link"]


def test_a_hard_link_needs_a_file_of_the_tree(tree, root):
    tree.write(b"d/file", 0o600, 1, [b"x"])
    tree.symlink(b"through", b"d")
    tree.hardlink(b"to-directory", b"d")
    tree.hardlink(b"to-nothing", b"d/none")
    tree.hardlink(b"far", b"none/none/none")
    tree.hardlink(b"through-a-link", b"through/file")
    tree.hardlink(b"long", b"n" * 256)
    tree.hardlink(b"d/file", b"d/file")
    assert listing(root) == ["d", "d/file", "through"]
    assert (root / "d" / "file").read_bytes() == b"x"
    # A link that takes the place of the directory which its target is in
    tree.hardlink(b"d", b"d/file")
    assert listing(root) == ["through"]
    # A link to a symbolic link is one more of them
    tree.hardlink(b"again", b"through")
    assert os.readlink(root / "again") == "d"


def test_links_leave_no_descriptor_open(tree, root):
    tree.write(b"d/e/file", 0o600, 1, [b"x"])
    before = open_files()
    for target in (b"d/e/file", b"d/e", b"d/e/none", b"d/none/none", b"none/e/file", b"d/e/file/x"):
        tree.hardlink(b"link", target)
    assert open_files() == before


def test_directories_that_are_open_at_once_are_bounded(tree, root, monkeypatch):
    monkeypatch.setattr("hpc_remetrics.profile.unpack._MOST_NAMES", 5)
    before = open_files()
    most = 0
    for number in range(12):
        tree.write(b"%d/file" % number, 0o600, 1, [b"x"])
        most = max(most, open_files() - before)
    assert most == 5
    assert len(listing(root)) == 24


def test_closing_leaves_the_files_and_no_descriptor(root):
    before = open_files()
    tree = UnpackedTree(root, 1 << 20)
    tree.write(b"a/b/file", 0o600, 1, [b"x"])
    assert open_files() == before + 3
    tree.close()
    assert open_files() == before
    assert listing(root) == ["a", "a/b", "a/b/file"]


NAMES_THAT_FIT = [
    b"n" * 255,
    b"/".join([b"d"] * 255),
    b"/".join([b"n" * 255] * 12),
    b"/".join([b"n" * 255] * 11 + [b"n" * 127, b"n" * 128]),  # 3072 bytes
]
NAMES_THAT_DO_NOT = [
    b"",
    b"n" * 256,
    b"/".join([b"d"] * 256),
    b"/".join([b"n" * 255] * 12) + b"/n",
    b"a\0b",
]


@pytest.mark.parametrize("path", NAMES_THAT_FIT)
def test_paths_as_long_as_a_file_system_can_hold_are_made(tree, root, path):
    tree.empty_file(path, 0o600)
    assert os.path.isfile(bytes(root) + b"/" + path)


@pytest.mark.parametrize("path", NAMES_THAT_DO_NOT)
def test_what_a_file_system_can_not_hold_is_hashed_and_left_out(tree, root, tmp_path, path):
    written = tree.write(path, 0o600, 3, [b"abc"])
    tree.directory(path, 0o700)
    tree.symlink(path, b"target")
    tree.empty_file(path, 0o600)
    tree.write(b"file", 0o600, 1, [b"x"])
    tree.hardlink(path, b"file")
    tree.hardlink(b"link", path)
    assert written == (hashlib.sha256(b"abc").digest(), b"abc")
    assert listing(root) == ["file"]
    assert os.listdir(tmp_path) == ["tree"]


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.EINVAL])
def test_a_name_that_this_file_system_refuses_is_left_out_too(tree, root, monkeypatch, number):
    """Some file systems hold shorter names, or not all bytes, such as eCryptfs and exFAT."""
    real = os.open

    def refuse(path, flags, mode=0o777, *, dir_fd=None):
        if path == b"odd":
            raise OSError(number, os.strerror(number))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    assert tree.write(b"odd", 0o600, 1, [b"x"])[1] == b"x"
    tree.empty_file(b"odd", 0o600)
    tree.directory(b"odd", 0o700)
    assert not (root / "odd").is_file()


COSTS = [
    (lambda tree: tree.write(b"f", 0o600, 10, [b"12345", b"67890"]), ENTRY + 10),
    (lambda tree: tree.write(b"f", 0o600, len(ZEROS) + 1, [ZEROS, b"x"]), ENTRY + 1),
    (lambda tree: tree.empty_file(b"f", 0o600), ENTRY),
    (lambda tree: tree.empty_file(b"a/b/f", 0o600), 3 * ENTRY),
    (lambda tree: tree.symlink(b"f", b"target"), ENTRY),
    (lambda tree: tree.hardlink(b"f", b"none"), ENTRY),
    (lambda tree: tree.directory(b"d", 0o700), 2 * ENTRY),
]
"""What is made, and the bytes of the quota that it takes."""


@pytest.mark.parametrize(("make", "cost"), COSTS)
def test_each_entry_takes_its_share_of_the_quota(grow, make, cost):
    make(grow(cost))
    with pytest.raises(LayerFault, match="takes more than it was granted on scratch") as caught:
        make(grow(cost - 1))
    assert (caught.value.stage, caught.value.cause) == ("unpack", "no_room")


def test_holes_are_not_written(tree, root):
    size = 8 * len(ZEROS)
    digest, _ = tree.write(b"sparse", 0o600, size + 1, [ZEROS] * 4 + [b"x"] + [ZEROS] * 4)
    want = bytes(size // 2) + b"x" + bytes(size // 2)
    assert (root / "sparse").read_bytes() == want
    assert digest == hashlib.sha256(want).digest()
    assert os.stat(root / "sparse").st_blocks * 512 <= 1 << 20


FAULTS = {
    errno.ENOSPC: "no_room",
    errno.EDQUOT: "no_room",
    errno.EMFILE: "no_room",
    errno.ENFILE: "no_room",
    errno.EIO: "io_error",
    errno.ENAMETOOLONG: "io_error",
}


@pytest.mark.parametrize("number", FAULTS)
def test_an_error_of_the_file_system_is_a_fault_of_this_machine(tree, monkeypatch, number):
    def fail(file, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)
    path = b"/".join([b"d" * 99] * 2) + b"/\xff"
    with pytest.raises(LayerFault) as caught:
        tree.write(path, 0o600, 1, [b"x"])
    assert (caught.value.stage, caught.value.cause) == ("unpack", FAULTS[number])
    name = f"{'d' * 98}/{'d' * 99}/\\xff"
    assert caught.value.message == f"unpacking {name} failed: {os.strerror(number)}"


@pytest.mark.parametrize("kind", ["symlink", "empty", "directory"])
def test_an_error_for_an_entry_without_content_is_one_too(tree, monkeypatch, kind):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for name in ("symlink", "open", "mkdir"):
        monkeypatch.setattr(os, name, fail)
    with pytest.raises(LayerFault, match="unpacking x failed: Input/output error"):
        fill(tree, kind)


def test_what_can_not_be_removed_is_a_fault(tree, monkeypatch):
    tree.write(b"x", 0o600, 1, [b"x"])

    def fail(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(LayerFault, match="unpacking x failed: Read-only file system"):
        tree.empty_file(b"x", 0o600)


def test_a_file_that_is_shorter_when_it_is_read_back_is_a_fault(tree, monkeypatch):
    monkeypatch.setattr(os, "ftruncate", lambda file, size: None)
    with pytest.raises(LayerFault, match="a file of 10 bytes has 3 when it is read back"):
        tree.write(b"x", 0o600, 10, [b"abc"])


def test_an_executable_that_libmagic_may_read_anywhere_stays_open(tree, root):
    """Of a long file both ends are held; this one has its tables of sections in the middle."""
    size = 3 * HEAD_BYTES
    middle = size // 2
    program = elf.executable([(elf.NOTE, 64, 16)], section_at=middle, size=4096)
    sparse = [program.ljust(len(ZEROS), b"\0"), *[ZEROS] * 20]
    _, held = tree.write(b"program", 0o600, size, sparse)
    assert held.whole is not None
    held.whole.seek(0)
    assert held.whole.read(4) == b"\x7fELF"
    held.whole.close()
    _, held = tree.write(b"text", 0o600, size, [b"text".ljust(len(ZEROS)), *[ZEROS] * 20])
    assert held.whole is None


ATTACKS = {
    "a file through a link to outside": lambda out: [
        entry(b"link", b"2", link=out),
        tars.file(b"link/canary", b"x"),
    ],
    "a file over a link to outside": lambda out: [
        entry(b"link", b"2", link=out + b"/canary"),
        tars.file(b"link", b"x"),
    ],
    "a directory over a link to outside": lambda out: [
        entry(b"link", b"2", link=out),
        entry(b"link/", b"5", mode=0o777),
        tars.file(b"link/canary", b"x"),
    ],
    "a hard link through a link to outside": lambda out: [
        entry(b"link", b"2", link=out),
        entry(b"hard", b"1", link=b"link/secret"),
        tars.file(b"hard", b"x"),
    ],
    "a hard link to a link to outside": lambda out: [
        entry(b"link", b"2", link=out + b"/secret"),
        entry(b"hard", b"1", link=b"link"),
        tars.file(b"hard", b"x"),
    ],
    "a link two steps up": lambda out: [
        entry(b"a", b"2", link=b".."),
        entry(b"a/b", b"2", link=b"../.."),
        tars.file(b"a/b/canary", b"x"),
    ],
    "paths that climb": lambda out: [
        tars.file(b"../canary", b"x"),
        tars.file(b"a/../../canary", b"x"),
        tars.pax({b"path": out + b"/canary"}) + tars.file(b"short", b"x"),
    ],
    "a link for the root": lambda out: [entry(b"./", b"2", link=out), tars.file(b"canary", b"x")],
    "a root that is a file": lambda out: [
        tars.file(b"./", b"x"),
        tars.file(b"/", b"y"),
        tars.file(b"..", b"z"),
    ],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_leaves_the_directory(unpack, tmp_path, attack):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    before = set(tmp_path.rglob("*")) | {tmp_path / "tree", tmp_path / "spill"}
    root, rows = unpack(b"".join(ATTACKS[attack](bytes(outside))) + tars.END)
    made = {path for path in tmp_path.rglob("*") if not path.is_relative_to(root)} - before
    assert made == set()
    assert (outside / "secret").read_text() == "secret"
    assert os.stat(outside / "secret").st_nlink == 1
    assert rows[:2] == rows[2:]


def test_an_unpacked_layer_has_the_modes_and_the_bytes_of_its_entries(unpack):
    layer = [
        tars.file(b"d/f", b"bytes", mode=0o640),
        entry(b"d/", b"5", mode=0o750),
        entry(b"d/.wh.x", b"0", mode=0o600),
        entry(b"d/.wh..wh..opq", b"0", mode=0o604),
        entry(b"link", b"2", link=b"d/f", mode=0o777),
        entry(b"hard", b"1", link=b"./d//f"),
        tars.old_gnu_sparse(b"sparse", 5000, [(1000, b"data")]),
    ]
    before = os.umask(0)
    try:
        root, rows = unpack(b"".join(layer) + tars.END)
    finally:
        os.umask(before)
    names = ("d/f", "d", "d/.wh.x", "d/.wh..wh..opq")
    assert [mode_of(root / name) for name in names] == [0o640, 0o750, 0o600, 0o604]
    assert (root / "d" / "f").read_bytes() == (root / "hard").read_bytes() == b"bytes"
    assert os.readlink(root / "link") == "d/f"
    want = bytes(1000) + b"data" + bytes(3996)
    assert (root / "sparse").read_bytes() == want
    assert rows[:2] == rows[2:]


def test_no_device_no_owner_no_set_id_bits(unpack):
    root, rows = unpack(
        entry(b"dev", b"3")
        + entry(b"block", b"4")
        + entry(b"pipe", b"6")
        + tars.file(b"suid", b"x", mode=0o6755, uid=1234)
        + entry(b"sticky/", b"5", mode=0o7000)
        + tars.file(b"sticky/file", b"y", mode=0)
        + tars.END
    )
    assert sorted(os.listdir(root)) == ["sticky", "suid"]
    status = os.stat(root / "suid")
    assert (status.st_uid, stat.S_IMODE(status.st_mode) & 0o7000) == (os.getuid(), 0)
    assert stat.S_IMODE(os.stat(root / "sticky").st_mode) == 0o700
    assert (root / "sticky" / "file").read_text() == "y"
    assert rows[:2] == rows[2:]


def test_the_later_entry_wins_and_each_row_has_its_own_content(unpack):
    root, rows = unpack(
        tars.file(b"a", b"first")
        + tars.file(b"a", b"second")
        + tars.file(b"a/b/c", b"third")
        + tars.file(b"a/b", b"fourth")
        + entry(b"a/b", b"1", link=b"a/b")
        + entry(b"a/h", b"1", link=b"a/b")
        + tars.END
    )
    assert (root / "a" / "b").read_text() == "fourth"
    assert os.path.samefile(root / "a" / "b", root / "a" / "h")
    assert rows[:2] == rows[2:]


def test_what_a_file_system_can_not_hold_is_profiled_all_the_same(unpack):
    long = [b"n" * 300, b"/".join([b"d"] * 300), b"x/" * 2000 + b"y"]
    root, rows = unpack(
        b"".join(tars.pax({b"path": name}) + tars.file(b"short", name[:9]) for name in long)
        + tars.END
    )
    assert os.listdir(root) == []
    assert rows[0].files == 3
    assert rows[:2] == rows[2:]


def test_a_layer_that_takes_more_than_its_room_leaves_nothing(unpack):
    _, rows = unpack(
        tars.file(b"small", b"x") + tars.file(b"big", bytes(1 << 20)) + tars.END, quota=1 << 19
    )
    assert (rows[0].status, rows[0].stage, rows[0].cause) == ("failed", "unpack", "no_room")
    assert (rows[0].entries, rows[1]) == (0, b"")


@pytest.mark.slow
def test_a_tree_is_what_gnu_tar_makes(unpack, tmp_path):
    data = small_images.tar_of(["email"])
    root, _ = unpack(data)
    (tmp_path / "wanted").mkdir()
    subprocess.run(
        ["tar", "-x", "--no-same-owner", "-C", tmp_path / "wanted"], input=data, check=True
    )
    subprocess.run([need("diff"), "-r", "--no-dereference", root, tmp_path / "wanted"], check=True)
