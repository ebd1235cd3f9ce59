"""The headers of archives: every dialect as tarfile writes it, links, and what is refused."""

import io
import itertools
import os
import tarfile

import pytest
from support import tars

from hpc_remetrics.errors import SourceError
from hpc_remetrics.limits import Limits
from hpc_remetrics.sources import archive as archive_module
from hpc_remetrics.sources.archive import Archive
from hpc_remetrics.sources.base import Extent
from hpc_remetrics.sources.local import open_extent
from hpc_remetrics.sources.sparse_members import SparseMember, checked, old_gnu_pairs, pairs


@pytest.fixture
def of(tmp_path):
    """Return a function that makes an archive of blocks."""
    count = itertools.count()

    def make(*blocks: bytes) -> Archive:
        path = tmp_path / f"{next(count)}.tar"
        path.write_bytes(b"".join(blocks))
        return Archive(path)

    return make


def data_of(archive, path):
    with open_extent(archive.find(path)) as stream:
        return stream.read()


LONG = "/".join(["a" * 30] * 6)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes_is_found(tmp_path, format):
    contents = {"file": b"1", "./d/sub": b"22", LONG: b"x" * 513, "d/empty": b"", "é": b"3" * 512}
    if format != tarfile.USTAR_FORMAT:
        contents["b" * 200] = b"a name of 200 bytes in one piece"
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as tar:
        for name, data in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, target, kind in (
            ("d/beside", "sub", tarfile.SYMTYPE),
            ("d/above", "../file", tarfile.SYMTYPE),
            ("hard", "d/sub", tarfile.LNKTYPE),
            ("d/hard", LONG, tarfile.LNKTYPE),
            ("long", LONG, tarfile.SYMTYPE),
            ("out", "../../etc/passwd", tarfile.SYMTYPE),
            ("root", "/etc/passwd", tarfile.SYMTYPE),
            ("twice", "d/beside", tarfile.SYMTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            if len(target) <= 100 or format != tarfile.USTAR_FORMAT:
                tar.addfile(entry)
        entry = tarfile.TarInfo("d")
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    archive = Archive(tmp_path / "a.tar")
    for name, data in contents.items():
        assert data_of(archive, name.removeprefix("./")) == data
    assert data_of(archive, "d/../d/beside") == data_of(archive, "hard") == b"22"
    assert data_of(archive, "twice") == b"22"
    assert data_of(archive, "d/above") == b"1"
    assert [archive.find(path) for path in ("out", "root", "d", "no", "..", "/file")] == [None] * 6
    assert archive.follow("twice") == "d/sub"
    if format != tarfile.USTAR_FORMAT:
        assert data_of(archive, "d/hard") == data_of(archive, "long") == b"x" * 513
    assert archive.name == "a"


def test_numbers_and_checksums_of_old_tars(of):
    name = b"\xe9\xe8 of a Latin-1 system"
    block = bytearray(tars.header(name, size=5, dialect="v7"))
    signed = sum(block) - sum(block[148:156]) + 8 * 32 - 2 * 256
    one = bytearray(block)
    one[148:156] = f"{signed:06o}\0 ".encode()
    rest = tars.padded(b"12345")
    text = os.fsdecode(name)
    assert data_of(of(bytes(one), rest), text) == b"12345"
    for wrong in (signed + 256, signed - 1):
        one[148:156] = f"{wrong:06o}\0 ".encode()
        with pytest.raises(SourceError, match="no header at byte 0"):
            _ = of(bytes(one), rest).members
    # Blanks and zeros around a number, none at all, and base 256.
    for size in (b"  5 \0", b"0000000005\0", b"5", tars.base256(5, 12), b"5\0garbage"):
        assert data_of(of(tars.header(b"a", size=size), rest), "a") == b"12345"
    assert data_of(of(tars.header(b"a", size=b" " * 12)), "a") == b""
    for size in (b"8", b"-5", b"x", b"\x81" + bytes(10) + b"\5", b"\xff" * 12):
        with pytest.raises(SourceError, match="a bad number at byte 0"):
            _ = of(tars.header(b"a", size=size), rest).members


def test_an_archive_may_end_without_padding_and_without_a_mark(of):
    first = tars.file(b"a", b"1" * 512)
    last = tars.header(b"b", size=3) + b"123"
    for end in (b"", bytes(509), bytes(509) + tars.END):
        assert data_of(of(first, last, end), "b") == b"123"
    assert data_of(of(first), "a") == b"1" * 512
    # What follows a block of zeros is not looked at.
    assert data_of(of(first, bytes(512), b"anything"), "a") == b"1" * 512
    with pytest.raises(SourceError, match="it is cut off at byte 1024"):
        _ = of(first, last[:511]).members
    with pytest.raises(SourceError, match="it is cut off in the member at byte 1536"):
        _ = of(first, last[:-1]).members
    for empty in (b"", bytes(512), bytes(1024)):
        with pytest.raises(SourceError, match="it is empty at byte 0"):
            _ = of(empty).members
    with pytest.raises(SourceError, match="it is empty"):
        _ = of(b"x" * 511).members
    with pytest.raises(SourceError, match="no header"):
        _ = of(b"1" * 512).members


def test_links_directories_and_devices_have_no_bytes_whatever_they_state(of):
    for flag in b"123456":
        kind = bytes([flag])
        archive = of(tars.header(b"x", kind, size=700, link=b"a"), tars.file(b"a", b"1"))
        assert data_of(archive, "a") == b"1"
    # What is unknown has the bytes that it states, and is no file.
    archive = of(tars.header(b"x", b"V", size=700), bytes(1024), tars.file(b"a", b"1"))
    assert data_of(archive, "a") == b"1" and archive.find("x") is None
    for kind in (b"\0", b"0", b"7"):
        assert data_of(of(tars.file(b"a", b"1", flag=kind)), "a") == b"1"


def test_extended_headers_hold_for_the_next_member_alone(of):
    path = tars.record(b"path", b"/other")
    size = tars.record(b"size", b"3")
    archive = of(
        tars.file(b"pax", path + size, flag=b"x"),
        tars.header(b"a", size=0) + tars.padded(b"123"),
        tars.file(b"b", b"4"),
    )
    assert (data_of(archive, "other"), data_of(archive, "b")) == (b"123", b"4")
    assert archive.find("a") is None
    # Records of one header after the other are joined; Solaris writes X; a global header is none.
    archive = of(
        tars.file(b"pax", path, flag=b"X"),
        tars.file(b"pax", size, flag=b"x"),
        tars.file(b"pax", tars.record(b"path", b"global"), flag=b"g"),
        tars.header(b"a", size=0) + tars.padded(b"123"),
    )
    assert data_of(archive, "other") == b"123" and len(archive.members) == 1
    # GNU's long names and links.
    archive = of(
        tars.file(b"long", b"n" * 150 + b"\0", flag=b"L"),
        tars.file(b"long", b"t" * 150 + b"\0", flag=b"K"),
        tars.header(b"a", b"2"),
        tars.file(b"long", b"t" * 150 + b"\0", flag=b"L"),
        tars.file(b"b", b"5"),
    )
    assert data_of(archive, "n" * 150) == b"5"
    # The prefix of ustar; GNU's dialect has other fields there.
    archive = of(tars.header(b"b", prefix=b"d/e"), tars.header(b"c", prefix=b"d/e", dialect="gnu"))
    assert sorted(archive.members) == ["c", "d/e/b"]


@pytest.mark.parametrize(
    "records",
    [
        b"12 path=a\n",
        b"path=a\n",
        b"9path=a\n",
        b"+ path=a\n",
        b"\xb2 path=a\n",
        b"2 path=a\n",
        b"11 path=a\n",
        b"0 path=a\n",
        b"1234567890123456789 path=a\n",
        tars.record(b"path", b"a") + b"x",
    ],
)
def test_records_that_are_none_are_refused(of, records):
    with pytest.raises(SourceError, match=r"a bad PAX record|a bad number"):
        _ = of(tars.file(b"pax", records, flag=b"x"), tars.file(b"a", b"")).members


@pytest.mark.parametrize(
    "record", [b"9 path=x\n", b"9 path=x\n\0\0", b"+11 path=x\n", b"011 path=x\n"]
)
def test_records_may_be_followed_by_zeros_and_have_signs_in_their_length(of, record):
    assert list(of(tars.file(b"pax", record, flag=b"x"), tars.file(b"a", b"1")).members) == ["x"]


def test_sizes_in_records_have_18_digits_at_most(of):
    for size in (b"x", b"-1", b"1.0", b"", b"1" * 19, "٣".encode()):
        pax = tars.file(b"pax", tars.record(b"size", size), flag=b"x")
        with pytest.raises(SourceError, match="a bad number"):
            _ = of(pax, tars.file(b"a", b"1")).members
    pax = tars.file(b"pax", tars.record(b"size", b"+" + b"0" * 20 + b"1"), flag=b"x")
    assert data_of(of(pax, tars.file(b"a", b"12")), "a") == b"1"
    pax = tars.file(b"pax", tars.record(b"size", b"9" * 18), flag=b"x")
    with pytest.raises(SourceError, match="cut off in the member"):
        _ = of(pax, tars.file(b"a", b"1")).members


def test_an_extended_header_has_a_longest_length(of):
    limit = Limits().header_bytes
    fits = tars.file(
        b"pax", tars.record(b"comment", b"c" * (limit - 20)).ljust(limit, b"\0"), flag=b"x"
    )
    assert data_of(of(fits, tars.file(b"a", b"1")), "a") == b"1"
    with pytest.raises(SourceError, match=f"an extended header of more than {limit} bytes"):
        _ = of(tars.header(b"pax", b"x", size=limit + 1), bytes(limit + 512)).members


def test_paths_and_targets_have_a_longest_length(of):
    def named(path: bytes) -> bytes:
        return tars.file(b"pax", tars.record(b"path", path), flag=b"x") + tars.file(b"a", b"1")

    def linked(target: bytes) -> bytes:
        return tars.file(b"pax", tars.record(b"linkpath", target), flag=b"x") + tars.header(
            b"l", b"2"
        )

    assert len(of(named(b"p" * 4096)).members) == 1
    assert len(of(named(b"p" * 4097), tars.file(b"b")).members) == 1
    assert len(of(linked(b"p" * 4096)).members) == 1
    assert len(of(linked(b"p" * 4097), tars.file(b"b")).members) == 1
    # Names that lead outside, and none at all.
    assert sorted(of(named(b"../p"), named(b".."), named(b"."), tars.file(b"b")).members) == ["b"]
    assert sorted(of(tars.header(b"../l", b"2", link=b"b"), tars.file(b"b")).members) == ["b"]


def test_a_chain_of_links_has_a_longest_length(of):
    def chain(count: int) -> bytes:
        links = [tars.header(b"%d" % n, b"2", link=b"%d" % (n + 1)) for n in range(count)]
        return b"".join(links) + tars.file(b"%d" % count, b"end")

    assert data_of(of(chain(39)), "0") == b"end"
    archive = of(chain(40))
    assert archive.find("0") is None
    assert data_of(archive, "1") == b"end"


def test_an_archive_has_so_many_members_at_most(of, monkeypatch):
    monkeypatch.setattr(archive_module, "_MAX_MEMBERS", 3)
    files = [tars.file(b"%d" % n) for n in range(4)]
    assert len(of(*files[:3]).members) == 3
    with pytest.raises(SourceError, match="more than 3 members"):
        _ = of(*files).members


@pytest.mark.parametrize(
    ("magic", "words"),
    [
        (b"\x1f\x8b\x08", "compressed with gzip; unpack it first: gunzip --keep "),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first: unzstd "),
        (b"BZh9", "compressed with bzip2; unpack it first: bunzip2 --keep "),
        (b"\xfd7zXZ\0", "compressed with xz; unpack it first: unxz --keep "),
    ],
)
def test_a_compressed_archive_is_refused_by_its_first_bytes(of, magic, words):
    archive = of(magic.ljust(512, b"x"))
    with pytest.raises(SourceError) as caught:
        _ = archive.members
    assert str(caught.value) == f"{archive.path} is {words}{archive.path}"
    # In the middle these bytes are a name like any other.
    assert len(of(tars.file(b"a"), tars.file(magic)).members) == 2


def test_an_archive_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"can't read .*gone.tar: No such file"):
        Archive(tmp_path / "gone.tar").find("a")


def test_an_archive_is_scanned_once(of):
    archive = of(tars.file(b"a", b"1"))
    first = archive.members
    archive.path.unlink()
    assert archive.members is first
    assert archive.find("a") == Extent(archive.path, 512, 1)


def test_a_sparse_map_has_a_longest_length(of):
    limit = Limits().header_bytes
    version = tars.record(b"GNU.sparse.major", b"1") + tars.record(b"GNU.sparse.minor", b"0")
    size = tars.record(b"GNU.sparse.realsize", b"7")
    for digits, words in ((limit - 1, ""), (limit, f"a sparse map of more than {limit} bytes")):
        data = tars.padded(b"0" * digits + b"\n")
        archive = of(
            tars.file(b"pax", version + size, flag=b"x"),
            tars.file(b"a", data),
            tars.file(b"b", b"1"),
        )
        if words:
            with pytest.raises(SourceError, match=words):
                _ = archive.members
        else:
            assert archive.members["a"] == SparseMember(1536 + limit, 7, ())
            assert data_of(archive, "b") == b"1"


def test_maps_of_sparse_members_are_checked():
    assert checked(7, 10, 5, [(0, 2), (2, 0), (7, 3)]) == SparseMember(
        7, 10, ((0, 2), (2, 0), (7, 3))
    )
    for fragments, stored in (
        ([(0, 2), (1, 1)], 3),
        ([(5, 6)], 6),
        ([(5, -1)], -1),
        ([(0, 2)], 3),
        ([(0, 2)], 1),
    ):
        with pytest.raises(ValueError, match="sparse"):
            checked(0, 10, stored, fragments)
    with pytest.raises(ValueError, match="shorter"):
        pairs([1, 2, 3])
    table = b"".join(octal + b"\0" for octal in (b"00000000001", b"00000000002")) * 2
    number = lambda field: int(field[:-1], 8)  # noqa: E731
    assert old_gnu_pairs(table + b"rest", number) == [(1, 2), (1, 2)]
    assert old_gnu_pairs(table[:24] + bytes(24) + table, number) == [(1, 2)]


@pytest.mark.parametrize(("fragments", "fits"), [(66, True), (67, False)])
def test_the_blocks_of_a_sparse_map_are_bounded(of, monkeypatch, fragments, fits):
    """Four pairs are in the header and 21 in each block behind it; the last pair ends the map."""
    limits = Limits(header_bytes=2000)
    monkeypatch.setattr("hpc_remetrics.sources.archive.Limits", lambda: limits)
    pieces = [(2 * number, b"x") for number in range(fragments)]
    archive = of(tars.old_gnu_sparse(b"s", 2 * fragments, pieces), tars.END)
    if fits:
        assert data_of(archive, "s") == b"x\0" * fragments
    else:
        with pytest.raises(SourceError, match="a sparse map of more than 2000 bytes"):
            _ = archive.members
