"""Reading parts: each thing in index and rows that can't be is named."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.synthetic import SIGNATURE, TYPES, make_layer

from hpc_remetrics.errors import DatasetError
from hpc_remetrics.parts import part_reader
from hpc_remetrics.parts.part_format import ENTRY_COLUMNS, EXTRA_RECORDS, FOOTER, LAYER, MAGIC
from hpc_remetrics.parts.part_reader import read_part, wrong_values
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.spill_format import NO_CONTENT, NO_TYPE

from .synthetic_parts import seven_layers, write

Index = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A part of an ok and a failed layer."""
    directory = tmp_path_factory.mktemp("part")
    layers = [
        make_layer(random.Random(3), 1, 30),
        make_layer(random.Random(4), 2, 0, status="failed"),
    ]
    spills = [layers[0].spill(directory), None]
    items = [(one.digest, one.profile, spill) for one, spill in zip(layers, spills, strict=True)]
    return write_part(directory, "x", items, [], TYPES, SIGNATURE, directory).read_bytes()


def rewritten(path: Path, whole: bytes, change: Callable[[Index, np.ndarray], Any]) -> Path:
    """Write the part with another index or other rows, and right checksums."""
    _, _, _, length, _ = FOOTER.unpack(whole[-FOOTER.size :])
    end = len(whole) - FOOTER.size - length
    index = json.loads(whole[end : end + length])
    data = bytearray(whole[:end])
    begin = index["offsets"]["layers"]
    size = index["layers"] * LAYER.itemsize
    rows = np.frombuffer(bytes(data[begin : begin + size]), LAYER).copy()
    index = change(index, rows) or index
    data[begin : begin + size] = rows.tobytes()
    if isinstance(index, dict):
        index["layers_crc"] = zlib.crc32(rows.tobytes())
    text = json.dumps(index).encode()
    total = end + len(text) + FOOTER.size
    path.write_bytes(data + text + FOOTER.pack(MAGIC, 1, zlib.crc32(text), len(text), total))
    return path


def index(key: str, value: Any, *inner: Any) -> Callable[[Index, np.ndarray], None]:
    def change(found: Index, rows: np.ndarray) -> None:
        target: Any = found
        for step in inner:
            target = target[step]
        target[key] = value

    return change


def row(name: str, value: Any, number: int = 0) -> Callable[[Index, np.ndarray], None]:
    def change(found: Index, rows: np.ndarray) -> None:
        rows[name][number] = value

    return change


def test_the_same_part_again(tmp_path, whole):
    part = read_part(rewritten(tmp_path / "a", whole, lambda found, rows: None))
    assert part.layers["entries"].tolist() == [30, 0]
    assert part.signature == SIGNATURE
    assert part.extras.keys() == EXTRA_RECORDS.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found, rows: [1], "not an object"),
        (index("layers", True), "layers is not of the type int"),
        (index("layers", 1 << 40), "layers in"),
        (index("layers", 5000), "layers in"),
        (index("layers", -1), "layer"),
        (index("types", {}), "types is not of the type list"),
        (index("types", ["x" * 4097]), "a type is not a short string"),
        (index("types", [5]), "a type is not a short string"),
        (index("signature", {"by": "x" * 4097}), "the signature's 'by'"),
        (index("extra", 1, "failures", 0), "unknown keys"),
        (index("digest", "00", "failures", 0), "strings of a wrong length"),
        (index("digest", "zz" * 32, "failures", 0), "non-hexadecimal"),
        (index("digest", "00" * 32, "failures", 0), "a layer that it does not hold"),
        (index("message", "x" * 4097, "failures", 0), "strings of a wrong length"),
        (index("offset", -2, "failures", 0), "offset out of range"),
        (index("offset", 1 << 62, "failures", 0), "offset out of range"),
        (index("rank", 1 << 31, "failures", 0), "rank out of range"),
        (index("rank", -2, "failures", 0), "rank out of range"),
        (index("more", [0, 0], "extras"), "extra records of an unknown kind"),
        (index("samples", [0], "extras"), "not a number for each layer"),
        (index("samples", [0, -1], "extras"), "numbers out of range"),
        (index("samples", [0, 1 << 60], "extras"), "numbers out of range"),
        (index("samples", [0, 5000], "extras"), "samples lies beyond the end"),
        (index("uid", -1, "offsets"), "uid lies beyond the end"),
        (index("uid", 1 << 50, "offsets"), "uid lies beyond the end"),
        (index("path", "0", "offsets"), "path lies beyond the end"),
        (
            lambda found, rows: found["offsets"].update(link=len(str(found)) + 10**6),
            "beyond the end",
        ),
        (row("status", 3), "unknown status"),
        (row("compression", 6), "unknown compression"),
        (row("depth", -1), "depth below 0"),
        (row("CLS", -1), "CLS is out of range"),
        (row("TLS", (1 << 50) + 1), "TLS is out of range"),
        (row("directories", -1), "directories is out of range"),
        (row("cpu_seconds", np.nan), "cpu_seconds"),
        (row("cpu_seconds", -0.5), "cpu_seconds"),
        (row("entries", 1, 1), "a failed layer has entries"),
        (row("files", 31), "fewer entries than files and links"),
        (row("first_entry", 29, 1), "entries of the layers don't lie"),
        (row("first_path_byte", 1), "path_bytes of the layers don't lie"),
        (row("first_link_byte", 1), "link_bytes of the layers don't lie"),
        (row("path_bytes", 1 << 40, 1), "path lies beyond the end"),
    ],
)
def test_what_is_refused(tmp_path, whole, change, words):
    with pytest.raises(DatasetError, match=f"not a whole part: .*{words}"):
        read_part(rewritten(tmp_path / "a", whole, change))


