"""Members of tars, header by header, with the values that Go's archive/tar gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tars
from support.examples import share_of

from hpc_remetrics.limits import Limits
from hpc_remetrics.records import NOTES
from hpc_remetrics.tar.fault import LayerFault
from hpc_remetrics.tar.members import MemberReader, _wrong_gnu_prefix, is_header
from hpc_remetrics.tar.stream import TarStream

END = bytes(1024)
FIELDS = ("type", "path", "link", "mode", "uid", "gid", "size", "stored", "mtime", "mtime_ns")


def reader_of(archive: bytes, chunk: int = 1 << 20, limits: Limits | None = None) -> MemberReader:
    chunks = [archive[start : start + chunk] for start in range(0, len(archive), chunk)]
    return MemberReader(TarStream(chunks), limits or Limits())


def members_of(archive: bytes, **options: object) -> list[dict]:
    """Return the fields of all members, and the data that the archive has of each."""
    reader = reader_of(archive, **options)  # type: ignore[arg-type]
    found = []
    for member in reader:
        row = {name: getattr(member, name) for name in FIELDS}
        row["fragments"] = member.fragments
        row["data"] = reader.stream.take(member.stored)
        found.append(row)
    return found


def only(archive: bytes, **options: object) -> dict:
    (member,) = members_of(archive + END, **options)
    return member


def fault_of(archive: bytes, **options: object) -> str:
    with pytest.raises(LayerFault) as raised:
        members_of(archive, **options)
    assert raised.value.stage == "tar"
    return f"{raised.value.cause}: {raised.value.message}"


def test_every_field_of_a_plain_header():
    member = only(
        tars.file(b"a/b", b"hello", mode=0o4755, uid=1, gid=2, mtime=1_700_000_000, link=b"l")
    )
    assert member == {
        "type": b"0",
        "path": b"a/b",
        "link": b"l",
        "mode": 0o4755,
        "uid": 1,
        "gid": 2,
        "size": 5,
        "stored": 5,
        "mtime": 1_700_000_000,
        "mtime_ns": 0,
        "fragments": None,
        "data": b"hello",
    }


@settings(max_examples=share_of(40))
@given(
    st.lists(st.integers(0, 1600), max_size=6),
    st.sampled_from([1, 100, 511, 512, 513, 4096]),
    st.booleans(),
)
def test_members_whose_data_is_taken_or_skipped(sizes, chunk, is_taken):
    archive = b"".join(
        tars.file(b"%d" % number, bytes([number + 1]) * size) for number, size in enumerate(sizes)
    )
    reader = reader_of(archive + END, chunk)
    offset = 0
    for number, member in enumerate(reader):
        assert reader.offset == offset
        assert (member.path, member.size) == (b"%d" % number, sizes[number])
        if is_taken:
            # Half of it: what is left is skipped
            half = sizes[number] // 2
            assert reader.stream.take(half) == bytes([number + 1]) * half
        offset += 512 + -(-sizes[number] // 512) * 512
    assert reader.offset == offset
    assert reader.notes == 0


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_entries_without_data_have_none_whatever_their_size_says(flag):
    first, second = members_of(tars.header(b"a", flag, size=700) + tars.file(b"b", b"x") + END)
    assert (first["size"], first["stored"]) == (700, 0)
    assert second["path"] == b"b"


@pytest.mark.parametrize(("path", "kind", "stored"), [(b"a/", b"5", 0), (b"a", b"0", 3)])
def test_the_oldest_dialect_marks_directories_by_a_slash(path, kind, stored):
    data = tars.padded(b"xyz") if stored else b""
    member = only(tars.header(path, b"\0", size=3, dialect="v7") + data)
    assert (member["type"], member["stored"]) == (kind, stored)


def test_other_flags_keep_their_type():
    assert only(tars.file(b"a/", b"xyz", flag=b"7"))["type"] == b"7"


# Prefixes


def test_the_prefix_of_ustar_stands_before_the_name():
    assert only(tars.file(b"b", prefix=b"p/q"))["path"] == b"p/q/b"


def test_no_prefix_in_the_oldest_dialect():
    assert only(tars.file(b"b", dialect="v7", tail=b"prefix"))["path"] == b"b"


def test_the_prefix_of_star_is_shorter_and_its_times_are_numbers():
    assert only(tars.file(b"b", dialect="star", prefix=b"p"))["path"] == b"p/b"
    broken = bytearray(tars.file(b"b", dialect="star"))
    broken[476:480] = b"soon"
    assert "not octal" in fault_of(tars.sealed(broken[:512]) + END)
    broken = bytearray(tars.file(b"b", dialect="star"))
    broken[488:492] = b"soon"
    assert "not octal" in fault_of(tars.sealed(broken[:512]) + END)


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        (b"", b"b"),
        (b"00000000001\x0000000000002\0", b"b"),
        (b"old/prefix", b"old/prefix/b"),
        (bytes(12) + b"prefix", b"b"),
        (b"pr\xc3\xa9fix", b"b"),
    ],
    ids=["none", "times", "of old Go", "second field", "no ASCII"],
)
def test_what_stands_where_gnu_has_times(tail, path):
    assert only(tars.file(b"b", dialect="gnu", tail=tail))["path"] == path


@pytest.mark.parametrize("dialect", ["ustar", "gnu"])
@pytest.mark.parametrize("place", [329, 337])
def test_device_numbers_must_be_numbers(dialect, place):
    block = bytearray(tars.header(b"b", dialect=dialect))
    block[place : place + 2] = b"zz"
    assert "not octal" in fault_of(tars.sealed(block) + END)


@pytest.mark.parametrize("field", ["mode", "uid", "gid", "size", "mtime"])
def test_every_number_must_be_one(field):
    assert "not octal" in fault_of(tars.header(b"b", **{field: b"zz"}) + END)


def test_numbers_in_base_256():
    member = only(tars.header(b"b", uid=1 << 40, mtime=-1, size=0))
    assert (member["uid"], member["mtime"]) == (1 << 40, -1)


def test_a_negative_size_is_a_fault():
    assert "a negative size" in fault_of(tars.header(b"b", size=-1) + END)


# Checksums


def test_checksums_of_bytes_with_and_without_a_sign():
    block = bytearray(tars.header(b"\xff\xfe"))
    block[148:156] = b" " * 8
    unsigned = sum(block)
    signed = sum(byte - 256 * (byte > 127) for byte in block)
    assert signed == unsigned - 512
    for total in (unsigned, signed):
        for form in (b"%06o\0 ", b"%06o \0", b"%07o\0", b" %o\0", b"%o\0\x80"):
            field = (form % total).ljust(8, b"\0")
            assert is_header(tars.sealed(block, field)), field
    for total in (unsigned + 1, unsigned - 1, signed + 1, signed - 256, 0):
        assert not is_header(tars.sealed(block, b"%06o\0 " % total))


@settings(max_examples=share_of(60))
@given(st.binary(min_size=512, max_size=512))
def test_checksums_of_any_bytes(block):
    assert is_header(tars.sealed(block))
    total = int(tars.sealed(block)[148:154], 8)
    assert not is_header(tars.sealed(block, b"%06o\0 " % (total + 1)))


def test_what_is_no_header():
    assert is_header(bytes(512))
    assert not is_header(bytes(511))
    assert not is_header(b"")
    assert not is_header(tars.header()[:511])
    assert not is_header(tars.header(checksum=b"zzzzzz\0 "))
    assert "its checksum does not fit" in fault_of(tars.header(checksum=b"000001\0 "))


# Ends of archives


@pytest.mark.parametrize(
    ("end", "notes"),
    [
        (END, 0),
        (END + b"anything", 0),
        (b"", NOTES["missing_end_marker"]),
        (bytes(512), NOTES["missing_end_marker"]),
    ],
)
def test_ends_of_archives(end, notes):
    reader = reader_of(tars.file(b"a", b"x") + end)
    assert len(list(reader)) == 1
    assert reader.notes == notes


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (b"x" * 512, "bad_header: a single block of zeros is followed by something else"),
        (bytes(511), "truncated: the archive ends within its end marker"),
    ],
)
def test_broken_end_markers(second, message):
    assert fault_of(bytes(512) + second) == message


def test_an_archive_that_ends_within_a_header():
    assert fault_of(tars.header()[:511]) == "truncated: the archive ends within a header"


def test_an_archive_that_ends_within_data():
    reader = reader_of(tars.file(b"a", b"x" * 1000)[: 512 + 700])
    next(iter(reader))
    with pytest.raises(LayerFault, match="ends 300 bytes before the end of an entry"):
        reader.stream.skip(1000)
    with pytest.raises(LayerFault, match="ends 300 bytes before the end of an entry"):
        list(reader_of(tars.file(b"a", b"x" * 1000)[: 512 + 700]))


# Headers that extend the next one


def test_long_names_win_over_records_and_hold_for_one_member():
    archive = (
        tars.pax({b"path": b"record", b"linkpath": b"record link"})
        + tars.extension(b"L", b"long\0rest")
        + tars.extension(b"K", b"target\0")
        + tars.header(b"short", b"2", link=b"l")
        + tars.file(b"next")
    )
    first, second = members_of(archive + END)
    assert (first["path"], first["link"]) == (b"long", b"target")
    assert (second["path"], second["link"]) == (b"next", b"")


def test_records_replace_fields():
    archive = tars.pax(
        {
            b"path": b"p" * 300,
            b"linkpath": b"l",
            b"uid": b"70000",
            b"gid": b"80000",
            b"size": b"4",
            b"mtime": b"-1.5",
            b"atime": b"1.5",
            b"comment": b"nothing",
        }
    )
    member = only(archive + tars.header(b"a", size=0) + tars.padded(b"data"))
    assert (member["path"], member["link"]) == (b"p" * 300, b"l")
    assert (member["uid"], member["gid"]) == (70000, 80000)
    assert (member["size"], member["stored"], member["data"]) == (4, 4, b"data")
    assert (member["mtime"], member["mtime_ns"]) == (-2, 500_000_000)


def test_empty_records_replace_nothing():
    member = only(
        tars.pax({b"path": b"", b"size": b"", b"uid": b""}) + tars.file(b"a", b"x", uid=7)
    )
    assert (member["path"], member["size"], member["uid"]) == (b"a", 1, 7)


@pytest.mark.parametrize("key", [b"uid", b"gid", b"size", b"mtime", b"atime", b"ctime"])
def test_records_that_are_no_numbers(key):
    assert fault_of(tars.pax({key: b"soon"}) + tars.file() + END).startswith("bad_header: not a")


def test_the_last_of_two_pax_headers_counts():
    archive = tars.pax({b"path": b"first", b"uid": b"5"}) + tars.pax({b"path": b"second"})
    member = only(archive + tars.file(b"a"))
    assert (member["path"], member["uid"]) == (b"second", 0)


def test_a_global_header_ends_what_came_before_it():
    archive = (
        tars.pax({b"path": b"record"})
        + tars.extension(b"L", b"long")
        + tars.extension(b"K", b"target")
        + tars.pax({b"path": b"global"}, b"g")
        + tars.header(b"a", b"2", link=b"l")
    )
    reader = reader_of(archive + END)
    (member,) = reader
    assert (member.path, member.link) == (b"a", b"l")
    assert reader.notes == NOTES["pax_global_header"]


def test_a_broken_global_header_is_a_fault():
    assert "a PAX record is broken" in fault_of(tars.extension(b"g", b"9 a=b\n", b"g") + END)


@pytest.mark.parametrize(
    "data",
    [
        *(b"x", b"3 a\n", b"6 a=b\n\0", b"5 a=b\n", b"7 a=b\n", b"6 a=bc", b"4 =b\n", b"5 =b\n"),
        *(b"6 abc\n", b"0 a=b\n", b"-6 a=b\n", b"10 path=\0\n", b"11 uname=\0\n", b"8 a\0b=c\n"),
        *(b"6 \n", b"99999999999999999999 a=b\n"),
    ],
)
def test_broken_records(data):
    assert fault_of(tars.extension(b"x", data, b"x") + tars.file() + END).startswith("bad_header: ")


@pytest.mark.parametrize(
    "data", [b"6 a=b\n", b"5 a=\n", b"8 a=b=c\n", b"8 a=\n\n\n\n", b"7 a=b\0\n", b"008 a=b\n"]
)
def test_strange_records_that_stand(data):
    data += tars.record(b"path", b"of the record behind it")
    member = only(tars.extension(b"x", data, b"x") + tars.file(b"a"))
    assert member["path"] == b"of the record behind it"


def test_extended_headers_within_and_beyond_the_limit():
    limits = Limits(header_bytes=300)
    assert only(tars.extension(b"L", b"n" * 300) + tars.file(), limits=limits)["path"] == b"n" * 300
    fault = fault_of(tars.extension(b"L", b"n" * 301) + tars.file() + END, limits=limits)
    assert fault == "limit_header: an extended header of 301 bytes"


def test_an_archive_that_ends_within_an_extended_header():
    archive = tars.extension(b"L", b"n" * 300)[: 512 + 299]
    assert fault_of(archive) == "truncated: the archive ends within an extended header"
    assert fault_of(tars.header(b"n", b"L", size=-1)).startswith("bad_header: ")


def test_paths_and_links_within_and_beyond_the_limit():
    limits = Limits(path_bytes=120)
    for flag, name in ((b"L", "path"), (b"K", "link")):
        good = tars.extension(flag, b"n" * 120) + tars.header(b"a", b"2")
        assert only(good, limits=limits)[name] == b"n" * 120
        bad = tars.extension(flag, b"n" * 121) + tars.header(b"a", b"2")
        assert fault_of(bad + END, limits=limits) == "limit_path: a path or link of 121 bytes"


# Sparse files in the archive; `test_sparse.py` has their maps


@pytest.mark.parametrize("version", ["old", "0.0", "0.1", "1.0"])
def test_sparse_files(version):
    fragments = [(10, b"a" * 10), (60, b"b" * 15)]
    if version == "old":
        archive = tars.old_gnu_sparse(b"s", 100, fragments)
    else:
        archive = tars.pax_sparse(b"s", 100, fragments, version)
    first, second = members_of(archive + tars.file(b"next") + END)
    assert first["path"] == b"s"
    assert first["size"] == 100
    assert first["stored"] == 25
    assert first["data"] == b"a" * 10 + b"b" * 15
    assert first["fragments"] == [(10, 10), (60, 15), (100, 0)]
    assert second["path"] == b"next"


SPARSE = [(b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.numblocks", b"1"), (b"GNU.sparse.size", b"9")]
VERSIONS = {
    "none": [],
    "0.0": [(b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"0")],
    "0.1": [(b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"1")],
}


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_whose_map_is_in_the_records(version):
    member = only(tars.pax(VERSIONS[version] + SPARSE) + tars.file(b"a", b"data"))
    assert (member["size"], member["stored"], member["fragments"]) == (9, 4, [(0, 4)])


@pytest.mark.parametrize(
    "version", [(b"0", b"2"), (b"1", b"1"), (b"2", b"0"), (b"", b"1"), (b"0", b"")]
)
def test_other_versions_are_no_sparse_files(version):
    records = [(b"GNU.sparse.major", version[0]), (b"GNU.sparse.minor", version[1]), *SPARSE]
    member = only(tars.pax([r for r in records if r[1]]) + tars.file(b"a", b"data"))
    assert (member["size"], member["fragments"]) == (4, None)


def test_the_name_and_the_real_size_of_a_sparse_file():
    records = [(b"GNU.sparse.name", b"real"), (b"GNU.sparse.realsize", b"12"), *SPARSE[:2]]
    member = only(tars.pax(records) + tars.file(b"a", b"data"))
    assert (member["path"], member["size"]) == (b"real", 12)


def test_sparse_maps_that_do_not_fit_their_entry():
    fault = fault_of(tars.pax(SPARSE) + tars.file(b"a", b"dat") + END)
    assert fault == "bad_header: a sparse map of 4 bytes over 3 bytes of data"
    fault = fault_of(tars.pax(SPARSE) + tars.header(b"a", b"5") + END)
    assert fault == "bad_header: a sparse map on an entry without data"


def test_pairs_of_a_sparse_map_in_order():
    pair = [(b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"4")]
    rest = [(b"GNU.sparse.numblocks", b"1"), (b"GNU.sparse.size", b"9")]
    assert only(tars.pax(rest + pair) + tars.file(b"a", b"data"))["fragments"] == [(0, 4)]
    for wrong in (pair[::-1], [pair[0], pair[0]], [(b"GNU.sparse.offset", b"0,4"), pair[1]]):
        assert "out of order" in fault_of(tars.pax(rest + wrong) + tars.file(b"a", b"data") + END)


FAR = b"\x80" + bytes(3) + (1 << 60).to_bytes(8, "big")
"""A time in base 256 that fills its 12 bytes."""


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        (bytes(155), b""),
        (b"00000000000\0" * 2 + b"rest", b""),
        (FAR + FAR + b"\xff", b""),
        (bytes(12) + FAR + b"\xff", b""),
        (b"usr/share/doc\0", b"usr/share/doc"),
        (b"00000000000\0x\0", b"00000000000"),
        (b"00000000000\0" + b"00000000000x", b"00000000000"),
        ("ü".encode() + bytes(150), b""),
    ],
)
def test_a_prefix_in_the_place_of_two_times_is_told_by_what_is_no_number(prefix, name):
    assert _wrong_gnu_prefix(prefix.ljust(155, b"\0")) == name
