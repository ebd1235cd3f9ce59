"""Hostile datasets: copies of a good one in which something is what this program never writes."""

from __future__ import annotations

import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Change = Callable[[Any, random.Random, Path], None]
"""Changes an open HDF5 file; the path is that of a file whose bytes must not come out."""


def replaced(file: Any, name: str, values: Any, **options: Any) -> None:
    """Put another dataset in the place of one."""
    attributes = dict(file[name].attrs) if name in file else {}
    del file[name]
    made = file.create_dataset(name, data=values, **options)
    for key in ("unit", "description"):
        if key in attributes:
            made.attrs[key] = attributes[key]


def _huge(name: str, rows: int, column_type: Any = "i8", **options: Any) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        del file[name]
        file.create_dataset(name, (rows,), column_type, **options)

    return change


def _value(name: str, row: int, value: Any) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        values = file[name][:]
        values[row] = value
        file[name][...] = values

    return change


def _external_storage(file: Any, rng: random.Random, secret: Path) -> None:
    size = file["entries/path"].shape[0]
    del file["entries/path"]
    secret_size = min(secret.stat().st_size, size)
    external = [(str(secret), 0, secret_size), (str(secret), 0, size - secret_size or 1)]
    file.create_dataset("entries/path", (size,), "u1", external=external)


def _virtual(file: Any, rng: random.Random, secret: Path) -> None:
    size = file["entries/path"].shape[0]
    del file["entries/path"]
    layout = h5py.VirtualLayout((size,), "u1")
    layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "data", (size,))
    file.create_virtual_dataset("entries/path", layout)


def _external_link(name: str) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        del file[name]
        file[name] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/data")

    return change


def _soft_link(file: Any, rng: random.Random, secret: Path) -> None:
    file.move("entries/path", "elsewhere")
    file["entries/path"] = h5py.SoftLink("/elsewhere")


def _hard_link(file: Any, rng: random.Random, secret: Path) -> None:
    del file["contents/size"]
    file["contents/size"] = file["contents/copies"]


def _loop(file: Any, rng: random.Random, secret: Path) -> None:
    del file["metrics"]
    file["metrics"] = file["/"]


def _filter(options: dict[str, Any]) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        values = file["entries/kind"][:]
        replaced(file, "entries/kind", values, chunks=(len(values),), **options)

    return change


def _bomb(table: str, rows: int) -> Change:
    """A table of zeros, which inflates to a thousand times its size, in as many rows as the file
    tells of."""

    def change(file: Any, rng: random.Random, secret: Path) -> None:
        for name in list(file[table]):
            old = file[f"{table}/{name}"]
            kind = old.dtype
            width = old.shape[1:]
            if b"not a netCDF variable" in old.attrs.get("NAME", b""):
                del file[f"{table}/{name}"]
                file.create_dataset(f"{table}/{name}", (rows,), "u1")
            elif not name.endswith("_offset"):
                del file[f"{table}/{name}"]
                _zeros(file, f"{table}/{name}", rows, kind, width)

    return change


