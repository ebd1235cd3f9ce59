"""The row of a layer, and what its hard links resolve to."""

import gzip
import hashlib
import io

import pytest
from support import tars
from support.profiled import profile_file

from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_format import NO_TYPE, read_blocks
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.records import NOTES, Digest
from hpc_remetrics.tar.fault import LayerFault

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


def profiled(tmp_path, data: bytes, **options):
    (tmp_path / "layer").write_bytes(data)
    return profile_file(tmp_path / "layer", **options)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_whole_layer_has_the_digest_of_its_tar_and_nothing_else_to_say(tmp_path):
    profile, _ = profiled(tmp_path, gzip.compress(LAYER, mtime=0))
    assert profile.diff_id == sha256(LAYER)
    assert (profile.compression, profile.TLS) == ("gzip", len(LAYER))
    assert (tmp_path / "layer").stat().st_size == profile.CLS
    assert (profile.stage, profile.cause, profile.message, profile.offset) == ("", "", "", -1)
    assert profile.notes == 0
    assert profile.cpu_seconds > 0


def test_a_tar_that_is_broken_is_read_to_its_end_all_the_same(tmp_path):
    """The digest of the whole can be had behind a fault of the tar."""
    broken = tars.file(b"a", b"1") + b"x" * 512 + tars.file(b"b", bytes(5 << 20)) + tars.END
    profile, entries = profiled(tmp_path, broken)
    assert (profile.status, profile.stage, len(entries)) == ("partial", "tar", 1)
    assert (profile.offset, profile.TLS) == (1024, len(broken))
    assert profile.diff_id == sha256(broken)


def test_a_stream_that_is_broken_has_no_digest_of_a_tar(tmp_path):
    whole = gzip.compress(LAYER, mtime=0)
    cut = whole[:-8] + bytes(8)
    expected = Digest(hashlib.sha256(cut).digest())
    profile, entries = profiled(tmp_path, cut, expected=expected)
    assert (profile.status, profile.stage) == ("partial", "decompress")
    assert (profile.diff_id, len(entries)) == ("", 7)
    assert (profile.CLS, profile.TLS, profile.offset) == (len(cut), len(LAYER), len(LAYER))


def test_bytes_behind_the_end_of_a_tar_are_noted(tmp_path):
    profile, _ = profiled(tmp_path, LAYER + bytes(10240))
    assert (profile.status, profile.notes) == ("ok", 0)
    profile, _ = profiled(tmp_path, LAYER + bytes(512) + b"x")
    assert (profile.status, profile.notes) == ("ok", NOTES["trailing_data"])


def test_what_is_no_layer_fails_with_its_size_and_digest(tmp_path):
    data = b"neither a tar nor compressed" * 100
    expected = Digest(hashlib.sha256(data).digest())
    profile, entries = profiled(tmp_path, data, expected=expected)
    assert (profile.status, profile.CLS, entries) == ("failed", len(data), [])
    assert profile.cause not in ("", "digest_mismatch")


def test_entries_of_unknown_types_and_links_to_nothing_are_noted(tmp_path):
    layer = tars.header(b"odd", b"9") + tars.header(b"hard", b"1", link=b"none") + tars.END
    profile, entries = profiled(tmp_path, layer)
    assert [entry.kind for entry in entries] == ["other", "hardlink"]
    assert profile.notes == NOTES["other_entries"] | NOTES["unresolved_hardlink"]
    assert (profile.others, profile.FLS) == (1, 0)


def test_a_size_without_a_digest_is_verified(tmp_path):
    profile, _ = profiled(tmp_path, LAYER, expected_size=len(LAYER))
    assert profile.status == "ok"
    profile, entries = profiled(tmp_path, LAYER, expected_size=0)
    assert (profile.cause, profile.stage, profile.offset) == ("size_mismatch", "verify", -1)
    assert profile.message == f"the blob has {len(LAYER)} bytes, the manifest says 0"
    assert (profile.compression, profile.TLS, entries) == ("none", 0, [])


def test_a_right_digest_decides_over_a_wrong_size(tmp_path):
    expected = Digest(hashlib.sha256(LAYER).digest())
    profile, entries = profiled(tmp_path, LAYER, expected=expected, expected_size=1)
    assert (profile.status, len(entries)) == ("ok", 7)


