"""A layer holds what Go's archive/tar reads in it: the same entries, and an error where Go has
one."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from support import tars
from support.go_tar import kind_of

sys.path.insert(0, str(Path(__file__).parent))
import archives

MANY = settings(
    max_examples=int(os.environ.get("TAR_EXAMPLES", "600")),
    suppress_health_check=list(HealthCheck),
)


def compare(data: bytes, place, go, read) -> None:
    place.write_bytes(data)
    theirs, error = go.read(place)
    profile, ours = read(place).profile, read(place).entries
    if error == "too large" or profile.cause in ("limit_sparse", "limit_header"):
        ours, theirs = ours[: len(theirs)], theirs[: len(ours)]
    else:
        assert bool(error) == bool(profile.cause), (error, profile.message)
        assert profile.status == ("ok" if not error else "partial" if theirs else "failed")
        assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        kind = kind_of(their)
        assert (our.kind, our.path) == (kind, their["path"])
        assert our.link == (their["link"] if kind in ("symlink", "hardlink") else b"")
        assert our.mode == their["mode"] & 0o7777
        assert (our.uid, our.gid) == (their["uid"], their["gid"])
        assert (our.mtime, our.mtime_ns) == (their["mtime"], their["nanos"])
        if kind == "file":
            assert (our.size, our.sha256.hex()) == (their["size"], their["sha256"])


@pytest.mark.slow
@MANY
@given(data=archives.archives())
def test_archives_of_every_dialect(data, place, go, read):
    compare(data, place, go, read)


@pytest.mark.slow
@MANY
@given(data=archives.damaged())
def test_damaged_archives(data, place, go, read):
    compare(data, place, go, read)


PIECES = {
    "old GNU sparse, 100 fragments": tars.old_gnu_sparse(
        b"s", 10**6, [(at * 5000, b"data") for at in range(100)]
    ),
    "PAX 1.0 sparse, 100 fragments": tars.pax_sparse(
        b"s", 10**6, [(at * 5000, b"data") for at in range(100)], "1.0"
    ),
    "base 256": tars.file(b"f", b"x", uid=2**31, gid=-5, mtime=-(2**33)),
    "time below all others": tars.pax({b"mtime": b"-9223372036854775808"}) + tars.file(b"f"),
    "time below all others, and a fraction": tars.pax({b"mtime": b"-9223372036854775808.5"})
    + tars.file(b"f"),
    "a long name twice": tars.extension(b"L", b"one\0")
    + tars.extension(b"L", b"two\0")
    + tars.file(b"f"),
    "PAX over a long name": tars.pax({b"path": b"pax"})
    + tars.extension(b"L", b"gnu\0")
    + tars.file(b"f"),
    "a size in PAX": tars.pax({b"size": b"3"}) + tars.header(b"f", size=0) + tars.padded(b"abc"),
    "a directory with a size": tars.header(b"d/", b"5", size=512) + tars.file(b"f", b"x"),
    "an old directory": tars.header(b"d/", b"\0", size=5, dialect="v7") + tars.file(b"f", b"x"),
    "a link with a size": tars.header(b"l", b"1", size=600, link=b"f") + tars.file(b"f", b"x"),
    "a global header between": tars.pax({b"path": b"x"})
    + tars.pax({b"uid": b"5"}, b"g")
    + tars.file(b"f", b"x"),
    "signed checksum": tars.header(
        b"\xff" * 9, checksum=b"%06o\0 " % (sum(tars.header(b"\xff" * 9)) - 9 * 256)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PIECES)
def test_by_hand(name, place, go, read):
    compare(PIECES[name] + tars.file(b"after", b"after") + tars.END, place, go, read)


@pytest.mark.slow
def test_every_cut_of_an_archive(place, go, read):
    """A stream that ends early is never ok, except between entries, where only the end marker is
    missing."""
    data = b"".join(
        [
            tars.file(b"one", b"1" * 700),
            tars.extension(b"L", b"name" * 200),
            tars.file(b"x", b"2"),
            tars.pax({b"path": b"p" * 300}) + tars.file(b"y", b"3" * 10),
            tars.old_gnu_sparse(b"s", 9000, [(at * 1000, b"data") for at in range(8)]),
        ]
    )
    for end in range(0, len(data), 37):
        compare(data[:end], place, go, read)


LONG = b"0" * 30
NUMBERS = {
    "the length of a record": tars.extension(b"x", LONG + b"43 path=long\n"),
    "a size": tars.pax({b"size": LONG * 200 + b"4"}),
    "an owner": tars.pax({b"uid": b"+" + LONG + b"7", b"gid": b"-" + LONG + b"7"}),
    "the greatest": tars.pax(
        {b"uid": LONG + b"9223372036854775807", b"gid": b"-" + LONG + b"9223372036854775808"}
    ),
    "more than the greatest": tars.pax({b"uid": LONG + b"9223372036854775808"}),
    "far more": tars.pax({b"uid": b"1" * 5000}),
    "nothing": tars.pax({b"uid": b"-"}),
    "a time": tars.pax({b"mtime": b"-" + LONG * 99 + b"5." + LONG + b"1", b"atime": LONG + b"1"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS)
def test_long_numbers(name, place, go, read):
    compare(
        NUMBERS[name] + tars.file(b"f", b"data") + tars.file(b"after") + tars.END, place, go, read
    )


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.1", "1.0"])
def test_long_numbers_in_a_sparse_map(version, place, go, read):
    data = tars.pax_sparse(b"s", 100, [(5, b"x")], version).replace(b"5,1,", b"5,1,")
    data = data.replace(b"2\n5\n1\n100\n0\n" + bytes(30), LONG + b"2\n5\n1\n100\n0\n")
    compare(data + tars.END, place, go, read)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blocks", "status"), [(2046, "ok"), (2047, "ok"), (2048, "failed"), (2049, "failed")]
)
def test_the_longest_map_of_an_old_sparse_file(blocks, status, place, read):
    """Go from 1.25 on refuses the 2,048th block; before, it had no limit."""
    fragments = [(at, b"x") for at in range(4 + 21 * blocks - 1)]
    place.write_bytes(tars.old_gnu_sparse(b"s", len(fragments), fragments) + tars.END)
    profile = read(place).profile
    assert (profile.status, profile.cause) == (status, "" if status == "ok" else "limit_header")
