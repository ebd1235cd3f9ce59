"""What an unpacked layer looks like on disk."""

import os

import pytest

from hpc_remetrics.profile.unpack import ZEROS, UnpackedTree
from hpc_remetrics.tar.fault import LayerFault


@pytest.fixture
def tree(tmp_path):
    made = UnpackedTree(tmp_path / "tree", 100_000)
    yield made
    made.close()


def test_each_kind_of_entry_is_made(tree, tmp_path):
    root = tmp_path / "tree"
    tree.directory(b"d", 0o750)
    tree.write(b"d/file", 0o640, 3, [b"ab", b"c"])
    tree.symlink(b"link", b"d/file")
    tree.hardlink(b"hard", b"d/file")
    tree.empty_file(b".wh.gone", 0o600)
    assert os.readlink(root / "link") == "d/file"
    assert (root / "link").read_bytes() == (root / "hard").read_bytes() == b"abc"
    assert os.stat(root / "hard").st_nlink == 2
    assert (root / ".wh.gone").stat().st_size == 0
    assert sorted(os.listdir(root)) == [".wh.gone", "d", "hard", "link"]
    assert os.stat(root / "d").st_mode & 0o777 == 0o750


def test_the_later_link_replaces_the_earlier_one(tree, tmp_path):
    tree.symlink(b"link", b"one")
    tree.symlink(b"link", b"two")
    tree.symlink(b"empty", b"")
    assert os.readlink(tmp_path / "tree" / "link") == "two"
    assert os.listdir(tmp_path / "tree") == ["link"]


def test_holes_take_no_quota_and_data_does(tree, tmp_path):
    tree.write(b"sparse", 0o600, len(ZEROS) + 1, [ZEROS, b"x"])
    data = (tmp_path / "tree" / "sparse").read_bytes()
    assert data == ZEROS + b"x"
    with pytest.raises(LayerFault, match="unpacking big failed") as caught:
        tree.write(b"big", 0o600, 100_000, [bytes(100_000)])
    assert (caught.value.stage, caught.value.cause) == ("unpack", "no_room")