class Failing(io.BytesIO):
    """A blob whose bytes can't be read beyond some of them."""

    def __init__(self, data: bytes, good: int) -> None:
        super().__init__(data[:good])

    def read(self, size: int = -1) -> bytes:
        if data := super().read(size):
            return data
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("good", [0, len(LAYER) // 2, len(LAYER)])
def test_a_blob_that_can_not_be_read_leaves_nothing(tmp_path, good):
    spill = Spill(tmp_path / "spill")
    expected = Digest(hashlib.sha256(LAYER).digest())
    stream = Failing(LAYER, good)
    profile = profile_layer(stream, spill, Limits(), size=len(LAYER) + 1, expected=expected)
    spill.close()
    assert (profile.status, profile.cause, profile.entries) == ("failed", "io_error", 0)
    assert (tmp_path / "spill").stat().st_size == 0


def test_a_fault_of_this_machine_replaces_one_of_the_layer(tmp_path):
    """The stream is broken, and then the rest of the blob can't be read."""
    broken = gzip.compress(LAYER, mtime=0)[:-8] + bytes(5_000_000)
    spill = Spill(tmp_path / "spill")
    profile = profile_layer(Failing(broken, 4_000_000), spill, Limits(), size=len(broken))
    spill.close()
    assert (profile.status, profile.cause, profile.entries) == ("failed", "io_error", 0)
    assert profile.offset == -1


def test_long_messages_are_cut(tmp_path, monkeypatch):
    def fail(*_):
        raise LayerFault("tar", "bad_header", "x" * 600)

    monkeypatch.setattr("hpc_remetrics.profile.layer.Decompressed", fail)
    profile, _ = profiled(tmp_path, LAYER)
    assert profile.message == "x" * 500


def test_entries_have_the_values_of_their_headers(tmp_path):
    header = tars.header(b"f", b"0", mode=0o106755, uid=7, gid=8, mtime=9)
    times = tars.pax({b"mtime": b"12.5"}) + tars.header(b"d", b"5", mode=0o40700)
    device = tars.header(b"c", b"3", link=b"not a link")
    _, entries = profiled(tmp_path, header + times + device + tars.END)
    found = [(entry.mode, entry.uid, entry.gid, entry.mtime, entry.mtime_ns) for entry in entries]
    assert found[0] == (0o6755, 7, 8, 9, 0)
    assert found[1] == (0o700, 0, 0, 12, 500_000_000)
    assert (entries[2].kind, entries[2].link) == ("character_device", b"")


HOLES = tars.old_gnu_sparse(b"s", 3 << 20, [(10, b"x" * 10)])


class SizeTyper:
    """Gives each content, as its type, the bytes that it was shown."""

    def type_later(self, content, data):
        content[1] = len(data)

    def settle(self):
        pass


@pytest.mark.parametrize("is_typed", [True, False])
def test_the_bytes_of_a_file_are_held_for_the_typer_alone(tmp_path, is_typed):
    """A sparse file is not whole in the buffer, so its bytes are held or passed over."""
    layer = io.BytesIO(tars.old_gnu_sparse(b"s", 5000, [(10, b"x" * 10)]) + tars.END)
    spill = Spill(tmp_path / "spill")
    typer = SizeTyper() if is_typed else None
    assert profile_layer(layer, spill, Limits(), typer=typer).status == "ok"
    spill.close()
    [block] = read_blocks(spill.path)
    assert block.columns["type"].tolist() == [5000 if is_typed else NO_TYPE]


def test_a_sparse_file_has_its_holes_as_zeros(tmp_path):
    profile, (entry,) = profiled(tmp_path, HOLES + tars.END)
    want = bytes(10) + b"x" * 10 + bytes((3 << 20) - 20)
    assert (entry.size, entry.sha256) == (3 << 20, hashlib.sha256(want).digest())
    assert profile.FLS == 3 << 20


def test_holes_of_all_files_count_together(tmp_path):
    holes = (3 << 20) - 10
    profile, _ = profiled(tmp_path, HOLES * 2 + tars.END, limits=Limits(sparse_bytes=2 * holes))
    assert profile.status == "ok"
    profile, _ = profiled(tmp_path, HOLES * 2 + tars.END, limits=Limits(sparse_bytes=2 * holes - 1))
    assert (profile.status, profile.cause) == ("partial", "limit_sparse")


def test_what_entries_without_content_store_is_passed_over(tmp_path):
    layer = tars.header(b"odd", b"9", size=5) + tars.padded(b"bytes") + tars.file(b"d/f", b"1")
    _, entries = profiled(tmp_path, layer + tars.END)
    assert [entry.path for entry in entries] == [b"odd", b"d/f"]
