"""The row of a layer, and what its hard links resolve to."""

import hashlib
import io

import pytest
from support import tars

from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.entries import profile_file
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.records import Digest

ENTRIES = [
    tars.header(b"d/", b"5"),
    tars.file(b"d/file", b"abc"),
    tars.header(b"link", b"2", link=b"d/file"),
    tars.header(b"hard", b"1", link=b"d/file"),
    tars.header(b"pipe", b"6"),
    tars.file(b"x/y/z/.wh.gone"),
    tars.file(b"x/.wh..wh..opq"),
]
LAYER = b"".join(ENTRIES) + tars.END


def test_the_row_counts_entries_and_bytes(tmp_path):
    spill = Spill(tmp_path / "spill")
    profile = profile_layer(io.BytesIO(LAYER), spill, Limits())
    spill.close()
    assert (profile.status, profile.compression) == ("ok", "none")
    assert (profile.entries, profile.files, profile.symlinks, profile.hardlinks) == (7, 1, 1, 1)
    assert (profile.devices, profile.whiteouts, profile.others) == (1, 2, 0)
    assert (profile.directories, profile.depth) == (4, 4)
    assert profile.FLS == 3
    assert profile.TLS == profile.CLS == len(LAYER)
    paths = b"d/", b"d/file", b"link", b"hard", b"pipe", b"x/y/z/.wh.gone", b"x/.wh..wh..opq"
    assert profile.path_bytes == sum(map(len, paths))
    assert profile.link_bytes == 2 * len(b"d/file")


IN_ONE_DIRECTORY = [
    ([tars.file(b"a/b/f")], 2, 3),
    ([tars.file(b"a/f"), tars.header(b"a/d", b"5")], 2, 2),
    ([tars.file(b"a/f"), tars.header(b"a/d/", b"5"), tars.file(b"a/d/f")], 2, 3),
    ([tars.file(b"a/b/.."), tars.file(b"a/b/f")], 2, 3),
    ([tars.file(b"a/b/."), tars.file(b"a/b/f")], 2, 3),
    ([tars.file(b"a/b/f"), tars.file(b"a/b/.."), tars.file(b"a/b/g")], 2, 3),
    ([tars.file(b"./a/f"), tars.file(b"a/f"), tars.file(b"/a/f")], 1, 2),
    ([tars.file(b"f"), tars.file(b"g")], 0, 1),
    ([tars.file(b""), tars.file(b"g")], 0, 1),
]
"""Entries, the directories that they imply, and their depth."""


@pytest.mark.parametrize(("entries", "directories", "depth"), IN_ONE_DIRECTORY)
def test_entries_of_one_directory_count_what_their_paths_imply(
    tmp_path, entries, directories, depth
):
    (tmp_path / "layer").write_bytes(b"".join(entries) + tars.END)
    profile, _ = profile_file(tmp_path / "layer")
    assert (profile.directories, profile.depth) == (directories, depth)


def test_a_whiteout_is_told_by_its_name_alone(tmp_path):
    names = (b"a/f", b"a/.wh.f", b"a/.hidden", b"a/.wh..wh..opq", b"a/x.wh.y", b".wh.d/f")
    (tmp_path / "layer").write_bytes(b"".join(map(tars.file, names)) + tars.END)
    _, entries = profile_file(tmp_path / "layer")
    kinds = [entry.kind for entry in entries]
    assert kinds == ["file", "whiteout", "file", "opaque", "file", "file"]


def test_the_parents_of_an_entry_that_is_cut_are_not_counted(tmp_path):
    whole = tars.file(b"a/f")
    (tmp_path / "layer").write_bytes(whole + tars.file(b"x/y/z/f", b"1" * 5000)[:4000])
    profile, entries = profile_file(tmp_path / "layer")
    assert (profile.status, profile.cause, len(entries)) == ("partial", "truncated", 1)
    assert (profile.directories, profile.depth) == (1, 2)


@pytest.mark.parametrize("size", [0, 1, (256 << 10) - 1024, 256 << 10, 3 << 20])
def test_a_content_without_types_has_its_digest_whatever_its_size(tmp_path, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "layer").write_bytes(tars.file(b"f", data) + tars.file(b"g", b"2") + tars.END)
    _, entries = profile_file(tmp_path / "layer")
    assert [entry.sha256 for entry in entries] == [
        hashlib.sha256(data).digest(),
        hashlib.sha256(b"2").digest(),
    ]


def test_other_bytes_than_those_of_the_digest_leave_nothing(tmp_path):
    (tmp_path / "layer").write_bytes(LAYER)
    wrong = Digest.parse("sha256:" + "0" * 64)
    profile, entries = profile_file(tmp_path / "layer", expected=wrong)
    assert (profile.status, profile.stage, profile.cause) == ("failed", "verify", "digest_mismatch")
    profile, _ = profile_file(tmp_path / "layer", expected=wrong, expected_size=1)
    assert (profile.cause, profile.CLS, profile.entries) == ("size_mismatch", len(LAYER), 0)
    assert entries == []


@pytest.mark.parametrize("at_once", [1, 100])
def test_hard_links_take_the_content_of_what_they_name(tmp_path, monkeypatch, at_once):
    """The example of the module `profile.links`."""
    monkeypatch.setattr("hpc_remetrics.profile.links._MOST_LINKS", at_once)
    entries = [
        tars.file(b"a", b"1"),
        tars.header(b"b", b"1", link=b"a"),
        tars.file(b"a", b"22"),
        tars.header(b"c", b"1", link=b"a"),
        tars.header(b"d", b"1", link=b"./b"),
        tars.header(b"e", b"1", link=b"later"),
        tars.header(b"f", b"1", link=b"nowhere"),
        tars.file(b"later", b"333"),
    ]
    (tmp_path / "layer").write_bytes(b"".join(entries) + tars.END)
    profile, found = profile_file(tmp_path / "layer")
    assert [entry.size for entry in found] == [1, 1, 2, 2, 1, 3, None, 3]
    assert found[1].sha256 == found[0].sha256 == found[4].sha256
    assert found[5].sha256 == found[7].sha256
    assert profile.notes != 0
