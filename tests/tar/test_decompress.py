"""A blob becomes the bytes of a tar: members, limits, faults, and what was read before a fault."""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import random
import struct
import zlib

import pytest
from support import tars

from hpc_remetrics.limits import Limits
from hpc_remetrics.records import NOTES
from hpc_remetrics.tar.decoders import zstd_module
from hpc_remetrics.tar.decompress import CHUNK, READ, Blob, Decompressed
from hpc_remetrics.tar.fault import LayerFault

TAR = tars.file(b"a", random.Random(1).randbytes(300_000)) + tars.END
PACK = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": lambda data: zstd_module().compress(data),
}
SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"


class Slow(io.BytesIO):
    """A file that gives a few bytes at a time, and maybe an error of its device at a place."""

    def __init__(self, data: bytes, most: int = 1 << 20, fails_at: int = -1) -> None:
        super().__init__(data)
        self.most = most
        self.fails_at = fails_at

    def read(self, size: int | None = -1) -> bytes:
        if self.fails_at >= 0 and self.tell() >= self.fails_at:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(min(size or self.most, self.most))


class Pipe(Slow):
    def seekable(self) -> bool:
        return False


def unpacked(blob: bytes | io.BytesIO, tar_ended: bool = False, **limits: int):
    """Return the tar, the fault (cause and message, or None), and the `Decompressed`."""
    stream = blob if isinstance(blob, io.BytesIO) else io.BytesIO(blob)
    source = Decompressed(Blob(stream), Limits(**limits))  # type: ignore[arg-type]
    source.tar_ended = tar_ended
    chunks = []
    try:
        for chunk in source:
            assert 0 < len(chunk) <= max(CHUNK, READ) + 1
            chunks.append(chunk)
    except LayerFault as fault:
        return b"".join(chunks), f"{fault.cause}: {fault.message}", source
    assert source.size == sum(map(len, chunks))
    return b"".join(chunks), None, source


# Blobs


def test_a_blob_is_counted_and_hashed_as_it_is_read():
    blob = Blob(io.BytesIO(TAR))
    assert blob.size == 0
    first = blob.read(10)
    assert (first, blob.size, blob.digest()) == (TAR[:10], 10, hashlib.sha256(TAR[:10]).digest())
    assert len(blob.read()) == READ
    blob.drain()
    assert (blob.size, blob.digest()) == (len(TAR), hashlib.sha256(TAR).digest())
    assert blob.read() == b""


@pytest.mark.parametrize("size", [0, 1, 1000, len(TAR)])
def test_a_blob_within_an_archive(size):
    stream = io.BytesIO(TAR + b"the next file of the archive")
    blob = Blob(stream, size)
    blob.read(3)
    blob.drain()
    assert (blob.size, blob.digest()) == (size, hashlib.sha256(TAR[:size]).digest())
    assert stream.tell() == size


def test_bytes_that_were_read_come_again_and_the_place_stays():
    stream = io.BytesIO(b"before" + TAR)
    stream.read(6)
    blob = Blob(stream)
    blob.read(200_000)
    assert b"".join(blob.again(5)) == TAR[5:200_000]
    assert b"".join(blob.again(blob.size)) == b""
    assert blob.read(10) == TAR[200_000:200_010]
    again = blob.again(0)
    assert next(again) == TAR[:READ]
    again.close()
    assert blob.read(10) == TAR[200_010:200_020]


def test_nothing_comes_again_from_a_pipe():
    blob = Blob(Pipe(TAR))
    blob.read(100)
    assert list(blob.again(0)) == []


def test_an_error_of_the_device_is_a_fault():
    blob = Blob(Slow(TAR, fails_at=100_000, most=50_000))
    blob.read(50_000)
    blob.read(50_000)
    with pytest.raises(LayerFault, match=r"failed at byte 100000: .*Input/output") as raised:
        blob.read()
    assert (raised.value.stage, raised.value.cause) == ("open", "io_error")
    assert b"".join(blob.again(0)) == TAR[:100_000]


# Whole blobs


@pytest.mark.parametrize("most", [1, 600, 1 << 20])
@pytest.mark.parametrize("compression", ["none", *PACK])
def test_whole_blobs_in_any_pieces(compression, most):
    data = TAR if most > 1 else tars.file(b"a", b"hello") + tars.END
    blob = PACK[compression](data) if compression != "none" else data
    output, fault, source = unpacked(Slow(blob, most))
    assert (output == data, fault, source.compression, source.notes) == (True, None, compression, 0)
    assert source.blob.size == len(blob)
    assert source.blob.digest() == hashlib.sha256(blob).digest()


@pytest.mark.parametrize("data", [b"", b"short", bytes(511)])
def test_short_blobs_are_not_compressed(data):
    output, fault, source = unpacked(data)
    assert (output, fault, source.compression) == (data, None, "none")


def test_a_foreign_format_is_named_unless_it_is_the_name_of_a_first_file():
    output, fault, source = unpacked(b"LZIP" + bytes(600))
    assert (output, source.compression) == (b"", "unknown")
    assert fault is not None
    assert fault.startswith("unsupported: lzip is no format of layers")
    data = tars.file(b"LZIP") + tars.END
    output, fault, source = unpacked(data)
    assert (output, fault, source.compression) == (data, None, "none")


# Several members


@pytest.mark.parametrize("compression", PACK)
def test_several_members(compression):
    pack = PACK[compression]
    blob = pack(TAR[:1000]) + pack(TAR[1000:])
    output, fault, source = unpacked(blob)
    assert (output == TAR, fault, source.notes) == (True, None, NOTES["many_members"])


