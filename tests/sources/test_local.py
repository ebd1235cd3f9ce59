"""Files of a directory and of an archive, and blobs that are read in place."""

import gc
import hashlib
import os
import sys

import pytest
from support import tars

from hpc_remetrics.errors import BlobError, SourceError, UsageError
from hpc_remetrics.records import Digest, Layer
from hpc_remetrics.sources import open_source, suggestion
from hpc_remetrics.sources.base import Extent, NamedManifest, Source, verified
from hpc_remetrics.sources.local import DirectoryTree, LocalSource, open_extent
from hpc_remetrics.sources.seed2017 import Seed2017Source, image_name
from hpc_remetrics.sources.sparse_members import Expanded, SparseMember


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_an_extent_is_read_to_its_end_and_no_further(file):
    assert open_extent(Extent(file, 2, 5)).read() == b"23456"
    assert open_extent(Extent(file, 2, 5), 4).read() == b"6"
    assert open_extent(Extent(file, 2, 5), 5).read() == b""
    assert open_extent(Extent(file, 2, 5), 9).read() == b""
    # A file that became shorter ends early.
    assert open_extent(Extent(file, 8, 5)).read() == b"89"
    with open_extent(Extent(file, 2, 5)) as stream:
        assert [stream.read(2) for _ in range(4)] == [b"23", b"45", b"6", b""]
        descriptor = stream.raw._descriptor
    stream.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        open_extent(Extent(file, 2, 5), -1)


def test_a_file_that_has_gone_leaves_no_stream_behind(file, monkeypatch):
    # Python reports an error of a finalizer from 3.13 on.
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        open_extent(Extent(file, 0, 3))
    gc.collect()
    assert not ignored


def test_files_of_a_directory(tmp_path, file):
    tree = DirectoryTree(tmp_path)
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo")
    assert tree.find("file") == Extent(file, 0, 10)
    assert tree.find("link") == Extent(tmp_path / "link", 0, 10)
    assert [tree.find(path) for path in ("fifo", ".", "no", "file/x")] == [None] * 4
    assert tree.head("file", 4) == b"0123" and tree.read("file", 10) == b"0123456789"
    assert tree.name == tmp_path.name
    with pytest.raises(SourceError, match=r": file is longer than 9 bytes"):
        tree.read("file", 9)
    with pytest.raises(SourceError, match=r" has no gone$"):
        tree.head("gone", 1)
    with pytest.raises(SourceError, match=r": can't read xxx.*: File name too long"):
        tree.head("x" * 300, 1)


class InOneFile(LocalSource):
    """A source of one blob, or of an error."""

    reference = "one:"

    def __init__(self, found):
        self.found = found

    def named_manifests(self):
        raise NotImplementedError

    def find(self, digest, size=-1):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_blobs_in_place(file, tmp_path):
    data = file.read_bytes()
    digest = Digest(hashlib.sha256(data).digest())
    source = InOneFile(Extent(file, 0, 10))
    assert source.read(digest, 10) == data and source.open(digest, 7).read() == b"789"
    assert source.size_of(digest) == source.measure(Layer(digest, 5, "oci_tar")) == 10
    assert source.read_manifest(digest, 10) == data
    for limit, cause in ((9, "limit_size"), (10, "")):
        if cause:
            with pytest.raises(BlobError) as caught:
                source.read(digest, limit)
            assert caught.value.cause == cause
    cases = [
        (None, "missing", f"{digest} is not in one:"),
        (
            PermissionError(13, "Permission denied"),
            "io_error",
            f"can't find {digest}: Permission denied",
        ),
        (SourceError("cut off"), "io_error", f"can't find {digest}: cut off"),
        (
            Extent(tmp_path / "gone", 0, 1),
            "io_error",
            f"can't open {digest}: No such file or directory",
        ),
    ]
    for found, cause, words in cases:
        with pytest.raises(BlobError) as caught:
            InOneFile(found).open(digest)
        assert (caught.value.cause, str(caught.value)) == (cause, words)
    # A directory can be opened and not be read.
    with pytest.raises(BlobError, match=r"can't read .*: Is a directory"):
        InOneFile(Extent(tmp_path, 0, 5)).read(digest, 5)


def test_the_bytes_of_a_blob_are_checked():
    data = b"data"
    digest = Digest(hashlib.sha256(data).digest())
    assert verified(digest, data, 4) == data
    with pytest.raises(BlobError, match=f"{digest} is longer than 3 bytes") as caught:
        verified(digest, data, 3)
    assert caught.value.cause == "limit_size"
    with pytest.raises(BlobError, match="has other bytes: sha256:") as caught:
        verified(digest, b"dat", 4)
    assert caught.value.cause == "digest_mismatch"


def test_what_a_source_is_unless_it_says_otherwise(tmp_path):
    class Least(Source):
        reference = "least:"

        def named_manifests(self):
            raise NotImplementedError

        def open(self, digest, offset=0):
            raise NotImplementedError

    least = Least()
    digest = Digest(bytes(32))
    layer = Layer(digest, 5, "oci_tar")
    assert (least.is_remote, least.keeps, least.is_selection, least.origin) == (False,) * 3 + ("",)
    assert least.locate(digest) is None and least.size_of(digest) == least.measure(layer) == -1
    assert least.holds(layer) and not least.holds(Layer(digest, 5, "oci_tar", None, "x"))
    named = NamedManifest("a")
    assert least.enter(named) == (named, least)
    least.prepare()
    assert (Least.recognizes(tmp_path), Least.absolute("x"), Least.whole("x")) == (False, "x", "x")
    assert Least.input_path("x") is None
    with pytest.raises(BlobError, match="least: has no blobs to fetch"):
        least.fetch(layer, tmp_path)
    with pytest.raises(NotImplementedError, match="Least is not opened by a reference"):
        Least.from_reference("x", "", None)