def _zeros(file: Any, name: str, rows: int, kind: np.dtype, width: tuple[int, ...]) -> None:
    """Create a column of zeros: every chunk is the same few bytes, and digests are not deflated."""
    row_bytes = kind.itemsize * int(np.prod(width))
    size = min(rows, (1 << 20) // row_bytes)
    deflated = {} if width else {"compression": 9}
    made = file.create_dataset(name, (rows, *width), kind, chunks=(size, *width), **deflated)
    data = bytes(size * row_bytes) if width else zlib.compress(bytes(size * row_bytes), 9)
    for start in range(0, rows, size):
        made.id.write_direct_chunk((start, *[0] * len(width)), data)


def _oversized_chunk(file: Any, rng: random.Random, secret: Path) -> None:
    """A chunk that inflates to far more than its values."""
    values = file["entries/kind"]
    deflate = zlib.compressobj(9)
    data = b"".join(deflate.compress(bytes(1 << 24)) for _ in range(128)) + deflate.flush()  # 2 GB
    values.id.write_direct_chunk((0,), data)


def _missing_chunks(file: Any, rng: random.Random, secret: Path) -> None:
    size = len(file["entries/uid"])
    del file["entries/uid"]
    file.create_dataset("entries/uid", (size,), "i8", chunks=(7,), compression=1)


def _huge_chunk(file: Any, rng: random.Random, secret: Path) -> None:
    size = len(file["entries/kind"])
    replaced(
        file,
        "entries/kind",
        np.zeros(size, "u1"),
        chunks=(1 << 30,),
        maxshape=(None,),
        compression=9,
    )


def _types(name: str, code: Any) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        size = file[name].shape[0]
        del file[name]
        file.create_dataset(name, (size,), code)

    return change


def _rank(file: Any, rng: random.Random, secret: Path) -> None:
    replaced(file, "entries/uid", np.zeros((len(file["entries/uid"]), 2), "i8"))


def _scalar(file: Any, rng: random.Random, secret: Path) -> None:
    replaced(file, "layers/CLS", np.int64(3))


def _attribute(group: str, name: str, value: Any) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        file[group].attrs[name] = value

    return change


def _attributes_without_end(file: Any, rng: random.Random, secret: Path) -> None:
    for number in range(3000):
        file["run"].attrs[f"a{number}"] = number


def _large_attribute(file: Any, rng: random.Random, secret: Path) -> None:
    file["run"].attrs["command"] = "x" * (100 << 20)


def _many_strings(file: Any, rng: random.Random, secret: Path) -> None:
    file["run"].attrs["sources"] = np.array(["x" * 4000] * 2000, h5py.string_dtype())


def _deep(file: Any, rng: random.Random, secret: Path) -> None:
    del file["run"]
    file["run"] = np.zeros(3)


def _names_without_end(file: Any, rng: random.Random, secret: Path) -> None:
    for number in range(20_000):
        file["run"].create_group(f"g{number}")


def _delete(name: str) -> Change:
    def change(file: Any, rng: random.Random, secret: Path) -> None:
        del file[name]

    return change


def _enum(file: Any, rng: random.Random, secret: Path) -> None:
    values = file["entries/kind"][:]
    replaced(file, "entries/kind", values.astype(h5py.enum_dtype({"file": 1, "symlink": 0}, "u1")))


def _unsorted(file: Any, rng: random.Random, secret: Path) -> None:
    file["contents/digest"][...] = file["contents/digest"][:][::-1].copy()


def _same_digests(file: Any, rng: random.Random, secret: Path) -> None:
    values = file["layers/digest"][:]
    values[:] = values[0]
    file["layers/digest"][...] = values


HOSTILE: dict[str, Change] = {
    "external storage": _external_storage,
    "virtual dataset": _virtual,
    "external link of a column": _external_link("entries/path"),
    "external link of a table": _external_link("types"),
    "external link of metrics": _external_link("metrics"),
    "external link of run": _external_link("run"),
    "soft link": _soft_link,
    "hard link to another column": _hard_link,
    "a group that holds itself": _loop,
    "filter lzf": _filter({"compression": "lzf"}),
    "filter fletcher32": _filter({"fletcher32": True}),
    "filter scale-offset": _filter({"scaleoffset": 0}),
    "rows without end": _huge("entries/row", 1 << 60, ">f4"),
    "paths without end": _huge("entries/path", 1 << 50, "u1", chunks=(1 << 20,)),
    "layers without end": _huge("layers/row", 1 << 40, ">f4"),
    "a column of 2^60 rows": _huge(
        "contents/size", 1 << 60, "i8", chunks=(1 << 17,), compression=1
    ),
    "bomb in contents": _bomb("contents", 2_000_000),
    "bomb in repositories": _bomb("repositories", 20_000_000),
    "bomb in image_layers": _bomb("image_layers", 300_000_000),
    "bomb in types": _bomb("types", 3_000_000),
    "a chunk that inflates to 2 GB": _oversized_chunk,
    "chunks that are missing": _missing_chunks,
    "a huge chunk": _huge_chunk,
    "offset beyond the blob": _value("entries/path_offset", -1, 1 << 40),
    "offset in between beyond": _value("entries/path_offset", 1, 1 << 30),
    "negative offset": _value("entries/path_offset", 0, -(1 << 30)),
    "offsets that fall": _value("entries/link_offset", 3, 0),
    "content beyond the table": _value("entries/content", 2, 1 << 30),
    "content below -1": _value("entries/content", 2, -5),
    "type beyond the table": _value("contents/type", 0, 99_999),
    "type nowhere": _value("contents/type", 0, -1),
    "kind without a word": _value("entries/kind", 0, 200),
    "status without a word": _value("layers/status", 0, 77),
    "layer beyond the table": _value("image_layers/layer", 0, 1 << 20),
    "repository beyond the table": _value("images/repository", 0, 1 << 20),
    "first entry elsewhere": _value("layers/first_entry", 1, 1 << 50),
    "entries of a layer": _value("layers/entries", 0, 1 << 60),
    "negative entries": _value("layers/entries", 0, -7),
    "first layer elsewhere": _value("images/first_layer", 0, 5),
    "layers of an image": _value("images/layers", 0, 1 << 30),
    "files of a layer": _value("layers/files", 0, 1 << 61),
    "a huge layer": _value("layers/CLS", 0, (1 << 62) - 1),
    "negative sizes": _value("contents/size", 0, -1),
    "huge sizes": _value("contents/size", slice(None), (1 << 62) - 1),
    "huge copies": _value("contents/copies", slice(None), (1 << 62) - 1),
    "a huge user number": _value("entries/uid", slice(None), (1 << 63) - 1),
    "the last time": _value("entries/mtime", slice(None), -(1 << 63)),
    "a mode of 16 bits": _value("entries/mode", 0, 0xFFFF),
    "a step elsewhere": _value("image_layers/step", 0, 1 << 20),
    "a step of all layers": _value("image_layers/step", slice(None), 0),
    "a config elsewhere": _value("images/config", 0, 1 << 20),
    "one config many times": _value("configs/digest", slice(None), 7),
    "first step elsewhere": _value("configs/first_step", 0, 1 << 40),
    "steps of a config": _value("configs/steps", 0, 1 << 30),
    "a layer of all steps": _value("history/image_layer", slice(None), 0),
    "a year beyond all calendars": _value("history/created", 0, 1 << 45),
    "steps that are no UTF-8": _value("history/created_by", slice(None), 0xFF),
    "offsets of steps that fall": _value("history/created_by_offset", 1, 1 << 20),
    "no history": _delete("history"),
    "no configs": _delete("configs"),
    "digests not sorted": _unsorted,
    "one digest many times": _same_digests,
    "strings where numbers belong": _types("entries/uid", "S8"),
    "floats where numbers belong": _types("entries/path_offset", "f8"),
    "compound values": _types("contents/size", np.dtype([("a", "i4"), ("b", "i4")])),
    "strings of any length": _types("types/description", h5py.string_dtype()),
    "big-endian numbers": _types("contents/size", ">i8"),
    "references": _types("contents/size", h5py.ref_dtype),
    "long strings": _types("types/mime", "S100000"),
    "two dimensions": _rank,
    "a scalar": _scalar,
    "another enum": _enum,
    "format that is a list": _attribute("/", "format", np.arange(5)),
    "version that is a list": _attribute("/", "schema_version", np.arange(3)),
    "version that is a string": _attribute("/", "schema_version", "1"),
    "format as bytes": _attribute("/", "format", np.bytes_(b"hpc_remetrics dataset")),
    "metrics version that is a list": _attribute("metrics", "version", np.arange(2)),
    "time that is no number": _attribute("run", "started", "yesterday"),
    "time without end": _attribute("run", "started", float("inf")),
    "time in the year 10^300": _attribute("run", "started", 1e300),
    "share with a huge power": _attribute("run", "compress_sample", "1e999999999"),
    "share by zero": _attribute("run", "compress_sample", "1/0"),
    "share in words": _attribute("run", "chunk_sample", "half"),
    "fingerprint that is a list": _attribute("run", "fingerprint", np.arange(4)),
    "sources with escape codes": _attribute("run", "sources", "\x1b[31mred\x07"),
    "types that are a number": _attribute("run", "types", 7),
    "attributes without end": _attributes_without_end,
    "a large attribute": _large_attribute,
    "many strings in an attribute": _many_strings,
    "names without end": _names_without_end,
    "run that is a dataset": _deep,
    "no run": _delete("run"),
    "no failures in run": _delete("run/failures"),
    "no jobs in run": _delete("run/jobs"),
    "no ranks in run": _delete("run/ranks"),
    "no seconds in run": _delete("run/layers"),
    "no entries": _delete("entries"),
    "no chunks": _delete("chunks"),
    "no link offsets": _delete("entries/link_offset"),
    "no rows": _delete("contents/row"),
    "no metrics": _delete("metrics"),
    "no totals": _delete("metrics/totals"),
    "no growth column": _delete("metrics/growth/layers"),
    "a histogram that points elsewhere": _value("metrics/distributions/first_bin", 0, 1 << 40),
    "huge numbers in metrics": _value("metrics/totals/CLS", 0, (1 << 62) - 1),
    "infinite metrics": _value("metrics/totals/sharing_ratio", 0, float("inf")),
    "bins that fall": _value("metrics/histograms/low", slice(None), -1.0),
    "no quantiles": _value("metrics/quantiles/value", slice(None), float("nan")),
    "huge quantiles": _value("metrics/quantiles/value", slice(None), 1e308),
    "seconds below zero": _value("run/layers/cpu_seconds", slice(None), -1.0),
    "seconds without end": _value("run/layers/cpu_seconds", slice(None), float("inf")),
    "seconds that are no number": _value("run/layers/cpu_seconds", 0, float("nan")),
    "huge seconds": _value("run/layers/cpu_seconds", slice(None), 3e38),
    "memory below zero": _value("run/ranks/peak_memory", slice(None), -(1 << 60)),
}


def write(base: Path, target: Path, change: Change, rng: random.Random, secret: Path) -> bool:
    """Write a changed copy of a dataset; return whether HDF5 could."""
    shutil.copyfile(base, target)
    try:
        with h5py.File(target, "r+") as file:
            change(file, rng, secret)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError):
        return False
    return True