@pytest.mark.parametrize(
    "change",
    [
        row("CLS", 1 << 50),
        row("cpu_seconds", 0.0),
        row("files", 0),
        index("offset", -1, "failures", 0),
        index("rank", (1 << 31) - 1, "failures", 0),
        index("types", ["x" * 4096] * 7),
    ],
)
def test_what_is_accepted(tmp_path, whole, change):
    assert read_part(rewritten(tmp_path / "a", whole, change))


def test_an_index_may_have_so_many_bytes_and_no_more(tmp_path, whole, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(whole)
    _, _, _, length, _ = FOOTER.unpack(whole[-FOOTER.size :])
    monkeypatch.setattr(part_reader, "_INDEX_BYTES", length)
    assert read_part(path)
    monkeypatch.setattr(part_reader, "_INDEX_BYTES", length - 1)
    with pytest.raises(DatasetError, match=f"not a whole part: .*an index of {length} bytes"):
        read_part(path)


@pytest.mark.parametrize("beyond", [1, FOOTER.size, 2 * FOOTER.size])
def test_an_index_that_is_longer_than_the_part_is_refused(tmp_path, whole, beyond):
    path = tmp_path / "a"
    longer = len(whole) - FOOTER.size + beyond
    path.write_bytes(whole[: -FOOTER.size] + FOOTER.pack(MAGIC, 1, 0, longer, len(whole)))
    with pytest.raises(DatasetError, match=r"not a whole part: .*bytes, the footer says"):
        read_part(path)


def test_unknown_stages_and_causes_become_internal(tmp_path, whole):
    part = read_part(rewritten(tmp_path / "a", whole, index("cause", "boredom", "failures", 0)))
    assert (part.failures[0].stage, part.failures[0].cause) == ("child", "internal")


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("kind", 9, 10),
        ("size", (1 << 62) - 1, 1 << 62),
        ("size", NO_CONTENT, NO_CONTENT - 1),
        ("type", 2, 3),
        ("type", NO_TYPE, NO_TYPE - 1),
        ("mode", 0o7777, 0o10000),
        ("mtime_ns", 999_999_999, 10**9),
        ("uid", -5, None),
    ],
)
def test_values_of_entries(name, allowed, refused):
    dtype = ENTRY_COLUMNS[name]
    assert wrong_values(name, np.array([0, allowed], dtype), 3) == ""
    if refused is not None:
        message = f"{name} has values out of range"
        assert wrong_values(name, np.array([0, refused], dtype), 3) == message


@pytest.mark.parametrize(("field", "refused"), [("gzip", -1), ("zstd", 1 << 62)])
def test_values_of_extra_records(field, refused):
    records = np.zeros(2, EXTRA_RECORDS["samples"])
    assert wrong_values("samples", records, 0) == ""
    records[field][1] = refused
    assert wrong_values("samples", records, 0) == "samples has values out of range"


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"x" * 10_000, b"RMPART\r\n" + b"\xff" * 24])
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "part-x.h5"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"part-x\.h5: not a whole part"):
        read_part(path)


def test_another_version_says_found_and_wanted(tmp_path: Path) -> None:
    path = write(tmp_path, "x", seven_layers())
    data = bytearray(path.read_bytes())
    data[-24] = 99
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="version 99, wanted 1"):
        read_part(path)
