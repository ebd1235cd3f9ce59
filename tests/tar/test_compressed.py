"""Tars in gzip, bzip2, xz and zstd, whole and broken: the rows that Go and the compressions' own
programs give."""

import bz2
import gzip
import io
import lzma
import random
import struct
import subprocess
from collections.abc import Callable

import pytest
from support import tars
from support.go_tar import kind_of
from support.tools import need

from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.records import NOTES
from hpc_remetrics.tar.decoders import zstd_module

ROWS = [
    tars.file(b"file/%d" % number, random.Random(number).randbytes(number * 37))
    for number in range(120)
]
WHOLE = b"".join(ROWS) + tars.END
HALF = sum(map(len, ROWS[:100]))
FEW = b"".join(ROWS[:4]) + tars.END
TWO = sum(map(len, ROWS[:2]))
SKIPPABLE = struct.pack("<II", 0x184D2A53, 4) + b"skip"

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    # The default takes a dictionary of 8 MB, whose memory costs more than the packing.
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": lambda data: zstd_module().compress(
        data, options={zstd_module().CompressionParameter.checksum_flag: 1}
    ),
}
EMPTY = {name: pack(b"") for name, pack in PACK.items()}


class Drip(io.RawIOBase):
    """A file that gives its bytes in pieces that end at given places, as a slow pipe may."""

    def __init__(self, data: bytes, ends: list[int]) -> None:
        self._file = io.BytesIO(data)
        self._ends = [*ends, len(data)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        here = self._file.tell()
        return self._file.read(
            min(size, next((end for end in self._ends if end > here), here) - here)
        )


@pytest.fixture
def drip(tmp_path):
    """Return a function that profiles a blob which comes in pieces: its row."""

    def ours(data: bytes, ends: list[int]):
        spill = Spill(tmp_path / "spill")
        try:
            return profile_layer(Drip(data, ends), spill, Limits())
        finally:
            spill.close()

    return ours


@pytest.fixture(scope="session")
def judge(go, tmp_path_factory):
    """Return a function that says what Go reads in a blob, whether it errs, and whether anything
    behind the tar errs.

    xz and zstd are not in Go's library: their own programs unpack as much as they can.
    """
    place = tmp_path_factory.mktemp("judge") / "archive"

    def theirs(data: bytes, compression: str) -> tuple[list[dict], bool, bool]:
        refused = False
        if compression in ("xz", "zstd"):
            result = subprocess.run([need(compression), "-dcq"], input=data, capture_output=True)
            data, refused = result.stdout, result.returncode != 0
        place.write_bytes(data)
        rows, error, behind = go.read_whole(place)
        return rows, bool(error), bool(behind) or refused

    return theirs


def same_rows(entries, rows) -> None:
    assert [entry.path for entry in entries] == [row["path"] for row in rows]
    for our, their in zip(entries, rows, strict=True):
        assert (our.kind, our.size, our.sha256.hex()) == (
            kind_of(their),
            their["size"],
            their["sha256"],
        )


def joined(compression: str, between: bytes, cut: int = HALF, behind: bytes = b"") -> bytes:
    """A tar in two members with something between them."""
    pack = PACK[compression]
    return pack(WHOLE[:cut]) + between + pack(WHOLE[cut:]) + behind


@pytest.mark.slow
@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("cut", [HALF, HALF + 700, len(WHOLE) - 512, 3])
@pytest.mark.parametrize(
    "between",
    [
        b"",
        b"\0",
        bytes(3),
        bytes(4),
        bytes(511),
        bytes(512),
        bytes(70_000),
        b"\x1f",
        b"noise",
        SKIPPABLE,
        SKIPPABLE + b"ab",
    ],
    ids=lambda data: f"{len(data)}-{data[:2].hex()}",
)
def test_whatever_stands_between_two_members(compression, cut, between, place, read, judge):
    """It is never taken for trailing data: the layer is whole, or it has what stands before the
    fault."""
    blob = joined(compression, between, cut)
    place.write_bytes(blob)
    ours = read(place)
    rows, error, refused = judge(blob, compression)
    assert (ours.profile.status == "ok") == (not error and not refused)
    if ours.profile.status == "ok":
        assert len(rows) == 120
    else:
        assert ours.profile.stage == "decompress"
        assert ours.profile.cause in ("bad_compression", "truncated")
    same_rows(ours.entries, rows)


@pytest.mark.parametrize("compression", PACK)
def test_a_second_member_whose_magic_number_is_damaged(compression, place, read):
    first, second = PACK[compression](WHOLE[:HALF]), PACK[compression](WHOLE[HALF:])
    for at in range(3):
        blob = bytearray(first + second)
        blob[len(first) + at] ^= 0x20
        place.write_bytes(blob)
        assert (read(place).profile.status, read(place).profile.entries) == ("partial", 100)


@pytest.mark.parametrize("compression", PACK)
def test_an_empty_member_and_a_plain_tar(compression, place, read):
    place.write_bytes(EMPTY[compression] + WHOLE)
    profile = read(place).profile
    assert (profile.status, profile.stage, profile.cause) == (
        "failed",
        "decompress",
        "bad_compression",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "behind",
    [b"\0", b"\x1f", b"appendix", bytes(512), bytes(5), WHOLE, random.Random(1).randbytes(70_000)],
)
@pytest.mark.parametrize("compression", PACK)
def test_bytes_behind_the_last_member(compression, behind, place, read, judge):
    """After the tar's end they are trailing data, but for zstd and xz, whose programs refuse
    them."""
    blob = PACK[compression](WHOLE) + behind
    place.write_bytes(blob)
    ours = read(place)
    rows, error, refused = judge(blob, compression)
    assert not error
    same_rows(ours.entries, rows)
    if compression in ("gzip", "bzip2"):
        assert ours.profile.status == "ok"
        assert ours.profile.notes & NOTES["trailing_data"]
    else:
        assert (ours.profile.status == "ok") == (not refused)
        assert not ours.profile.notes & NOTES["trailing_data"]


@pytest.mark.parametrize("zeros", [4, 8, 512, 100_000])
def test_padding_behind_xz_is_no_fault(zeros, place, read):
    place.write_bytes(PACK["xz"](WHOLE) + bytes(zeros))
    assert (read(place).profile.status, read(place).profile.notes) == ("ok", 0)


@pytest.mark.slow
@pytest.mark.parametrize("flags", range(32))
def test_every_field_of_a_gzip_header_at_every_boundary(flags, drip):
    plain = PACK["gzip"](FEW)
    member = tars.gzip_header(flags) + PACK["gzip"](FEW[TWO:])[10:]
    first = PACK["gzip"](FEW[:TWO])
    for blob, start in ((first + member, len(first)), (tars.gzip_header(flags) + plain[10:], 0)):
        for end in range(start, start + len(tars.gzip_header(flags)) + 3):
            assert (drip(blob, [end]).status, drip(blob, [end]).entries) == ("ok", 4), end
        assert drip(blob, list(range(len(blob)))).entries == 4


@pytest.mark.slow
@pytest.mark.parametrize("flags", range(32))
def test_the_trailer_of_gzip_at_every_boundary(flags, drip):
    first, last = tars.gzip_header(flags) + PACK["gzip"](FEW[:TWO])[10:], PACK["gzip"](FEW[TWO:])
    for end in range(len(first) - 9, len(first) + 2):
        assert drip(first + last, [end]).status == "ok"
        wrong = bytearray(first + last)
        wrong[len(first) - 1 - end % 8] ^= 1
        assert drip(bytes(wrong), [end]).cause == "bad_compression"


def test_long_fields_of_a_gzip_header(place, read):
    for fields in (
        {"extra": bytes(65535)},
        {"extra": b""},
        {"name": b""},
        {"comment": b"c" * 200_000},
        {"name": b"n" * 65_530},
    ):
        blob = (
            PACK["gzip"](FEW[:TWO]) + tars.gzip_header(31, **fields) + PACK["gzip"](FEW[TWO:])[10:]
        )
        place.write_bytes(blob)
        assert (read(place).profile.status, read(place).profile.entries) == ("ok", 4)


def test_a_wrong_checksum_of_a_gzip_header(place, read, judge):
    for flags in (2, 6, 10, 18, 30):
        header = bytearray(tars.gzip_header(flags))
        for at in range(9, len(header)):
            changed = header.copy()
            changed[at] ^= 0x41
            blob = PACK["gzip"](FEW[:TWO]) + bytes(changed) + PACK["gzip"](FEW[TWO:])[10:]
            place.write_bytes(blob)
            ours = read(place)
            rows, error, _ = judge(blob, "gzip")
            assert error == (ours.profile.status != "ok")
            same_rows(ours.entries, rows)


def place_of_checksum(compression: str, blob: bytes) -> int:
    """Where a byte of the checksum of the content stands."""
    if compression == "xz":
        # An index and a footer of 12 bytes, which says how long the index is, follow it.
        (size,) = struct.unpack("<I", blob[-8:-4])
        return -12 - 4 * (size + 1) - 1
    return {"gzip": -8, "bzip2": 10, "zstd": -2}[compression]


@pytest.mark.slow
@pytest.mark.parametrize("compression", PACK)
def test_a_wrong_checksum_costs_no_entry_before_it(compression, place, read, judge):
    """All bytes are there, and none of their programs vouches for them."""
    blob = bytearray(PACK[compression](WHOLE))
    blob[place_of_checksum(compression, bytes(blob))] ^= 1
    place.write_bytes(blob)
    ours = read(place)
    rows, error, refused = judge(bytes(blob), compression)
    assert error or refused
    assert (ours.profile.status, ours.profile.stage) == ("partial", "decompress")
    assert ours.profile.entries == 120
    # zstd keeps the last block to itself, of which the others show all.
    assert len(rows) == 120 or compression == "zstd"
    same_rows(ours.entries[: len(rows)], rows)


@pytest.mark.slow
@pytest.mark.parametrize("compression", PACK)
def test_every_cut(compression, place, read, judge):
    blob = PACK[compression](WHOLE)
    for end in [
        *range(15),
        *range(15, len(blob), len(blob) // 19),
        *range(len(blob) - 13, len(blob)),
    ]:
        place.write_bytes(blob[:end])
        ours = read(place)
        rows, _, _ = judge(blob[:end], compression)
        assert ours.profile.status == ("partial" if rows else "ok" if not end else "failed")
        same_rows(ours.entries, rows)


@pytest.mark.slow
@pytest.mark.parametrize("log", [27, 28, 29, 30, 31])
def test_wide_windows_of_zstd(log, place, read, tmp_path):
    """As wide as skopeo and podman read them; the program itself takes more on demand alone."""
    command = [need("zstd"), "-qc", "--ultra", "-1", f"--long={log}"]
    place.write_bytes(subprocess.run(command, input=WHOLE, check=True, capture_output=True).stdout)
    profile = read(place).profile
    if log <= 29:
        assert (profile.status, profile.entries) == ("ok", 120)
    else:
        assert (profile.status, profile.cause) == ("failed", "limit_memory")


FOREIGN = {
    "lz4": ["--lz4"],
    "lzma": ["--lzma"],
    "lzip": ["--lzip"],
    "compress": ["--compress"],
    "7z": ["--format=7zip"],
    "zip": ["--format=zip"],
    "cpio": ["--format=cpio"],
    "ar": ["--format=ar"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_format_of_layers_is_named(name, place, read, tmp_path):
    (tmp_path / "file").write_bytes(b"content\n" * 500)
    subprocess.run(
        [need("bsdtar"), "-c", *FOREIGN[name], "-f", place, "-C", tmp_path, "file"], check=True
    )
    profile = read(place).profile
    assert (profile.status, profile.stage, profile.cause) == ("failed", "decompress", "unsupported")
    assert profile.message.startswith(f"{name} is no format of layers")
    assert (profile.compression, profile.CLS) == ("unknown", place.stat().st_size)


def test_what_bsdtar_may_not_write_is_named(place, read):
    for magic, name in (
        (b"xar!", "xar"),
        (b"\x89LZO\0\r\n\x1a\n", "lzop"),
        (b"\x27\xb5\x2f\xfd", "zstd (before 0.8)"),
    ):
        for size in (0, 1, 600):
            place.write_bytes(magic + bytes(size))
            assert read(place).profile.message.startswith(f"{name} is no format")


def test_lz4_behind_a_skippable_frame_is_named(place, read):
    """The two formats share these frames."""
    place.write_bytes(SKIPPABLE + b"\x04\x22\x4d\x18" + bytes(60))
    assert (read(place).profile.cause, read(place).profile.message[:4]) == ("unsupported", "lz4 ")


@pytest.mark.parametrize(
    "path",
    [
        b"LZIP",
        b"7z\xbc\xaf\x27\x1c",
        b"BZh91AY",
        b"PK\x03\x04",
        b"\x04\x22\x4d\x18",
        b"\x1f\x9d",
        b"]\0\0\x80\0" + b"\xff" * 8,
    ],
)
def test_a_tar_may_begin_with_such_a_name(path, place, read):
    place.write_bytes(tars.file(path, b"content") + tars.END)
    assert (read(place).profile.status, read(place).profile.entries) == ("ok", 1)