def any_change(file: Any, rng: random.Random, secret: Path) -> None:
    """Change something that is drawn: values, lengths, types, names."""
    names: list[str] = []
    file.visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
    )
    for _ in range(rng.choice((1, 1, 2, 5))):
        name = rng.choice(names)
        if name not in file:
            continue
        values, way = file[name][...], rng.randrange(8)
        if way == 0:
            del file[name]
        elif way == 1 and len(values):
            replaced(file, name, values[: rng.randrange(len(values))])
        elif way == 2:
            replaced(file, name, np.concatenate([values, values, values[:1]]))
        elif way == 3:
            replaced(
                file,
                name,
                np.zeros(
                    len(values), rng.choice(("u1", "i4", "<i8", ">i8", "f8", "S3", "V32", "f4"))
                ),
            )
        elif len(values):
            _scramble(values, rng)
            if file[name].dtype.byteorder != ">":
                replaced(file, name, values) if way == 4 else file[name].write_direct(values)


def _scramble(values: np.ndarray, rng: random.Random) -> None:
    raw = values.view(np.uint8).reshape(-1)
    for _ in range(rng.choice((1, 3, len(raw) // 2 + 1))):
        raw[rng.randrange(len(raw))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def flipped(data: bytes, rng: random.Random, places: list[int]) -> bytes:
    """Return bytes with some of them changed, mostly where HDF5 keeps its structure."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 4, 30))):
        at = (
            rng.choice(places) + rng.randrange(400)
            if rng.random() < 0.7
            else rng.randrange(len(data))
        )
        if at < len(changed):
            changed[at] = rng.choice(
                (0, 255, 127, 128, changed[at] ^ 1 << rng.randrange(8), rng.randrange(256))
            )
    if rng.random() < 0.1:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


def places_of_structure(data: bytes) -> list[int]:
    """Return where HDF5 keeps its headers, trees and heaps."""
    marks = (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"\x89HDF")
    found = []
    for mark in marks:
        at = data.find(mark)
        while at >= 0:
            found.append(at)
            at = data.find(mark, at + 1)
    return found
