"""Layers that nobody should trust, each with how it must end: a line of docs or of a bug report a
layer."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import struct
import subprocess
import zlib
from dataclasses import dataclass, field

from support import tars

CANARY = "hpc-remetrics-canary"
"""In every name that leads outside; no file of that name may appear."""

GOOD = b"".join(tars.file(b"good/%d" % number, b"content %d\n" % number) for number in range(20))


@dataclass
class Case:
    """A blob and what must become of it.

    :param causes: one of these must be the layer's cause; none for a layer that is whole.
    :param entries: how many there must be in the dataset (-1: any number).
    :param notes: words that must be among its notes.
    """

    data: bytes
    status: str = "ok"
    causes: tuple[str, ...] = ()
    entries: int = -1
    notes: tuple[str, ...] = ()
    media_type: str = "application/vnd.oci.image.layer.v1.tar"
    descriptor: dict = field(default_factory=dict)


def zstd(data: bytes, *options: str) -> bytes:
    return subprocess.run(
        ["zstd", "-q", "-c", *options], input=data, check=True, capture_output=True
    ).stdout


def skippable(data: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A57, len(data)) + data


def bad(data: bytes, cause: str = "bad_header", entries: int = 20) -> Case:
    """Good entries, then something that ends the walk."""
    return Case(GOOD + data, "partial", (cause,), entries)


def whole(data: bytes, entries: int, *notes: str) -> Case:
    """Good entries and odd ones that are entries all the same."""
    return Case(GOOD + data + tars.END, entries=20 + entries, notes=notes)


def wide(data: bytes, log: int) -> bytes:
    """A zstd frame that wants a window of 2^log bytes, with one raw block."""
    return (
        b"\x28\xb5\x2f\xfd\x00"
        + bytes([(log - 10) << 3])
        + struct.pack("<I", len(data) << 3 | 1)[:3]
        + data
    )


def bomb(size: int) -> bytes:
    """A tar of one file of zeros, in zstd."""
    block = zstd(bytes(16 << 20), "-19")
    return zstd(tars.header(b"zeros", size=size)) + block * (size >> 24) + zstd(tars.END)


def members() -> bytes:
    """As eStargz has it: a gzip member an entry, and an empty one with an extra field at the
    end."""
    parts = [tars.file(b"%d" % number, b"x" * number) for number in range(50)]
    extra = (
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"
        + struct.pack("<H", 22)
        + b"SG"
        + b"\x12\0"
        + b"0" * 12
        + b"STARGZ"
    )
    return (
        b"".join(map(gzip.compress, parts))
        + gzip.compress(tars.END)
        + extra
        + b"\x01\0\0\xff\xff"
        + bytes(8)
    )


def zeros(size: int) -> bytes:
    """A tar of one file of zeros, in gzip, made without holding it."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(tars.header(b"zeros", size=size))]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(tars.END), packer.flush()])


