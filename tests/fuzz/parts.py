"""Hostile parts and job notes: files beside a dataset that another user may have put there."""

from __future__ import annotations

import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hpc_remetrics.parts.part_format import BLOBS, ENTRY_COLUMNS, LAYER

Change = Callable[[Path, random.Random], None]

_FOOTER = struct.Struct("<8sIIQQ")


def taken_apart(path: Path) -> tuple[bytearray, dict[str, Any]]:
    """Return a part's bytes before its index, and the index."""
    data = path.read_bytes()
    _, _, _, length, _ = _FOOTER.unpack(data[-_FOOTER.size :])
    end = len(data) - _FOOTER.size - length
    return bytearray(data[:end]), json.loads(data[end : end + length])


def put_together(path: Path, data: bytes, index: Any, text: bytes | None = None) -> None:
    """Write a part whose checksums are right, whatever is in it."""
    text = json.dumps(index).encode() if text is None else text
    total = len(data) + len(text) + _FOOTER.size
    path.write_bytes(
        bytes(data) + text + _FOOTER.pack(b"RMPART\r\n", 1, zlib.crc32(text), len(text), total)
    )


def _index(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Change the index; its checksum is right again."""

    def apply(path: Path, rng: random.Random) -> None:
        data, index = taken_apart(path)
        change(index)
        put_together(path, data, index)

    return apply


def _layers(name: str, value: Any) -> Change:
    """Change a field of all layers; its checksum is right again."""

    def apply(path: Path, rng: random.Random) -> None:
        data, index = taken_apart(path)
        begin, size = index["offsets"]["layers"], index["layers"] * LAYER.itemsize
        rows = np.frombuffer(bytes(data[begin : begin + size]), LAYER).copy()
        rows[name] = value
        data[begin : begin + size] = rows.tobytes()
        index["layers_crc"] = zlib.crc32(rows.tobytes())
        put_together(path, data, index)

    return apply


def _entries(name: str, value: Any, row: Any = slice(None)) -> Change:
    """Change a column of the entries, which has no checksum."""

    def apply(path: Path, rng: random.Random) -> None:
        data, index = taken_apart(path)
        dtype, begin = ENTRY_COLUMNS[name], index["offsets"][name]
        layers = index["offsets"]["layers"], index["layers"] * LAYER.itemsize
        rows = int(np.frombuffer(bytes(data[layers[0] : sum(layers)]), LAYER)["entries"].sum())
        values = np.frombuffer(bytes(data[begin : begin + rows * dtype.itemsize]), dtype).copy()
        values[row] = value
        data[begin : begin + rows * dtype.itemsize] = values.tobytes()
        put_together(path, data, index)

    return apply


def _index_text(text: bytes) -> Change:
    def apply(path: Path, rng: random.Random) -> None:
        put_together(path, taken_apart(path)[0], None, text)

    return apply


def _instead(make: Callable[[Path], Any]) -> Change:
    """Put something else in the place of the file."""

    def apply(path: Path, rng: random.Random) -> None:
        path.unlink()
        make(path)

    return apply


def _beside(make: Callable[[Path], Any]) -> Change:
    """Put something more beside the file."""

    def apply(path: Path, rng: random.Random) -> None:
        make(path.with_name(path.name.replace("-", "-0", 1)))

    return apply


def _fifo_behind_a_link(path: Path) -> None:
    os.mkfifo(path.with_name("fifo"))
    path.symlink_to("fifo")


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _moved_and_linked(path: Path, rng: random.Random) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _second_of_another_size(path: Path, rng: random.Random) -> None:
    """Another part that says other sizes for the same contents: of one failed layer more, so that
    both are used."""
    data, index = taken_apart(path)
    begin, size = index["offsets"]["layers"], index["layers"] * LAYER.itemsize
    rows = np.frombuffer(bytes(data[begin : begin + size]), LAYER).copy()
    best = int(np.argmax(rows["files"]))
    other = rows.copy()
    other["digest"] = np.array([np.void(os.urandom(32)) for _ in rows], "V32")
    other["digest"][best], rows["digest"][best] = rows["digest"][best], np.void(os.urandom(32))
    for which, name in ((rows, path.name), (other, f"part-zz{path.name[5:]}")):
        copy = bytearray(data)
        copy[begin : begin + size] = which.tobytes()
        if which is other:
            at, width = index["offsets"]["size"], 8
            entries = int(rows["entries"].sum())
            values = np.frombuffer(bytes(copy[at : at + width * entries]), "<u8").copy()
            values[values < 1 << 62] += np.uint64(1)
            copy[at : at + width * entries] = values.tobytes()
        put_together(
            path.with_name(name),
            copy,
            {**index, "layers_crc": zlib.crc32(which.tobytes()), "failures": []},
        )


HOSTILE: dict[str, Change] = {
    "a FIFO": _instead(os.mkfifo),
    "a FIFO beside": _beside(os.mkfifo),
    "a FIFO behind a link": _beside(_fifo_behind_a_link),
    "a link to /dev/zero": _beside(lambda path: path.symlink_to("/dev/zero")),
    "a link to a good part": _moved_and_linked,
    "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
    "a directory": _instead(lambda path: path.mkdir()),
    "an empty file": _instead(lambda path: path.touch()),
    "a huge file of holes": _instead(_sparse),
    "cut": _cut,
    "an index that is a list": _index_text(b"[1, 2, 3]"),
    "an index that is a number": _index_text(b"7"),
    "an index that is no JSON": _index_text(b"{'a': 1}"),
    "an index that is no text": _index_text(b"\xff\xfe\x00"),
    "a deep index": _index_text(b"[" * 100_000 + b"]" * 100_000),
    "a long number": _index_text(b'{"layers": ' + b"9" * 10_000 + b"}"),
    "no layers": _index(lambda index: index.pop("layers")),
    "layers in words": _index(lambda index: index.update(layers="many")),
    "layers below zero": _index(lambda index: index.update(layers=-1)),
    "layers without end": _index(lambda index: index.update(layers=1 << 60)),
    "layers as a fraction": _index(lambda index: index.update(layers=1.5)),
    "layers that are true": _index(lambda index: index.update(layers=True)),
    "no offsets": _index(lambda index: index.pop("offsets")),
    "offsets in a list": _index(lambda index: index.update(offsets=[1])),
    "an offset below zero": _index(lambda index: index["offsets"].update(kind=-5)),
    "an offset beyond the end": _index(lambda index: index["offsets"].update(path=1 << 50)),
    "an offset in words": _index(lambda index: index["offsets"].update(size="here")),
    "all offsets zero": _index(
        lambda index: index["offsets"].update(dict.fromkeys([*ENTRY_COLUMNS, *BLOBS], 0))
    ),
    "no types": _index(lambda index: index.update(types=[])),
    "types that are numbers": _index(lambda index: index.update(types=[1, 2])),
    "types with odd characters": _index(
        lambda index: index.update(types=[f"\ud800\x1b[31m={text}\0" for text in index["types"]])
    ),
    "long types": _index(lambda index: index.update(types=["x" * (1 << 20)] * 20)),
    "failures that are words": _index(lambda index: index.update(failures=["x"])),
    "a failure of another form": _index(
        lambda index: index.update(failures=[{"digest": "00", "more": 1}])
    ),
    "a failure of numbers": _index(
        lambda index: index.update(
            failures=[{"digest": "00" * 32, "stage": 1, "cause": [], "message": {}}]
        )
    ),
    "a failure of no layer": _index(
        lambda index: index.update(
            failures=[
                {"digest": "00" * 32, "stage": "tar", "cause": "bad_header", "message": "\x1b[2J"}
            ]
        )
    ),
    "a failure at 2^70": _index(
        lambda index: index.update(
            failures=[
                {
                    "digest": "00" * 32,
                    "stage": "tar",
                    "cause": "internal",
                    "message": "",
                    "offset": 1 << 70,
                }
            ]
        )
    ),
    "a signature in a list": _index(lambda index: index.update(signature=[1])),
    "a signature of numbers": _index(lambda index: index.update(signature={"types": 3})),
    "extras in a list": _index(lambda index: index.update(extras=[])),
    "extras of another length": _index(lambda index: index.update(extras={"samples": [1, 2, 3]})),
    "extras below zero": _index(
        lambda index: index.update(extras={"cuts": [-1] * index["layers"]})
    ),
    "extras without end": _index(
        lambda index: index.update(extras={"chunks": [1 << 70] * index["layers"]})
    ),
    "unknown extras": _index(lambda index: index.update(extras={"more": [0] * index["layers"]})),
    "a status without a word": _layers("status", 99),
    "a compression without a word": _layers("compression", 99),
    "failed layers with entries": _layers("status", 2),
    "entries without end": _layers("entries", 1 << 60),
    "entries below zero": _layers("entries", -1),
    "a first entry elsewhere": _layers("first_entry", 1 << 40),
    "paths without end": _layers("path_bytes", 1 << 60),
    "a huge layer": _layers("CLS", (1 << 62) - 1),
    "huge files": _layers("files", 1 << 61),
    "a depth below zero": _layers("depth", -3),
    "seconds that are no number": _layers("cpu_seconds", float("nan")),
    "seconds without end": _layers("cpu_seconds", float("inf")),
    "one digest for all": _layers("digest", np.void(bytes(32))),
    "strange notes": _layers("notes", 0xFFFFFFFF),
    "a kind without a word": _entries("kind", 250, 0),
    "a type beyond the list": _entries("type", 123_456),
    "files without a type": _entries("type", 0xFFFFFFFF),
    "a huge file": _entries("size", (1 << 63) + 5, 1),
    "files of the largest size": _entries("size", (1 << 62) - 1),
    "a mode of 16 bits": _entries("mode", 0xFFFF),
    "a time out of range": _entries("mtime_ns", 0xFFFFFFFF),
    "long paths": _entries("path_length", 0xFFFFFFFF),
    "a path that is too long": _entries("path_length", 77_777, 3),
    "links that are too long": _entries("link_length", 1),
    "one digest for all files": _entries("digest", np.void(bytes(range(32)))),
    "two sizes of one content in a layer": _entries("size", 99, 0),
    "two sizes of one content": _second_of_another_size,
}


def _note(**values: Any) -> Change:
    def apply(path: Path, rng: random.Random) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return apply


def _ranks(**values: Any) -> Change:
    def apply(path: Path, rng: random.Random) -> None:
        note = json.loads(path.read_text())
        note["ranks"] = [{**row, **values} for row in note["ranks"]]
        path.write_text(json.dumps(note))

    return apply


def _text(data: bytes) -> Change:
    return lambda path, rng: path.write_bytes(data) and None


NOTES: dict[str, Change] = {
    "note: a FIFO": _instead(os.mkfifo),
    "note: a FIFO behind a link": _beside(_fifo_behind_a_link),
    "note: a link to /dev/zero": _beside(lambda path: path.symlink_to("/dev/zero")),
    "note: a directory": _instead(lambda path: path.mkdir()),
    "note: huge": _instead(_sparse),
    "note: no JSON": _text(b"\xff\xfe{"),
    "note: a list": _text(b"[]"),
    "note: deep": _text(b"[" * 100_000),
    "note: ranks in words": _note(ranks="all"),
    "note: ranks that are numbers": _note(ranks=[1, 2]),
    "note: ranks without numbers": _note(ranks=[{}]),
    "note: a host that is a number": _note(host=7),
    "note: times in words": _note(started="then", seconds="few"),
    "note: a time without end": _note(started=float("inf")),
    "note: a time in the year 10^12": _note(started=1e20),
    "note: no time": _note(seconds=float("nan")),
    "note: layers without end": _note(layers=1 << 70, bytes=10**400),
    "note: layers below zero": _note(layers=-5),
    "note: a share with escape codes": _note(share="\x1b[31m1/2\n\n", ended="\x1b]0;x\x07"),
    "note: files in words": _ranks(files="many"),
    "note: files without end": _ranks(files=1 << 80),
    "note: odd columns": _ranks(**{"a/b": 1, "": 2, ".": 3}),
}


def any_change(path: Path, rng: random.Random) -> None:
    """Change bytes of a part that are drawn: anywhere, in the index, or in the layers, with right
    checksums or not."""
    data = bytearray(path.read_bytes())
    way = rng.randrange(4)
    if way < 2:
        for _ in range(rng.choice((1, 1, 4, 40))):
            data[rng.randrange(len(data))] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        return
    body, index = taken_apart(path)
    begin, size = index["offsets"]["layers"], index["layers"] * LAYER.itemsize
    for _ in range(rng.choice((1, 1, 4, 40))):
        at = rng.randrange(begin, begin + size) if way == 2 else rng.randrange(len(body))
        body[at] = rng.choice((0, 255, 127, 128, body[at] ^ 1 << rng.randrange(8)))
    index["layers_crc"] = zlib.crc32(bytes(body[begin : begin + size]))
    put_together(path, bytes(body), index)