def test_what_to_write_in_place_of_something_else(tmp_path):
    assert suggestion("oci") == "write oci: and what follows it"
    assert suggestion("redis") == "write docker://redis:latest for an image at a registry"
    assert suggestion(str(tmp_path)).startswith("write one of docker://HOST/NAME")
    for text in ("oci:", "dir:", "docker-archive:"):
        with pytest.raises(UsageError, match=r"names no (file|directory); write "):
            open_source(text)


# Sparse members.


def test_copies_of_sparse_members_follow_one_another(tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(100) + b"abcdefghij")
    copies = Expanded(path)
    monkeypatch.setattr("hpc_remetrics.sources.sparse_members._PIECE", 2)
    first = copies.extent(SparseMember(100, 12, ((1, 3), (8, 2))))
    second = copies.extent(SparseMember(105, 5, ((0, 5),)))
    assert (first.size, second.offset, second.size) == (12, 12, 5)
    assert open_extent(first).read() == b"\0abc\0\0\0\0de\0\0"
    assert open_extent(second).read() == b"fghij"
    assert copies.extent(SparseMember(105, 5, ((0, 5),))) is second
    with pytest.raises(SourceError, match=r"can't unpack a sparse file of .*a.tar into .*shorter"):
        copies.extent(SparseMember(108, 5, ((0, 5),)))


# The directory of the 2017 tool.


@pytest.mark.parametrize(
    ("file", "name", "time"),
    [
        ("library-redis-latest-1502943512.62.json", "library/redis:latest", 1502943512.62),
        ("a-b-c-latest-150294351.json", "a/b-c:latest", 150294351.0),
        ("latest-1502943512.json", "latest", 1502943512.0),
        ("a-b-1-15029435.json", "a-b-1-15029435", 0.0),
        ("a-b-1-150294351234.json", "a-b-1-150294351234", 0.0),
        ("test.manifest", "test.manifest", 0.0),
    ],
)
def test_names_of_manifests_of_2017(file, name, time):
    assert image_name(file) == (name, time)


def test_blobs_of_2017_by_age_and_size(tmp_path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "layers" / "sub").mkdir(parents=True)
    digest = Digest(bytes([5]) * 32)
    sizes = {
        f"sha256-{digest.hex}-1502943512.5": 5,
        f"sha256-{digest.hex}-1502943513": 3,
        f"sha256:{digest.hex}": 2,
        f"sub/sha256-{digest.hex}-150": 7,
        f"sha256-{digest.hex}-x": 9,
        f"sha256-{digest.hex}0": 9,
    }
    for name, size in sizes.items():
        (tmp_path / "layers" / name).write_bytes(bytes(size))
    for number in range(9):
        (tmp_path / "layers" / f"sha256-{bytes([number]).hex() * 31}00").write_bytes(b"")
    source = open_source(f"seed2017:{tmp_path}")
    assert [extent.size for extent in source._copies(digest)] == [3, 5, 7, 2]
    # The newest of the right size; else the largest.
    assert [source.find(digest, size).size for size in (5, 2, 4, -1)] == [5, 2, 7, 7]
    assert (
        source.find(Digest(bytes([6]) * 32)) is None and source._copies(Digest(b"\xff" * 32)) == []
    )
    with pytest.raises(BlobError) as caught:
        source.read(digest, 10)
    assert caught.value.cause == "digest_mismatch"
    with pytest.raises(BlobError) as caught:
        source.read(Digest(b"\xfe" * 32), 10)
    assert (caught.value.cause, str(caught.value)) == (
        "missing",
        f"{Digest(bytes([254]) * 32)} is not in seed2017:{tmp_path}",
    )
    assert Seed2017Source.recognizes(tmp_path) and not Seed2017Source.recognizes(
        tmp_path / "layers"
    )
    (tmp_path / "manifests" / ".hidden").write_text("")
    (tmp_path / "manifests" / "directory").mkdir()
    assert list(source.named_manifests()) == []
    (tmp_path / "manifests" / "a-b-1-1502943512.json").write_text("old")
    (tmp_path / "manifests" / "a-b-1-1502943513.json").write_text("new")
    (tmp_path / "manifests" / "a-a-1-1502943513.json").write_text("other")
    found = [(one.name, one.manifest) for one in source.named_manifests()]
    assert found == [("a/a:1", b"other"), ("a/b:1", b"new")]
    (tmp_path / "manifests").rename(tmp_path / "moved")
    with pytest.raises(SourceError, match="name the directory that holds manifests/ and layers/"):
        list(source.named_manifests())


def test_an_archive_of_one_file_is_a_tree(tmp_path):
    (tmp_path / "a.tar").write_bytes(tars.file(b"x", b"1") + tars.END)
    with pytest.raises(SourceError, match=r"has no manifest\.json"):
        list(open_source(f"docker-archive:{tmp_path / 'a.tar'}").named_manifests())
