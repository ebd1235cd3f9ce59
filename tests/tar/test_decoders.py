"""Compressions by their first bytes, their decoders, and headers of gzip in any pieces."""

import bz2
import gzip
import lzma
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tars
from support.examples import share_of

from hpc_remetrics.tar import decoders

ZSTD = b"\x28\xb5\x2f\xfd"
DATA = bytes(range(256)) * 400
PACKED = {
    "gzip": gzip.compress(DATA, mtime=0)[10:],
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
    "zstd": decoders.zstd_module().compress(DATA),
}


@pytest.mark.parametrize(
    ("head", "compression"),
    [
        (b"", "none"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x1f\x8b\x09", "none"),
        (b"\x1f\x8b", "none"),
        (ZSTD, "zstd"),
        (ZSTD[:3], "none"),
        (b"\x50\x2a\x4d\x18", "zstd"),
        (b"\x5f\x2a\x4d\x18", "zstd"),
        (b"\x4f\x2a\x4d\x18", "none"),
        (b"\x60\x2a\x4d\x18", "none"),
        (b"\x50\x2a\x4d", "none"),
        (b"BZh9\x31\x41\x59\x26\x53\x59", "bzip2"),
        (b"BZh9\x17\x72\x45\x38\x50\x90", "bzip2"),
        (b"BZh9\x31\x41\x59\x26\x53", "none"),
        (b"BZhello, world", "none"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\xfd7zXZ", "none"),
    ],
)
def test_the_compression_of_a_blob(head, compression):
    assert decoders.compression_of(head) == compression


@pytest.mark.parametrize("compression", PACKED)
def test_a_member_that_was_cut_within_its_magic_number(compression):
    magic = {"gzip": b"\x1f\x8b\x08", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0", "zstd": ZSTD}[
        compression
    ]
    for size in range(len(magic) + 1):
        assert decoders.may_begin(compression, magic[:size])
    assert not decoders.may_begin(compression, magic + b"x")
    assert not decoders.may_begin(compression, magic[:-1] + b"!")


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("first", [0x4F, 0x50, 0x5F, 0x60])
def test_a_skippable_frame_that_was_cut(compression, first):
    may_begin = compression == "zstd" and 0x50 <= first <= 0x5F
    frame = bytes([first]) + b"\x2a\x4d\x18"
    for size in range(1, 5):
        assert decoders.may_begin(compression, frame[:size]) is may_begin
    assert not decoders.may_begin(compression, frame[:2] + b"!")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\x89LZO\x00\r\n\x1a\n", "lzop"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x22\xb5\x2f\xfd", "zstd (before 0.8)"),
        (b"\x27\xb5\x2f\xfd", "zstd (before 0.8)"),
        (ZSTD, ""),
        (b"070707", "cpio"),
        (b"", ""),
    ],
)
def test_formats_that_no_layer_may_have(head, name):
    assert decoders.foreign_format(head) == name


def lzma_head(first: int = 0x5D, dictionary: int = 1 << 23, size: int = (1 << 64) - 1) -> bytes:
    return struct.pack("<BIQ", first, dictionary, size)


def test_lzma_as_xz_writes_it():
    for preset in (0, 1, 5, 7):
        data = lzma.compress(b"data", format=lzma.FORMAT_ALONE, preset=preset)
        assert decoders.foreign_format(data[:13]) == "lzma"


@pytest.mark.parametrize(
    ("head", "is_lzma"),
    [
        (lzma_head(), True),
        (lzma_head()[:12], False),
        (lzma_head(first=224), True),
        (lzma_head(first=225), False),
        (lzma_head(dictionary=3 << 22), True),
        (lzma_head(dictionary=5 << 22), False),
        (lzma_head(dictionary=7 << 21), False),
        (lzma_head(dictionary=0), False),
        (lzma_head(dictionary=0xFFFF_FFFF), True),
        (lzma_head(dictionary=0xFFFF_FFFE), False),
        (lzma_head(size=(1 << 38) - 1), True),
        (lzma_head(size=1 << 38), False),
        (lzma_head(size=(1 << 64) - 2), False),
        (lzma_head(size=0), True),
    ],
)
def test_lzma_by_its_fields(head, is_lzma):
    assert decoders.foreign_format(head) == ("lzma" if is_lzma else "")


# Decoders


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize(("piece", "most"), [(1 << 20, 1 << 20), (100, 7_000), (7, 1 << 20)])
def test_decoders_have_one_interface(compression, patient, piece, most):
    make = decoders.patient_decoder_for if patient else decoders.decoder_for
    decoder = make(compression, 1 << 30)()
    packed = PACKED[compression] + b"behind"
    output = b""
    place = 0
    while not decoder.eof:
        given = b""
        if decoder.needs_input:
            given = packed[place : place + piece]
            place += len(given)
        chunk = decoder.decompress(given, most)
        assert len(chunk) <= most
        output += chunk
    assert output == DATA
    # Of gzip, zlib leaves the trailer too, which ISA-L verifies
    left = decoder.unused_data + packed[place:]
    assert left.endswith(b"behind")
    assert len(left) == (14 if patient and compression == "gzip" else 6)


def test_a_patient_decoder_returns_what_stands_before_a_fault():
    deflate = zlib.compressobj(wbits=-15)
    deflated = deflate.compress(b"data") + deflate.flush(zlib.Z_FULL_FLUSH)
    decoder = decoders.patient_decoder_for("gzip", 0)()
    # A block of type 3 is none; 300 bytes are more than zlib is given at once
    assert decoder.decompress(deflated + b"\x07" * 300, 1) == b"d"
    assert not decoder.needs_input
    # The last byte is lost: zlib decodes the next block's type in the same call
    assert [decoder.decompress(b"", 1) for _ in range(2)] == [b"a", b"t"]
    with pytest.raises(zlib.error):
        decoder.decompress(b"", 1)


def test_xz_has_a_limit_of_memory():
    packed = lzma.compress(DATA, preset=9)
    with pytest.raises(lzma.LZMAError, match=r"(?i)memory"):
        decoders.decoder_for("xz", 1 << 20)().decompress(packed)


# Headers of gzip


NO_NUL = st.binary(max_size=20).map(lambda data: data.replace(b"\0", b"n"))


@settings(max_examples=share_of(120))
@given(
    st.sampled_from([0, 1, 2, 4, 8, 16, 24, 28, 30, 31]),
    st.binary(max_size=20),
    NO_NUL,
    NO_NUL,
    st.binary(max_size=5),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_headers_of_gzip_in_any_pieces(flags, extra, name, comment, body, sizes):
    header = tars.gzip_header(flags, extra, name, comment)
    blob = header + body
    pieces = []
    start = 0
    while start < len(blob):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(blob[start : start + size])
        start += size
    rest = iter(pieces)
    left = bytes(decoders.after_gzip_header(next(rest), lambda: next(rest, b"")))
    assert left + b"".join(rest) == body

    # Cut anywhere, the header does not end
    for end in range(3, len(header)):
        with pytest.raises(EOFError):
            decoders.after_gzip_header(header[:end], lambda: b"")

    # Any other checksum is wrong
    if flags & 2:
        wrong = header[:-1] + bytes([header[-1] ^ 1])
        with pytest.raises(ValueError, match="checksum"):
            decoders.after_gzip_header(wrong, lambda: b"")