@pytest.mark.parametrize("compression", PACK)
def test_an_empty_member_before_is_not_the_first(compression):
    pack = PACK[compression]
    output, fault, source = unpacked(pack(b"") + pack(TAR))
    assert (output == TAR, fault, source.notes) == (True, None, 0)


@pytest.mark.parametrize(("before", "behind"), [(SKIPPABLE, b""), (b"", SKIPPABLE)])
def test_skippable_frames(before, behind):
    output, fault, source = unpacked(before + PACK["zstd"](TAR) + behind)
    many = NOTES["many_members"] if behind else 0
    assert (output == TAR, fault) == (True, None)
    assert source.notes == NOTES["skippable_frames"] | many


@pytest.mark.parametrize("zeros", [0, 4, 8, 100_000])
def test_padding_between_streams_of_xz(zeros):
    pack = PACK["xz"]
    output, fault, _ = unpacked(pack(TAR[:1000]) + bytes(zeros) + pack(TAR[1000:]) + bytes(zeros))
    assert (output == TAR, fault) == (True, None)


@pytest.mark.parametrize("zeros", [1, 2, 3, 5, 70_001])
def test_wrong_padding_between_streams_of_xz(zeros):
    blob = PACK["xz"](TAR[:1000]) + bytes(zeros) + PACK["xz"](TAR[1000:])
    output, fault, _ = unpacked(blob)
    assert output == TAR[:1000]
    assert fault == f"bad_compression: xz: padding of {zeros} bytes, no multiple of 4"


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("ended", [False, True])
def test_what_begins_no_member(compression, ended):
    packed = PACK[compression](TAR)
    blob = packed + b"noise" * 100_000
    output, fault, source = unpacked(blob, ended)
    assert output == TAR
    if ended and compression in ("gzip", "bzip2"):
        assert (fault, source.notes) == (None, NOTES["trailing_data"])
        assert source.blob.digest() == hashlib.sha256(blob).digest()
    else:
        message = f"what follows the member that ends at {len(packed)} begins no other"
        assert fault == f"bad_compression: {compression}: {message}"


@pytest.mark.parametrize("compression", PACK)
def test_a_second_member_that_is_cut_within_its_magic_number(compression):
    blob = PACK[compression](TAR) + PACK[compression](TAR)[:2]
    output, fault, _ = unpacked(blob)
    assert output == TAR
    assert fault == f"truncated: the {compression} stream ends in the middle"


def test_a_foreign_format_behind_members_without_output_is_named():
    lz4 = b"\x04\x22\x4d\x18" + bytes(600)
    _, fault, _ = unpacked(SKIPPABLE + lz4)
    assert fault is not None
    assert fault.startswith("unsupported: lz4 is no format of layers")
    _, fault, _ = unpacked(PACK["zstd"](TAR) + lz4)
    assert fault is not None
    assert "begins no other" in fault


# Limits


def test_limits_of_size_and_ratio():
    zeros = PACK["gzip"](bytes(1_000_000))
    assert unpacked(zeros, layer_bytes=1_000_000)[1] is None
    _, fault, source = unpacked(zeros, layer_bytes=999_999)
    assert fault == "limit_size: more than 999999 bytes uncompressed"
    ratio = 1_000_000 // len(zeros)
    assert unpacked(zeros, ratio=ratio + 1, ratio_grace=0)[1] is None
    output, fault, source = unpacked(zeros, ratio=ratio // 2, ratio_grace=600_000)
    assert fault == (
        f"limit_ratio: {len(zeros)} bytes became {source.size}, "
        f"more than {ratio // 2} times as many"
    )
    assert len(output) <= 600_000 < source.size
    assert unpacked(zeros, ratio=1, ratio_grace=1_000_000)[1] is None


# Faults


@pytest.mark.parametrize("compression", PACK)
def test_a_blob_that_is_cut(compression):
    packed = PACK[compression](TAR)
    output, fault, _ = unpacked(packed[: len(packed) - 40])
    assert fault == f"truncated: the {compression} stream ends in the middle"
    assert TAR.startswith(output)


def broken_gzip(data: bytes) -> bytes:
    """Return a gzip member with all of the data, and behind it a block of a type that is none."""
    deflate = zlib.compressobj(1, wbits=31)
    return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH) + b"\x07" * 50


@pytest.mark.parametrize("size", [100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7_000])
def test_what_was_decoded_before_a_fault_is_kept(size):
    data = random.Random(size).randbytes(size)
    output, fault, _ = unpacked(PACK["gzip"](b"first") + broken_gzip(data))
    # With a fault, zlib drops the byte that it decoded in the same call
    assert output == b"first" + data[:-1]
    assert fault is not None
    assert fault.startswith("bad_compression: gzip: ")


def test_of_a_pipe_what_was_decoded_with_the_fault_is_lost():
    data = random.Random(3).randbytes(2 * CHUNK + 7_000)
    output, fault, _ = unpacked(Pipe(broken_gzip(data)))
    assert data.startswith(output)
    assert len(output) >= 2 * CHUNK - READ
    assert fault is not None
    assert fault.startswith("bad_compression: gzip: ")


def test_a_wrong_checksum_of_a_gzip_header_and_a_header_that_is_cut():
    header = b"\x1f\x8b\x08\x02" + bytes(6)
    assert unpacked(header + b"zz" + bytes(600))[1] == (
        "bad_compression: gzip: the checksum of a gzip header is wrong"
    )
    assert unpacked(header[:7])[1] == "truncated: the gzip stream ends in the middle"


def test_xz_that_needs_more_memory_than_there_may_be():
    packed = lzma.compress(TAR, preset=9)
    output, fault, _ = unpacked(packed, child_bytes=1 << 20)
    assert output == b""
    assert fault is not None
    assert fault.startswith("limit_memory: xz: ")