def cases() -> dict[str, Case]:
    packed, squeezed = gzip.compress(GOOD + tars.END, mtime=0), zstd(GOOD + tars.END)
    packed_half = gzip.compress(GOOD, mtime=0)
    flipped = bytearray(gzip.compress(GOOD * 500 + tars.END, mtime=0))
    flipped[-8] ^= 1
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(64))
    outside = [
        b"../" * 30 + b"tmp/%s" % CANARY.encode(),
        b"/tmp/%s" % CANARY.encode(),
        b"a/../../%s" % CANARY.encode(),
    ]
    link_out = tars.header(b"out", b"2", link=b"/tmp") + tars.file(
        b"out/%s" % CANARY.encode(), b"through the link"
    )
    hard_out = tars.header(b"passwd", b"1", link=b"../../../../etc/passwd")
    cycle = (
        tars.header(b"a", b"1", link=b"b")
        + tars.header(b"b", b"1", link=b"a")
        + tars.header(b"c", b"1", link=b"c")
    )
    devices = b"".join(tars.header(b"dev%c" % flag, bytes([flag]), mode=0o6777) for flag in b"346")
    names = [
        b"\x1b[2J\x1b]0;x\x07",
        b"new\nline",
        b"\xff\xfe\xfd",
        b"tab\there",
        b"-rf",
        b"$(touch x)",
        b"' or 1=1",
    ]
    marks = [
        b".wh.",
        b".wh..wh.plnk",
        b".wh..wh..opq",
        b"d/.wh..wh..opq",
        b".wh..wh.aufs",
        b".wh.a/b",
    ]
    deep = tars.extension(b"L", b"d/" * 400_000 + b"f\0") + tars.file(b"f", b"deep", dialect="gnu")
    deeper = b"".join(
        tars.extension(b"L", b"%d/" % number + b"d/" * 500_000 + b"f\0")
        + tars.file(b"f", b"deep", dialect="gnu")
        for number in range(20)
    )
    return {
        "empty blob": Case(b"", notes=("missing_end_marker",), entries=0),
        "one byte": Case(b"\0", "failed", ("truncated",), 0),
        "noise": Case(noise, "failed", ("bad_header",), 0),
        "a web page": Case(
            b"<!DOCTYPE html><html>Too many requests</html>" * 30, "failed", ("bad_header",), 0
        ),
        "gzip of noise": Case(gzip.compress(noise), "failed", ("bad_header",), 0),
        "gzip magic alone": Case(b"\x1f\x8b\x08", "failed", ("truncated",), 0),
        "gzip cut": Case(packed[: len(packed) // 2], "partial", ("truncated",)),
        "gzip cut in its trailer": Case(packed[:-3], "partial", ("truncated",), 20),
        "gzip with a wrong checksum": Case(bytes(flipped), "partial", ("bad_compression",), 10_000),
        "gzip with noise behind": Case(packed + noise, notes=("trailing_data",), entries=20),
        "gzip in many members": Case(members(), notes=("many_members",), entries=50),
        "gzip under a wrong media type": Case(packed, notes=("media_type_mismatch",), entries=20),
        "zstd cut": Case(zstd(GOOD * 2000)[:-9], "partial", ("truncated", "bad_compression")),
        "zstd of noise after its magic": Case(
            b"\x28\xb5\x2f\xfd" + noise, "failed", ("bad_compression",), 0
        ),
        "zstd frames": Case(zstd(GOOD) + zstd(tars.END), notes=("many_members",), entries=20),
        "zstd skippable frames": Case(
            skippable(b"toc") + squeezed + skippable(noise), notes=("skippable_frames",)
        ),
        "zstd with a window of 2 GiB": Case(
            wide(b"x" * 512, 31), "failed", ("bad_compression", "limit_memory"), 0
        ),
        "zstd with a window of 512 MiB": Case(wide(GOOD + tars.END, 29), entries=20),
        "a second member that is damaged": Case(
            packed_half + b"\x1f\x8c" + packed[2:], "partial", ("bad_compression",), 20
        ),
        "xz in two streams with padding": Case(
            lzma.compress(GOOD) + bytes(512) + lzma.compress(tars.END),
            notes=("many_members",),
            entries=20,
        ),
        "xz with half a padding": Case(
            lzma.compress(GOOD) + bytes(3) + lzma.compress(tars.END),
            "partial",
            ("bad_compression",),
            20,
        ),
        "lz4": Case(b"\x04\x22\x4d\x18" + noise, "failed", ("unsupported",), 0),
        "a bomb": Case(bomb(2 << 30), "failed", ("limit_ratio",), 0),
        "big and squeezed, yet within the ratio": Case(zeros(300 << 20), entries=1),
        "no end marker": Case(GOOD, entries=20, notes=("missing_end_marker",)),
        "half an end marker": Case(GOOD + bytes(512), entries=20, notes=("missing_end_marker",)),
        "an entry behind half an end marker": bad(bytes(512) + tars.file(b"hidden", b"x")),
        "something behind the end": Case(
            GOOD + tars.END + b"appendix", entries=20, notes=("trailing_data",)
        ),
        "two archives in one": Case((GOOD + tars.END) * 2, entries=20, notes=("trailing_data",)),
        "much padding": Case(GOOD + bytes(1 << 20), entries=20),
        "a bad header after good entries": bad(b"x" * 512),
        "a checksum that does not fit": bad(tars.header(checksum=b"000001\0 ")),
        "no octal number": bad(tars.header(size=b"12x")),
        "a negative size": bad(tars.header(size=-5)),
        "a size beyond 63 bits": bad(tars.header(size=b"\x80\xff" + b"\xff" * 10)),
        "8 EiB that are not there": bad(tars.header(size=2**63 - 1), "truncated"),
        "1 TiB that is not there": bad(tars.header(size=2**40), "truncated"),
        "cut in a header": bad(tars.header()[:300], "truncated"),
        "cut in a file": bad(tars.header(size=2000) + b"x" * 1000, "truncated"),
        "cut in an extended header": bad(tars.extension(b"x", b"30 path=x\n")[:515], "truncated"),
        "a PAX header of 8 EiB": bad(tars.header(flag=b"x", size=2**63 - 1), "limit_header"),
        "a PAX header of 2 MiB": bad(
            tars.pax({b"path": b"p" * (2 << 20)}) + tars.file(), "limit_header"
        ),
        "a GNU name of 2 MiB": bad(
            tars.extension(b"L", b"n" * (2 << 20)) + tars.file(), "limit_header"
        ),
        "a name of 1 MB": whole(
            tars.extension(b"L", b"n" * 1_000_000) + tars.file(dialect="gnu"), 1
        ),
        "a name of 400,000 directories": whole(deep, 1),
        "20 names of 500,000 directories": Case(
            gzip.compress(GOOD + deeper + tars.END), entries=40
        ),
        "a PAX record of a wrong length": bad(tars.extension(b"x", b"99 path=x\n") + tars.file()),
        "a PAX record without end": bad(tars.extension(b"x", b"10 path=xy") + tars.file()),
        "a PAX record with NUL": bad(tars.pax({b"path": b"a\0b"}) + tars.file()),
        "a PAX size that is no number": bad(tars.pax({b"size": b"1e9"}) + tars.file()),
        "100,000 PAX records": whole(
            tars.pax({b"k%d" % n: b"v" for n in range(70_000)}) + tars.file(), 1
        ),
        "20,000 extended headers in a row": whole(
            tars.pax({b"path": b"p"}) * 20_000 + tars.file(), 1
        ),
        "20,000 long names in a row": whole(
            tars.extension(b"L", b"n\0") * 20_000 + tars.file(dialect="gnu"), 1
        ),
        "a global PAX header": whole(
            tars.pax({b"uid": b"7"}, b"g") + tars.file(), 1, "pax_global_header"
        ),
        "a sparse file of 8 EiB": bad(
            tars.old_gnu_sparse(b"s", 2**63 - 1, [(2**62, b"x")]), "limit_sparse"
        ),
        "a PAX sparse file of 1 TiB": bad(
            tars.pax_sparse(b"s", 2**40, [(2**39, b"x")], "1.0"), "limit_sparse"
        ),
        "sparse fragments that overlap": bad(
            tars.old_gnu_sparse(b"s", 100, [(50, b"x" * 9), (5, b"y")])
        ),
        "a sparse map without end": bad(
            tars.header(flag=b"S", dialect="gnu", tail=bytes(137) + b"\1" + tars.number(9, 12))
            + (bytes(504) + b"\1" + bytes(7)) * 3000,
            "limit_header",
        ),
        "a sparse map of text": bad(
            tars.pax_sparse(b"s", 9, [], "1.0").replace(b"1\n9\n0\n", b"x\ny\nz\n")
        ),
        "a sparse map on a link": bad(
            tars.old_gnu_sparse(b"s", 9, []).replace(b"ustar  \0", b"ustar\x0000", 1)
        ),
        "paths that lead outside": whole(b"".join(tars.file(path, b"x") for path in outside), 3),
        "a link outside and a file through it": whole(link_out, 2),
        "a hard link outside": whole(hard_out, 1, "unresolved_hardlink"),
        "hard links in a circle": whole(cycle, 3, "unresolved_hardlink"),
        "devices": whole(devices, 3),
        "names for terminals and shells": whole(
            b"".join(tars.file(name) for name in names), len(names)
        ),
        "odd whiteouts": whole(b"".join(tars.file(name) for name in marks), len(marks)),
        "one path many times": whole(tars.file(b"good/1", b"again") * 500, 500),
        "flags that nobody knows": whole(
            tars.file(b"v", b"volume", flag=b"V") + tars.file(b"q", b"?", flag=b"q"), 2
        ),
        "a directory with data": whole(tars.header(b"d/", b"5", size=512), 1),
        "a tar in a tar": whole(tars.file(b"inner.tar", GOOD + tars.END), 1),
        "a file that ends where a header may stand": whole(
            tars.file(b"h", tars.header(b"not an entry")), 1
        ),
        "7 MiB of new lines": Case(
            gzip.compress(GOOD + tars.file(b"n", b"\n" * (7 << 20)) + tars.END), entries=21
        ),
        "a size that is not the manifest's": Case(
            GOOD + tars.file(b"5") + tars.END, "ok", ("size_mismatch",), 21, descriptor={"size": 5}
        ),
        "no size": Case(GOOD + bytes(2048), entries=20, descriptor={"size": -1}),
    }
