"""Read the index of a part, and check all of it: another user or a broken disk may have made it.

The index and the rows of the layers are checked here; the gather checks entries as it reads them,
with `wrong_values`.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..files.untrusted import open_regular
from ..records import COMPRESSIONS, KINDS, STATUSES
from ..wording import counted
from .part_format import (
    BLOBS,
    COUNTS,
    ENTRY_COLUMNS,
    EXTRA_RECORDS,
    FIRSTS,
    FOOTER,
    LAYER,
    MAGIC,
    PART_VERSION,
    SIZES,
    PartIndex,
    failure_from_json,
)
from .spill_format import (
    EXTRA_RANGES,
    MAX_BYTES,
    MAX_MODE,
    MAX_NANOSECONDS,
    NO_CONTENT,
    NO_TYPE,
    in_range,
)

_INDEX_BYTES = 64 << 20
"""The longest index that is read; a part of ten thousand layers has one of a megabyte."""

_LARGEST_SUM = 1 << 50
"""Bytes of the largest layer, far beyond any limit: sums over layers must not overflow."""

_TEXT_CHARS = 4096
"""Characters of the longest string in an index."""

_INDEX = {
    "layers": int,
    "layers_crc": int,
    "types": list,
    "failures": list,
    "extras": dict,
    "signature": dict,
    "offsets": dict,
}
"""Key of the index -> its type."""

_FAILURE = {
    "digest": str,
    "stage": str,
    "cause": str,
    "message": str,
    "offset": int,
    "rank": int,
    "host": str,
}
"""Key of a failure in the index -> its type."""

_MALFORMED = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, OverflowError, MemoryError),
)
"""What decoding and checking an index raises where it is not one of this program."""


def read_part(path: Path) -> PartIndex:
    """Read what a part holds, without its entries.

    A symbolic link is never followed, since parts lie where other users may create names.

    :raises DatasetError: the part is damaged, or not one of this program.
    """
    try:
        descriptor = open_regular(path, follow=False)
        try:
            return _read_part(path, descriptor)
        finally:
            os.close(descriptor)
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error.strerror}") from None
    except _MALFORMED as error:
        raise DatasetError(f"{path}: not a whole part: {str(error)[:200]}") from None


def _read_part(path: Path, descriptor: int) -> PartIndex:
    about = os.fstat(descriptor)
    size = about.st_size
    index = _checked_index(_read_index(descriptor, size), size)

    # Read the rows of the layers, and compare their checksum
    raw = os.pread(descriptor, index["layers"] * LAYER.itemsize, index["offsets"]["layers"])
    if zlib.crc32(raw) != index["layers_crc"]:
        raise ValueError("the checksum of the layers is wrong")
    layers = np.frombuffer(raw, LAYER)

    # Check the rows, and that failures are of layers in this part
    extras = {name: np.array(counts, np.int64) for name, counts in index["extras"].items()}
    _check_layers(layers)
    _check_ends(layers, index["offsets"], extras, size)
    failures = [failure_from_json(values) for values in index["failures"]]
    if {failure.digest.raw for failure in failures} - set(layers["digest"].tolist()):
        raise ValueError("a failure of a layer that it does not hold")
    return PartIndex(
        path,
        layers,
        index["types"],
        failures,
        index["signature"],
        index["offsets"],
        extras,
        about.st_uid,
    )


def _read_index(descriptor: int, size: int) -> Any:
    """Return the JSON value of the index of a file of `size` bytes, its checksum compared."""
    footer = os.pread(descriptor, FOOTER.size, max(size - FOOTER.size, 0))
    if len(footer) != FOOTER.size or not footer.startswith(MAGIC):
        raise ValueError("no footer")
    _, version, crc, length, total = FOOTER.unpack(footer)
    if version != PART_VERSION:
        raise ValueError(f"it is of version {version}, wanted {PART_VERSION}")
    if total != size or length > size - FOOTER.size:
        raise ValueError(f"{size} bytes, the footer says {total}")
    if length > _INDEX_BYTES:
        raise ValueError(f"an index of {length} bytes")
    text = os.pread(descriptor, length, size - FOOTER.size - length)
    if zlib.crc32(text) != crc:
        raise ValueError("the checksum of the index is wrong")
    return json.loads(text)


def _checked_index(value: Any, size: int) -> dict[str, Any]:
    """Return the index of a part of `size` bytes; `ValueError` if it is malformed."""
    if not isinstance(value, dict):
        raise ValueError("the index is not an object")
    index = {"extras": {}, **value}
    _require(index, _INDEX)

    # Check counts and words.
    if not 0 <= index["layers"] <= size // LAYER.itemsize:
        raise ValueError(f"{counted(index['layers'], 'layer')} in {size} bytes")
    for description in index["types"]:
        if not _is_short(description):
            raise ValueError("a type is not a short string")
    for failure in index["failures"]:
        _check_failure(failure)
    for name, value in index["signature"].items():
        if not _is_short(value):
            raise ValueError(f"the signature's {name[:40]!r} is not a short string")

    # Check where the columns lie.
    _check_offsets(index, size)
    return index


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_CHARS


def _require(values: Mapping[str, Any], types: Mapping[str, type]) -> None:
    """Raise `ValueError` unless values have these types; a bool is no number here."""
    for name, kind in types.items():
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise ValueError(f"{name} is not of the type {kind.__name__}")


def _check_failure(failure: Any) -> None:
    if not isinstance(failure, dict) or failure.keys() - _FAILURE.keys():
        raise ValueError("a failure has unknown keys")
    _require(failure, {name: kind for name, kind in _FAILURE.items() if name in failure})
    strings = [value for value in failure.values() if isinstance(value, str)]
    if len(failure["digest"]) != 64 or not all(map(_is_short, strings)):
        raise ValueError("a failure has strings of a wrong length")
    if not -1 <= failure.get("offset", -1) < MAX_BYTES:
        raise ValueError("a failure has an offset out of range")
    if not -1 <= failure.get("rank", -1) < 1 << 31:
        raise ValueError("a failure has a rank out of range")


def _check_offsets(index: Mapping[str, Any], size: int) -> None:
    """Check that each dataset begins within the file, and the counts of extra records."""
    extras = index["extras"]
    if extras.keys() - EXTRA_RECORDS.keys():
        raise ValueError("it has extra records of an unknown kind")
    for name in ("layers", *ENTRY_COLUMNS, *BLOBS, *extras):
        offset = index["offsets"][name]
        if not isinstance(offset, int) or not 0 <= offset <= size:
            raise ValueError(f"{name} lies beyond the end of the file")
    for name, counts in extras.items():
        if not isinstance(counts, list) or len(counts) != index["layers"]:
            raise ValueError(f"{name} is not a number for each layer")
        if not all(isinstance(count, int) and 0 <= count <= size for count in counts):
            raise ValueError(f"{name} has numbers out of range")


def _check_layers(layers: np.ndarray) -> None:
    """Raise `ValueError` unless the rows hold values that a layer can have.

    :param layers: (n,) `LAYER`.
    """
    # Each value by itself
    if np.any(layers["status"] >= len(STATUSES)):
        raise ValueError("a layer has an unknown status")
    if np.any(layers["compression"] >= len(COMPRESSIONS)):
        raise ValueError("a layer has an unknown compression")
    if np.any(layers["depth"] < 0):
        raise ValueError("a layer has a depth below 0")
    for name in (*SIZES, *FIRSTS, *FIRSTS.values(), *COUNTS, "directories"):
        if np.any((layers[name] < 0) | (layers[name] > _LARGEST_SUM)):
            raise ValueError(f"a layer's {name} is out of range")
    if not np.all(np.isfinite(layers["cpu_seconds"])) or np.any(layers["cpu_seconds"] < 0):
        raise ValueError("a layer's cpu_seconds are negative or not finite")

    # Values against each other
    if np.any((layers["status"] == STATUSES["failed"]) & (layers["entries"] > 0)):
        raise ValueError("a failed layer has entries")
    if np.any(sum(layers[name] for name in COUNTS) > layers["entries"]):
        raise ValueError("a layer has fewer entries than files and links")
    for first, count in FIRSTS.items():
        ends = np.cumsum(layers[count].astype(float))
        if np.any(layers[first] != ends - layers[count]):
            raise ValueError(f"{count} of the layers don't lie one after the other")


def _check_ends(
    layers: np.ndarray, offsets: Mapping[str, int], extras: Mapping[str, np.ndarray], size: int
) -> None:
    """Raise `ValueError` unless all values that the rows count lie within a file of `size` bytes.

    :param layers: (n,) `LAYER`; `extras`: kind -> (n,) int64, how many records each layer has.
    """
    entries = int(layers["entries"].sum())
    lengths = {name: entries * dtype.itemsize for name, dtype in ENTRY_COLUMNS.items()}
    lengths |= {blob: int(layers[f"{blob}_bytes"].sum()) for blob in BLOBS}
    for name, counts in extras.items():
        lengths[name] = int(counts.sum()) * EXTRA_RECORDS[name].itemsize
    for name, length in lengths.items():
        if length and offsets[name] + length > size:
            raise ValueError(f"{name} lies beyond the end of the file")


def wrong_values(name: str, values: np.ndarray, types: int) -> str:
    """Return what is wrong with values of an entry column or with extra records; "" if nothing is.

    :param values: (n,) of the type that `ENTRY_COLUMNS` or `EXTRA_RECORDS` has for `name`.
    :param types: how many types the part has.
    """
    wrong = False
    if name == "kind":
        wrong = bool(np.any(values >= len(KINDS)))
    elif name == "size":
        wrong = bool(np.any((values >= MAX_BYTES) & (values != NO_CONTENT)))
    elif name == "type":
        wrong = bool(np.any((values >= types) & (values != NO_TYPE)))
    elif name == "mode":
        wrong = bool(np.any(values > MAX_MODE))
    elif name == "mtime_ns":
        wrong = bool(np.any(values > MAX_NANOSECONDS))
    elif name in EXTRA_RANGES:
        wrong = not in_range(name, values)
    return f"{name} has values out of range" if wrong else ""
