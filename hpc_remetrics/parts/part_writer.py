"""Write parts: check the spills of finished layers, and publish them in one immutable file.

A part is written on node-local scratch, read back, and copied to its directory under a temporary
name; the rename to `part-NAME.h5` is the commit. NAME (job, rank, number) is unique.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..arrays import distinct
from ..dataset.file_object import write_all
from ..dataset.hdf5 import contiguous, new_file, text_array
from ..files.disk_errors import disk_errors
from ..files.publish import publish_copy
from ..files.writing import open_in_place
from ..records import COMPRESSIONS, STATUSES, Digest, Failure
from .part_format import (
    BLOBS,
    COUNTS,
    ENTRY_COLUMNS,
    EXTRA_RECORDS,
    FIRSTS,
    FOOTER,
    FORMAT,
    LAYER,
    MAGIC,
    PART_VERSION,
    SIZES,
    failure_to_json,
)
from .part_reader import read_part
from .spill_check import check_profile, checked_blocks
from .spill_format import EXTRAS, NO_CONTENT, NO_TYPE, LayerProfile, SpillBlock

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")

_COPIED = (
    *(*SIZES, "entries", *COUNTS, "directories", "depth", "notes"),
    *("path_bytes", "link_bytes", "cpu_seconds"),
)
"""Fields that a row of `LAYER` takes from a `LayerProfile` as they are."""

_UNTYPED = "untyped"
"""Description of a content whose type number has none."""


class SpillError(ValueError):
    """The spill or the profile of a layer is not sound; `digest` says of which layer."""

    def __init__(self, digest: Digest, message: str) -> None:
        super().__init__(f"{digest}: {message}")
        self.digest = digest
        self.reason = message


PartLayer = tuple[Digest, LayerProfile, Path | None]
"""A layer of a part: digest, row and spill, None where there are no entries."""


def write_part(
    directory: Path,
    name: str,
    layers: Sequence[PartLayer],
    failures: Sequence[Failure],
    types: Mapping[int, str],
    signature: Mapping[str, Any],
    scratch: Path,
) -> Path:
    """Publish whole layers as `directory/part-NAME.h5` and return that path.

    :param failures: of failed or partial layers; one without a row in `layers` gets a failed one.
    :param types: type number of this node -> description.
    :param signature: JSON values that say what made the part.
    :param scratch: node-local directory that holds the part until it is copied.
    :raises SpillError: the spill of a layer is broken; nothing was published.
    :raises OutputError: scratch or directory can't be written; nothing was published.
    """
    if not _NAME.match(name):
        raise ValueError(f"not a name for a part: {name!r}")

    # Check all layers before anything is written
    layers = _with_failed(layers, failures)
    rows = _layer_rows(layers)
    numbers, extras = _check_spills(layers, types)

    descriptions, renumbered = _renumbered_types(numbers, types)
    index = {
        "signature": dict(signature),
        "types": descriptions,
        "failures": [failure_to_json(failure) for failure in _all_failures(layers, failures)],
        "layers": len(rows),
        "layers_crc": zlib.crc32(rows.tobytes()),
        "extras": extras,
    }

    # Write the part on scratch, read it back, and copy it
    local = scratch / f".part-{name}.h5.local"
    target = directory / f"part-{name}.h5"
    try:
        with disk_errors(local, "a part"):
            _write_local(local, rows, layers, types, renumbered, index)
            _check_local(local, len(rows))
        with disk_errors(target, "a part"):
            publish_copy(local, target)
    finally:
        local.unlink(missing_ok=True)
    return target


def _renumbered_types(
    numbers: list[int], types: Mapping[int, str]
) -> tuple[list[str], dict[int, int]]:
    """Number the types of a part from 0; several numbers of a node may have one description.

    :param numbers: type numbers in use, and `types`: number -> description.
    :returns: the descriptions, and for each number its place among them.
    """
    names = {number: types.get(number, _UNTYPED) for number in numbers}
    places = {name: place for place, name in enumerate(dict.fromkeys(names.values()))}
    return list(places), {number: places[name] for number, name in names.items()}


def _with_failed(layers: Sequence[PartLayer], failures: Sequence[Failure]) -> list[PartLayer]:
    """Return the layers, and a failed row for each failure that has none.

    :raises SpillError: a row is not sound.
    """
    known = {digest for digest, _, _ in layers}
    if len(known) != len(layers):
        raise ValueError("a layer stands twice in one part")
    for digest, profile, _ in layers:
        try:
            check_profile(profile)
        except ValueError as error:
            raise SpillError(digest, str(error)) from None
    added: dict[Digest, LayerProfile] = {}
    for failure in failures:
        if failure.digest not in known:
            added.setdefault(failure.digest, LayerProfile(stage=failure.stage, cause=failure.cause))
    return [*layers, *((digest, profile, None) for digest, profile in added.items())]


def _all_failures(layers: Sequence[PartLayer], failures: Sequence[Failure]) -> list[Failure]:
    """Return one failure for each layer that is not ok, made from its row where none was given."""
    given = {failure.digest: failure for failure in failures}
    result = []
    for digest, row, _ in layers:
        if row.status != "ok":
            stage = row.stage or "child"
            cause = row.cause or "internal"
            from_row = Failure(digest, stage, cause, row.message, row.offset)
            result.append(given.get(digest, from_row))
    return result


def _layer_rows(layers: Sequence[PartLayer]) -> np.ndarray:
    """Return (n,) `LAYER`, the rows of the layers in their order."""
    rows = np.zeros(len(layers), LAYER)
    for row, (digest, profile, _) in zip(rows, layers, strict=True):
        diff_id = bytes.fromhex(profile.diff_id.rpartition(":")[2])
        row["digest"] = np.void(digest.raw)
        row["diff_id"] = np.void(diff_id.ljust(32, b"\0"))
        row["status"] = STATUSES[profile.status]
        row["compression"] = COMPRESSIONS[profile.compression]
        for name in _COPIED:
            row[name] = getattr(profile, name)
    for first, count in FIRSTS.items():
        rows[first] = np.cumsum(rows[count]) - rows[count]
    return rows


def _check_spills(
    layers: Sequence[PartLayer], types: Mapping[int, str]
) -> tuple[list[int], dict[str, list[int]]]:
    """Read every spill once; return the type numbers in use, and how many extra records each has.

    :raises SpillError: a spill is not what the row of its layer says, or can't be read.
    """
    used: set[int] = set()
    extras = {name: [0] * len(layers) for name in EXTRAS}
    for row, (digest, profile, spill) in enumerate(layers):
        try:
            for block in checked_blocks(profile, spill, types):
                has_content = block.columns["size"] != NO_CONTENT
                used.update(distinct(block.columns["type"][has_content]).tolist())
                for name, records in block.extras.items():
                    extras[name][row] += len(records)
        except ValueError as error:
            raise SpillError(digest, str(error)) from None
        except OSError as error:
            raise SpillError(digest, f"the spill can't be read: {error.strerror}") from None
    return sorted(used), extras


def _write_local(
    path: Path,
    rows: np.ndarray,
    layers: Sequence[PartLayer],
    types: Mapping[int, str],
    renumbered: Mapping[int, int],
    index: dict[str, Any],
) -> None:
    """Write a part on scratch: structure by HDF5, values and index by plain writes."""
    with new_file(path) as (file, _):
        offsets = _create_datasets(file, rows, index)
    descriptor = open_in_place(path, missing_ok=False)
    try:
        write_all(descriptor, rows.tobytes(), offsets["layers"])
        extras_end = dict(offsets)
        for row, (_, profile, spill) in zip(rows, layers, strict=True):
            blocks = checked_blocks(profile, spill, types)
            _write_entries(descriptor, row, blocks, renumbered, offsets, extras_end)
        _write_index(descriptor, index | {"offsets": offsets})
    finally:
        os.close(descriptor)


def _create_datasets(file: Any, rows: np.ndarray, index: Mapping[str, Any]) -> dict[str, int]:
    """Create all datasets and return where their bytes go: name -> offset in the file."""
    file.attrs["format"] = FORMAT
    file.attrs["part_version"] = PART_VERSION
    entries = file.create_group("entries")
    made = {"layers": contiguous(file, "layers", rows.shape, LAYER)}
    for name, dtype in ENTRY_COLUMNS.items():
        made[name] = contiguous(entries, name, (int(rows["entries"].sum()),), dtype)
    for name in BLOBS:
        made[name] = contiguous(entries, name, (int(rows[f"{name}_bytes"].sum()),), "<u1")
    for name, dtype in EXTRA_RECORDS.items():
        made[name] = contiguous(file, name, (sum(index["extras"][name]),), dtype)

    # For readers of HDF5 alone; this program takes both from the index
    file["types"] = text_array(index["types"], 1024)
    file["failures"] = text_array([json.dumps(failure) for failure in index["failures"]], 8192)
    return {name: _offset(dataset) for name, dataset in made.items()}


def _offset(dataset: Any) -> int:
    """Return where the bytes of a contiguous dataset begin; 0 for an empty one, which has none."""
    return (dataset.id.get_offset() or 0) if dataset.size else 0


def _write_entries(
    descriptor: int,
    row: np.void,
    blocks: Iterable[SpillBlock],
    renumbered: Mapping[int, int],
    offsets: Mapping[str, int],
    extras_end: dict[str, int],
) -> None:
    """Write the entries of a layer where its row says, and its extra records at `extras_end`.

    :param extras_end: kind of extra records -> where its next record goes; moved on here.
    """
    first = int(row["first_entry"])
    blob_end = {blob: offsets[blob] + int(row[f"first_{blob}_byte"]) for blob in BLOBS}
    for block in blocks:
        # Columns of fixed width: the place of a row is arithmetic
        for name, dtype in ENTRY_COLUMNS.items():
            values = block.columns[name]
            if name == "type":
                has_content = block.columns["size"] != NO_CONTENT
                values = _renumber(values, has_content, renumbered)
            write_all(descriptor, values.tobytes(), offsets[name] + first * dtype.itemsize)

        # Paths, links and extra records: each block goes after the one before
        for blob, data in zip(BLOBS, (block.paths, block.links), strict=True):
            write_all(descriptor, data.tobytes(), blob_end[blob])
            blob_end[blob] += len(data)
        for name, records in block.extras.items():
            write_all(descriptor, records.tobytes(), extras_end[name])
            extras_end[name] += records.nbytes
        first += block.rows


def _renumber(
    values: np.ndarray, has_content: np.ndarray, renumbered: Mapping[int, int]
) -> np.ndarray:
    """Return (n,) <u4, the type numbers of the part; `NO_TYPE` where there is no content.

    :param values: (n,) type numbers of the node.
    :param has_content: (n,) bool.
    """
    unique, inverse = np.unique(values[has_content], return_inverse=True)
    numbers = np.array([renumbered[number] for number in unique.tolist()], "<u4")
    result = np.full(len(values), NO_TYPE, "<u4")
    result[has_content] = numbers[inverse]
    return result


def _write_index(descriptor: int, index: Mapping[str, Any]) -> None:
    """Append the index and the footer."""
    text = json.dumps(index, sort_keys=True).encode()
    end = os.fstat(descriptor).st_size
    total = end + len(text) + FOOTER.size
    footer = FOOTER.pack(MAGIC, PART_VERSION, zlib.crc32(text), len(text), total)
    write_all(descriptor, text + footer, end)


def _check_local(path: Path, layers: int) -> None:
    """Read a new part back; index and HDF5 must say the same.

    :raises RuntimeError: they differ, which is a fault of the program.
    """
    index = read_part(path)
    shape = (int(index.layers["entries"].sum()),)
    with h5py.File(path, "r", locking=False) as file:
        for name, dtype in ENTRY_COLUMNS.items():
            dataset = file["entries"][name]
            stored = dataset.shape, dataset.dtype, _offset(dataset)
            if stored != (shape, dtype, index.offsets[name]):
                raise RuntimeError(f"{path}: column {name} is not where the index says")
        if len(index.layers) != layers or file["layers"].shape != (layers,):
            raise RuntimeError(f"{path}: {len(index.layers)} layers read back, {layers} written")
