"""The row of a layer, and what its hard links resolve to."""

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
