"""What parts must be for a gather to rely on them, since another user, or a broken disk, may have
made them.

The index and the rows of the layers are checked when a part is read, and entries when a gather
reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..records import CHUNK_METHODS, COMPRESSIONS, KINDS, STATUSES
from ..wording import counted
from .part_format import BLOBS, ENTRY_COLUMNS, EXTRA_RECORDS, LAYER
from .spill_format import NO_CONTENT, NO_TYPE

_COUNTS = ("files", "symlinks", "hardlinks", "devices", "whiteouts", "others")
_SIZES = ("CLS", "TLS", "FLS")
_LARGEST = 1 << 50
"""Bytes of the largest layer, far beyond what any limit allows: sums over layers must not
overflow."""

_TEXT = 4096
"""Characters of the longest string in an index."""

_FIRSTS = {
    "first_entry": "entries",
    "first_path_byte": "path_bytes",
    "first_link_byte": "link_bytes",
}
_FAILURE = {
    "digest": str,
    "stage": str,
    "cause": str,
    "message": str,
    "offset": int,
    "rank": int,
    "host": str,
}


def checked_index(index: Any, size: int) -> dict[str, Any]:
    """Return a part's index, a JSON value; `ValueError` if it is not what a part of `size` bytes
    has.

    :param size: of the file, in bytes.
    """
    if not isinstance(index, dict):
        raise ValueError("the index is not an object")
    found = {"extras": {}, **index}
    _require(
        found, {"layers": int, "layers_crc": int, "types": list, "failures": list, "extras": dict}
    )
    _require(found, {"signature": dict, "offsets": dict})
    if not 0 <= found["layers"] <= size // LAYER.itemsize:
        raise ValueError(f"{counted(found['layers'], 'layer')} in {size} bytes")
    for text in found["types"]:
        if not isinstance(text, str) or len(text) > _TEXT:
            raise ValueError("a type is not a short string")
    for failure in found["failures"]:
        _check_failure(failure)
    for name, value in found["signature"].items():
        if not isinstance(value, str) or len(value) > _TEXT:
            raise ValueError(f"the signature's {name[:40]!r} is not a short string")
    _check_offsets(found, size)
    return found


def _require(values: Mapping[str, Any], types: Mapping[str, type]) -> None:
    for name, kind in types.items():
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise ValueError(f"{name} is not of the type {kind.__name__}")


def _check_failure(failure: Any) -> None:
    if not isinstance(failure, dict) or failure.keys() - _FAILURE.keys():
        raise ValueError("a failure is of another form")
    _require(failure, {name: kind for name, kind in _FAILURE.items() if name in failure})
    if len(failure["digest"]) != 64 or any(
        len(text) > _TEXT for text in failure.values() if isinstance(text, str)
    ):
        raise ValueError("a failure has strings of a wrong length")
    if not (-1 <= failure.get("offset", -1) < 1 << 62 and -1 <= failure.get("rank", -1) < 1 << 31):
        raise ValueError("a failure has numbers out of range")


def _check_offsets(index: Mapping[str, Any], size: int) -> None:
    extras, offsets = index["extras"], index["offsets"]
    if extras.keys() - EXTRA_RECORDS.keys():
        raise ValueError("it has extra records of an unknown kind")
    for name in ("layers", *ENTRY_COLUMNS, *BLOBS, *extras):
        place = offsets[name]
        if not isinstance(place, int) or not 0 <= place <= size:
            raise ValueError(f"{name} lies beyond the end of the file")
    for name, counts in extras.items():
        if not isinstance(counts, list) or len(counts) != index["layers"]:
            raise ValueError(f"{name} is not a number for each layer")
        if not all(isinstance(count, int) and 0 <= count <= size for count in counts):
            raise ValueError(f"{name} has numbers out of range")


def check_rows(
    layers: np.ndarray, offsets: Mapping[str, int], extras: Mapping[str, np.ndarray], size: int
) -> None:
    """Raise `ValueError` unless the rows of a part's layers say what can be, and all that they name
    is in the file.

    :param layers: (n,) of `part_format.LAYER`.
    :param offsets: name -> first byte in the file; `extras`: kind -> (n,) records of each layer.
    :param size: of the file, in bytes.
    """
    if np.any(layers["status"] >= len(STATUSES)) or np.any(
        layers["compression"] >= len(COMPRESSIONS)
    ):
        raise ValueError("a layer has a number that stands for no word")
    if np.any(layers["depth"] < 0):
        raise ValueError("a layer has a depth below 0")
    for name in (*_SIZES, *_FIRSTS, *_FIRSTS.values(), *_COUNTS, "directories"):
        if np.any((layers[name] < 0) | (layers[name] > _LARGEST)):
            raise ValueError(f"a layer's {name} is out of range")
    if not np.all(np.isfinite(layers["cpu_seconds"])) or np.any(layers["cpu_seconds"] < 0):
        raise ValueError("a layer's cpu_seconds are no time")
    if np.any((layers["status"] == STATUSES["failed"]) & (layers["entries"] > 0)):
        raise ValueError("a failed layer has entries")
    if np.any(sum(layers[name] for name in _COUNTS) > layers["entries"]):
        raise ValueError("a layer has fewer entries than files and links")
    for first, count in _FIRSTS.items():
        ends = np.cumsum(layers[count].astype(float))
        if np.any(layers[first] != ends - layers[count]):
            raise ValueError(f"{count} of the layers don't lie one after the other")
    widths = {name: dtype.itemsize for name, dtype in ENTRY_COLUMNS.items()}
    needed = {name: int(layers["entries"].sum()) * width for name, width in widths.items()}
    needed |= {blob: int(layers[f"{blob}_bytes"].sum()) for blob in BLOBS}
    needed |= {
        name: int(counts.sum()) * EXTRA_RECORDS[name].itemsize for name, counts in extras.items()
    }
    for name, length in needed.items():
        if length and offsets[name] + length > size:
            raise ValueError(f"{name} lies beyond the end of the file")


def wrong_values(name: str, values: np.ndarray, types: int) -> str:
    """Return what is wrong with values of a column of entries, or with extra records; "" if nothing
    is.

    :param types: how many types the part has.
    """
    wrong = False
    if name == "kind":
        wrong = bool(np.any(values >= len(KINDS)))
    elif name == "size":
        wrong = bool(np.any((values >= 1 << 62) & (values != NO_CONTENT)))
    elif name == "type":
        wrong = bool(np.any((values >= types) & (values != NO_TYPE)))
    elif name == "mode":
        wrong = bool(np.any(values > 0o7777))
    elif name == "mtime_ns":
        wrong = bool(np.any(values > 999_999_999))
    elif name == "samples":
        wrong = any(
            bool(np.any((values[key] < 0) | (values[key] >= 1 << 62))) for key in ("gzip", "zstd")
        )
    elif name == "chunks":
        wrong = bool(np.any(values["method"] >= len(CHUNK_METHODS)))
    return f"{name} has values out of range" if wrong else ""
