"""Types that the end or the middle of a file decides are those of `file` for a file on disk, at
every size."""

import gzip
import hashlib
import io
import os
import random
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.elf import CAPABILITIES, INTERPRETER, NOTE, executable
from support.small_images import tar_of_files
from support.tools import need

from hpc_remetrics.filetype import held_content as held_module
from hpc_remetrics.filetype.heads import head_of
from hpc_remetrics.filetype.held_content import HEAD_BYTES, ContentEnds, keep
from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.filetype.typer import Typer
from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_format import NO_TYPE
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.profile.unpack import UnpackedTree

MODES = ("plain", "exact")
NOISE = random.Random(14).randbytes(1 << 20)


def noise(size: int) -> bytes:
    return (NOISE * (size // len(NOISE) + 1))[:size]


def archive(
    names: dict[str, bytes], comment: bytes = b"", method: int = zipfile.ZIP_STORED
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in names.items():
            file.writestr(name, data)
        file.comment = comment
    return out.getvalue()


SECTOR = 4096
NO_SECTOR, LAST_SECTOR, TABLE_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def compound(size: int, directory: int) -> bytes:
    """Return a compound document whose directory lies at that offset, a document of a word
    processor behind it."""
    each = SECTOR // 4
    first = directory // SECTOR - 1
    tables = size // SECTOR // each + 1
    data = bytearray(noise(size // SECTOR * SECTOR))

    header = (
        bytes.fromhex("d0cf11e0a1b11ae1")
        + bytes(16)
        + struct.pack("<HHHHH6x", 62, 4, 0xFFFE, 12, 6)
    )
    header += struct.pack("<IIIIIIIII", 1, tables, first, 0, 4096, LAST_SECTOR, 0, LAST_SECTOR, 0)
    header += struct.pack("<109I", *range(tables), *[NO_SECTOR] * (109 - tables))
    data[:SECTOR] = header.ljust(SECTOR, b"\0")

    following = [NO_SECTOR] * (each * tables)
    following[:tables] = [TABLE_SECTOR] * tables
    following[first : first + 2] = [LAST_SECTOR, LAST_SECTOR]
    data[SECTOR : SECTOR * (tables + 1)] = struct.pack(f"<{each * tables}I", *following)

    stream = b"HWP Document File".ljust(SECTOR, b"\0")
    entries = _entry("Root Entry", 5, 1, LAST_SECTOR, 0) + _entry(
        "FileHeader", 2, NO_SECTOR, first + 1, len(stream)
    )
    data[directory : directory + 2 * SECTOR] = entries.ljust(SECTOR, b"\0") + stream
    return bytes(data)


def _entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
    """Return an entry of a compound document's directory."""
    text = (name + "\0").encode("utf-16-le")
    fields = (len(text), kind, 1, NO_SECTOR, NO_SECTOR, child, 0, first, size, 0)
    return text.ljust(64, b"\0") + struct.pack("<HBBIII16xI16xIII", *fields)


SMALL_ZIP = archive({"a.npy": b"x" * 100})
JAR = archive(
    {"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n", "a/B.class": b"\xca\xfe\xba\xbe" * 9}
)
APK = archive(
    {
        "AndroidManifest.xml": b"x" * 40,
        "META-INF/MANIFEST.MF": b"",
        "resources.arsc": b"y",
        "classes.dex": b"z",
    }
)
WHEEL = archive({"a.dist-info/METADATA": b"Name: a\n" * 40}, method=zipfile.ZIP_DEFLATED)
DOCUMENT = archive(
    {"[Content_Types].xml": b"<x/>", "_rels/.rels": b"<x/>", "word/document.xml": b"<x/>"}
)
OFFICE = archive({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"})
BOOK = archive({"mimetype": b"application/epub+zip"})
PLAIN_ELF = Path(os.path.realpath("/bin/sh")).read_bytes()

KNOWN_BY_THEIR_ENDS = {
    "npz": SMALL_ZIP,
    "jar": JAR,
    "apk": APK,
    "wheel": WHEEL,
    "document": DOCUMENT,
    "office": OFFICE,
    "book": BOOK,
    "empty zip": archive({}),
    "many names": archive({f"name/{number}": b"%d" % number for number in range(900)}),
    "zip with a comment": archive({"a": b"b"}, b"a comment"),
    "zip with a comment of zeros": archive({"a": b"b"}, bytes(30)),
    "zip without its end": SMALL_ZIP[:-5],
    "zip and more": SMALL_ZIP + b"\n",
    "zipapp": b"#!/usr/bin/env python3\n" + SMALL_ZIP,
    "zip behind a text": b"Some text that is long enough.\n" * 9 + SMALL_ZIP,
    "zip behind noise": noise(3000) + SMALL_ZIP,
    "zip behind zeros": bytes(3000) + SMALL_ZIP,
    "zip behind a program": PLAIN_ELF + SMALL_ZIP,
    "zip behind a gzip": gzip.compress(noise(300)) + SMALL_ZIP,
    "jar behind a shell script": b"#!/bin/sh\nexec java -jar $0\n" + JAR,
    "gzip": gzip.compress(b"text\n" * 50),
    "gzip of a name": b"\x1f\x8b\x08\x08\0\0\0\0\x02\xffa.txt\0"
    + gzip.compress(b"text\n" * 50)[10:],
    "xpak": b"BZh91AY&SY" + noise(600) + b"XPAKSTOP" + b"\0\0\1\0" + b"STOP",
    "xpak behind a text": b"some text\n" * 9 + b"XPAKSTOP1234STOP",
    "phar": b"<?php __HALT_COMPILER(); ?>\r\n" + noise(90) + b"\3\0\0\0GBMB",
    "phar of text": b"<?php __HALT_COMPILER(); ?>\r\n" + b"text" * 20 + b"\2aaaGBMB",
    "sstable": noise(900) + struct.pack("<Q", 0xDB4775248B80FB57),
    "sstable of text": b"text" * 90 + struct.pack("<Q", 0xDB4775248B80FB57),
    "apk signing block": noise(900) + b"APK Sig Block 42",
    "degas": b"\0\1" + b"\0\7\7\7\7\7\7\7\7\7" * 3 + bytes(32_034 - 32),
    "degas of another size": b"\0\1" + b"\0\7\7\7\7\7\7\7\7\7" * 3 + bytes(32_035 - 32),
    "degas of low resolution": b"\0\0" + b"\0\7\7\7\7\7\7\7\7\7" * 3 + bytes(32_034 - 32),
    "ttcomp": b"\1\4" + noise(90) + b"\1\xff",
    "pet basic": b"\1\4" + noise(90) + b"\0\0\0",
    "c64 basic": b"\1\x08\x0b\x08\x0a\0\x9e2061\0\0\0" + noise(60) + b"\1\2\3",
    "c64 basic that ends in zeros": b"\1\x08\x0b\x08\x0a\0\x9e2061\0" + bytes(6),
    "raw fax": b"\0\1" + noise(3000),
    "metafile": b"\0\x21\x04test" + noise(100) + b"\0\x40",
    "raspberry": noise(50)
    + struct.pack("<4I4s2I4s2I4s", 0, 0, 1, 4, b"283x", 1, 4, b"DTOK", 44, 4, b"RPTL"),
    "zeros": bytes(100),
    "dmg": noise(3000) + b"koly" + struct.pack(">II", 4, 512) + bytes(500),
    "wonderswan": noise(3000) + b"\xea" + bytes(15),
    "type library": b"SLTG" + noise(300) + b"TYPELIB" + bytes(29),
    "intel hex": b":10010000214601360121470136007EFE09D2190140\r\n:00000001FF\r\n",
    "dfu": noise(90) + b"\0\0\0\0\0\0\x1a\x01UFD\x10\1\2\3\4",
}

ODD_EXECUTABLES = {
    "no tables": executable(),
    "tables beyond the end": executable(
        [(1, 0, 0)] * 3, [(1, 0, 0)] * 3, section_at=9000, segment_at=64
    ),
    "segments beyond the end": executable([], [], segment_at=64)[:54] + b"\x38\0\2\0" + bytes(200),
    "capabilities beyond the end": executable([(1, 0, 0), (CAPABILITIES, 90_000, 64)], kind=3),
    "capabilities that are cut": executable([(1, 0, 0), (CAPABILITIES, 4090, 64)], kind=1),
    "capabilities before the beginning": executable(
        [(1, 0, 0), (CAPABILITIES, (1 << 64) - 64, 64)], kind=1
    ),
    "capabilities": executable([(1, 0, 0), (CAPABILITIES, 2000, 64)], kind=2),
    "notes too large": executable([(1, 0, 0), (NOTE, 0, 1 << 40)], kind=2),
    "a large interpreter": executable([], [(INTERPRETER, 500, 1500)])[:500]
    + b"/" * 1500
    + bytes(2000),
    "a longer interpreter": executable([], [(INTERPRETER, 500, 9000)])[:500]
    + b"\x80" * 9000
    + bytes(2000),
    "a core": executable([], [(4, 300, 200)], kind=4),
    "a core of nothing": executable([], [(4, 1 << 63, 200)], kind=4),
    "32 bits": executable([(1, 0, 0), (NOTE, 1000, 64)], [(INTERPRETER, 400, 20)], wide=False),
    "big": executable([(1, 0, 0), (CAPABILITIES, 90_000, 64)], order=">"),
    "32 bits, big": executable([(1, 0, 0), (CAPABILITIES, 4090, 64)], wide=False, order=">"),
    "cut in its sections": PLAIN_ELF[: len(PLAIN_ELF) - 900],
    "cut in its segments": PLAIN_ELF[:200],
    "cut in its header": PLAIN_ELF[:60],
    "of an odd class": PLAIN_ELF[:4] + b"\7" + PLAIN_ELF[5:],
    "of an odd version": PLAIN_ELF[:20] + b"\7" + PLAIN_ELF[21:],
    "of no machine": PLAIN_ELF[:18] + b"\0\0" + PLAIN_ELF[20:],
    "of an odd machine": PLAIN_ELF[:18] + b"\xfe\xfe" + PLAIN_ELF[20:],
    "of an odd kind": PLAIN_ELF[:16] + b"\xfe\x1e" + PLAIN_ELF[18:],
}

MIDDLE = 2 * HEAD_BYTES + (5 << 20)
IN_THE_MIDDLE = HEAD_BYTES + (3 << 20) + 512

LARGE = {
    "a zip of 8 MiB": archive({"a.npy": noise(8 << 20)}),
    "a zip of 20 MiB": archive({"a.npy": noise(20 << 20)}),
    "a jar of 16 MiB": archive(
        {"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n", "a": noise(16 << 20)}
    ),
    "a zip behind noise": noise(9 << 20) + archive({"a": noise(9 << 20)}),
    "a zip behind a program": PLAIN_ELF + archive({"a": noise(18 << 20)}),
    "a zip behind a text": b"text\n" * (HEAD_BYTES // 5 + 900) + SMALL_ZIP,
    "an end of a zip where the head ends": noise(HEAD_BYTES - 22)
    + SMALL_ZIP[-22:]
    + noise(9 << 20)
    + b"\0\0",
    "a program and 16 MiB": PLAIN_ELF + noise(16 << 20),
    "xpak": noise(18 << 20) + b"XPAKSTOP1234STOP",
    "sparse": SMALL_ZIP[:60] + bytes(30 << 20) + SMALL_ZIP,
    "zeros": bytes(15 << 20),
    "text of 15 MiB": b"a line of text\n" * (1 << 20),
    "a compound document of 6 MiB": compound(6 << 20, 5 << 20),
    "a compound document of 8 MiB": compound(8 << 20, 7 << 20),
}

DECIDED_IN_THE_MIDDLE = {
    "a document of 19 MiB": compound(MIDDLE, HEAD_BYTES + (3 << 20)),
    "sections that can't be read": executable(
        [(1, 0, 0), (CAPABILITIES, MIDDLE * 2, 64)], section_at=IN_THE_MIDDLE, size=MIDDLE
    ),
    "an interpreter of no end": executable(
        [], [(INTERPRETER, IN_THE_MIDDLE, 1500)], size=IN_THE_MIDDLE
    )
    + b"/" * 1500
    + bytes(MIDDLE - IN_THE_MIDDLE),
}


@pytest.fixture(scope="module")
def file() -> str:
    return need("file")


@pytest.fixture(scope="module", params=MODES)
def typer(request, tmp_path_factory) -> tuple[Typer, TypeTable]:
    table = TypeTable(tmp_path_factory.mktemp("types"), 1 << 10)
    return Typer(request.param, table), table


def said_by_file(file: str, data: bytes, directory: Path) -> str:
    path = directory / "copy"
    path.write_bytes(data)
    path.chmod(0o644)
    output = subprocess.run([file, "--brief", path], capture_output=True, check=False).stdout
    return head_of(output.decode("utf-8", "backslashreplace").rstrip("\n"))


def said_here(typer: tuple[Typer, TypeTable], data: bytes, directory: Path) -> str:
    """Return the type of a content that passes in pieces of any size."""
    drawn, at, pieces = random.Random(len(data)), 0, []
    while at < len(data):
        size = drawn.choice((1, 512, 65_536, 1 << 20, 3 << 20))
        pieces.append(data[at : at + size])
        at += size
    kept = keep(pieces, len(data), directory, len)
    assert isinstance(kept, bytes) == (len(data) <= HEAD_BYTES)
    one, table = typer
    return table.description(one.type_of(hashlib.sha256(data).digest(), kept, len(data)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KNOWN_BY_THEIR_ENDS, *ODD_EXECUTABLES])
def test_what_an_end_or_a_table_decides(file, typer, tmp_path, name):
    data = (KNOWN_BY_THEIR_ENDS | ODD_EXECUTABLES)[name]
    assert said_here(typer, data, tmp_path) == said_by_file(file, data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_files(file, typer, tmp_path, name):
    assert said_here(typer, LARGE[name], tmp_path) == said_by_file(file, LARGE[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", DECIDED_IN_THE_MIDDLE)
def test_the_middle_of_a_large_program(file, typer, tmp_path, name):
    data = DECIDED_IN_THE_MIDDLE[name]
    assert said_here(typer, data, tmp_path) == said_by_file(file, data, tmp_path)
    assert os.listdir(tmp_path) == ["copy"]  # what was written to scratch is gone


def test_a_zip_is_a_zip(file, typer, tmp_path):
    """The right value, whatever `file` of this machine says."""
    for data in (SMALL_ZIP, WHEEL, LARGE["a zip of 20 MiB"]):
        assert said_here(typer, data, tmp_path) == "Zip archive data"


def test_no_more_than_the_ends_is_held(tmp_path):
    size = 200 << 20
    zeros = bytes(1 << 20)
    kept = keep((zeros for _ in range(200)), size, tmp_path, len)
    assert isinstance(kept, ContentEnds)
    assert kept.whole is None
    assert len(kept.head) == HEAD_BYTES
    assert HEAD_BYTES <= sum(map(len, kept.tail)) <= HEAD_BYTES + len(zeros)


@pytest.mark.parametrize(
    "size", [HEAD_BYTES, HEAD_BYTES + 1, 2 * HEAD_BYTES, 2 * HEAD_BYTES + 1, 20 << 20]
)
def test_ends_are_the_contents(tmp_path, size):
    data = noise(size)
    kept = keep([data[at : at + 999_999] for at in range(0, size, 999_999)], size, tmp_path, len)
    if isinstance(kept, bytes):
        assert kept == data
        return
    assert kept.head == data[:HEAD_BYTES]
    for length in (1, 22, 512, 1_000_000, HEAD_BYTES):
        assert kept.last(length) == data[-length:]
    for at in (0, 5, HEAD_BYTES - 64, HEAD_BYTES - 63, size - HEAD_BYTES, size - 64):
        part = kept.read(at, 64)
        assert part == data[at : at + 64] or (
            part is None and HEAD_BYTES - 64 < at < size - HEAD_BYTES
        )
    with open(tmp_path / "file", "w+b") as file:
        kept.write(file.fileno())
        written = file.read()
    assert len(written) == size
    assert written[:HEAD_BYTES] == kept.head
    assert written[-HEAD_BYTES:] == data[-HEAD_BYTES:]
    assert kept.read(size - 63, 64) is None


def test_where_scratch_is_full_both_ends_have_to_do(tmp_path, monkeypatch):
    data = DECIDED_IN_THE_MIDDLE["sections that can't be read"]
    full = open("/dev/full", "w+b")  # noqa: SIM115
    monkeypatch.setattr(held_module.tempfile, "TemporaryFile", lambda dir: full)
    kept = keep([data], len(data), tmp_path, len)
    assert isinstance(kept, ContentEnds)
    assert kept.whole is None


class Noting(Typer):
    """A typer that notes the contents that it is asked about, in order."""

    def __init__(self, mode: str, table: TypeTable) -> None:
        super().__init__(mode, table)
        self.found: list[list] = []

    def type_later(self, content, data):
        self.found.append(content)
        super().type_later(content, data)


@pytest.mark.slow
@pytest.mark.parametrize("unpack", [False, True])
def test_a_layer_gives_its_large_files_the_types_of_file(file, tmp_path, unpack):
    contents = {**LARGE, **DECIDED_IN_THE_MIDDLE, "npz": SMALL_ZIP}
    for mode in MODES:
        layer = io.BytesIO(tar_of_files(contents))
        table = TypeTable(tmp_path / f"types-{mode}", 1 << 10)
        tree = UnpackedTree(tmp_path / "tree", 1 << 40) if unpack else None
        typer, spill = Noting(mode, table), Spill(tmp_path / "spill")
        profile = profile_layer(layer, spill, Limits(), typer=typer, tree=tree)
        assert profile.status == "ok"
        assert all(number != NO_TYPE for _, number, _ in typer.found)
        theirs = [said_by_file(file, data, tmp_path) for data in contents.values()]
        assert [table.description(number) for _, number, _ in typer.found] == theirs
