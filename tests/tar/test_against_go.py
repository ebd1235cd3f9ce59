"""A layer holds what Go's archive/tar reads in it: the same entries, and an error where Go has one."""

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
    deadline=None,
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


@MANY
@given(data=archives.archives())
def test_archives_of_every_dialect(data, place, go, read):
    compare(data, place, go, read)


@MANY
@given(data=archives.damaged())
def test_damaged_archives(data, place, go, read):
    compare(data, place, go, read)


PIECES = {
    "old GNU sparse, 100 fragments": tars.old_gnu_sparse(b"s", 10**6, [(at * 5000, b"data") for at in range(100)]),
    "PAX 1.0 sparse, 100 fragments": tars.pax_sparse(b"s", 10**6, [(at * 5000, b"data") for at in range(100)], "1.0"),
    "base 256": tars.file(b"f", b"x", uid=2**31, gid=-5, mtime=-(2**33)),
    "time below all others": tars.pax({b"mtime": b"-9223372036854775808"}) + tars.file(b"f"),
    "time below all others, and a fraction": tars.pax({b"mtime": b"-9223372036854775808.5"}) + tars.file(b"f"),
    "a long name twice": tars.extension(b"L", b"one\0") + tars.extension(b"L", b"two\0") + tars.file(b"f"),
    "PAX over a long name": tars.pax({b"path": b"pax"}) + tars.extension(b"L", b"gnu\0") + tars.file(b"f"),
    "a size in PAX": tars.pax({b"size": b"3"}) + tars.header(b"f", size=0) + tars.padded(b"abc"),
    "a directory with a size": tars.header(b"d/", b"5", size=512) + tars.file(b"f", b"x"),
    "an old directory": tars.header(b"d/", b"\0", size=5, dialect="v7") + tars.file(b"f", b"x"),
    "a link with a size": tars.header(b"l", b"1", size=600, link=b"f") + tars.file(b"f", b"x"),
    "a global header between": tars.pax({b"path": b"x"}) + tars.pax({b"uid": b"5"}, b"g") + tars.file(b"f", b"x"),
    "signed checksum": tars.header(b"\xff" * 9, checksum=b"%06o\0 " % (sum(tars.header(b"\xff" * 9)) - 9 * 256)),
}


@pytest.mark.parametrize("name", PIECES)
def test_by_hand(name, place, go, read):
    compare(PIECES[name] + tars.file(b"after", b"after") + tars.END, place, go, read)


def test_every_cut_of_an_archive(place, go, read):
    """A stream that ends early is never ok, except between entries, where only the end marker is missing."""
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
