"""The format of a part: an immutable HDF5 file of whole layers, the unit in which a run saves work.

All datasets of a part are contiguous. After them comes an index in JSON, which says where each
column begins, and a footer of fixed size at the end of the file:

    | HDF5: layers, entries/kind … entries/link, samples, cuts, chunks | index (JSON) | footer |
      ^ offsets["layers"]                                                             32 bytes

HDF5 takes index and footer for padding. This program reads parts by the index alone, with `pread`,
so a damaged part ends in an error message and never in a crash of the HDF5 library. h5dump and
h5py can still open the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..records import CAUSES, STAGES, Digest, Failure
from .spill_format import COLUMNS, EXTRAS

PART_VERSION = 1
FORMAT = "hpc_remetrics part"

FOOTER = struct.Struct("<8sIIQQ")
"""Magic, version, CRC-32 of the index, bytes of the index, bytes of the file."""

MAGIC = b"RMPART\r\n"

COUNTS = ("files", "symlinks", "hardlinks", "devices", "whiteouts", "others")
"""Columns of `LAYER` that count entries of some kinds."""

SIZES = ("CLS", "TLS", "FLS")

FIRSTS = {
    "first_entry": "entries",
    "first_path_byte": "path_bytes",
    "first_link_byte": "link_bytes",
}
"""Column of `LAYER` -> the column whose running sum it is."""

LAYER = np.dtype(
    [
        ("digest", "V32"),
        ("diff_id", "V32"),
        ("status", "<u1"),
        ("compression", "<u1"),
        ("depth", "<i4"),
        ("notes", "<u4"),
        *((name, "<i8") for name in (*SIZES, "entries", "files", "directories", "symlinks")),
        *((name, "<i8") for name in ("hardlinks", "devices", "whiteouts", "others")),
        *((name, "<i8") for name in ("path_bytes", "link_bytes", *FIRSTS)),
        ("cpu_seconds", "<f8"),
    ]
)
"""One layer of a part: the fields of `LayerProfile`, and where its entries and blobs begin."""

ENTRY_COLUMNS = {name: np.dtype(code).newbyteorder("<") for name, (code, _) in COLUMNS.items()}
"""Column of the entries -> its type."""

EXTRA_RECORDS = {name: np.dtype(fields) for name, fields in EXTRAS.items()}
"""Kind of extra records -> the type of a record."""

BLOBS = ("path", "link")
"""Bytes of all paths and of all link targets, one after the other."""


@dataclass(frozen=True)
class PartIndex:
    """What a part holds and where, without its entries.

    :param layers: (n,) `LAYER`.
    :param types: descriptions; an entry's `type` is a place in this list.
    :param failures: one for each layer that is not ok.
    :param offsets: name of an entry column, blob or kind of extra records -> its first byte in the
        file.
    :param extras: kind of extra records -> (n,) int64, how many each layer has; they lie in the
        order of the layers.
    :param owner: number of the user whose file it is, -1 where that does not matter.
    """

    path: Path
    layers: np.ndarray
    types: list[str]
    failures: list[Failure]
    signature: dict[str, Any]
    offsets: dict[str, int]
    extras: dict[str, np.ndarray]
    owner: int = -1

    def digests(self) -> list[Digest]:
        """Return the digests of its layers."""
        return [Digest(raw) for raw in self.layers["digest"].tolist()]


def failure_to_json(failure: Failure) -> dict[str, Any]:
    """Return a failure as the index holds it."""
    return asdict(failure) | {"digest": failure.digest.hex}


def failure_from_json(values: Mapping[str, Any]) -> Failure:
    """Return a failure of an index; stages and causes that are unknown here become `internal`."""
    failure = Failure(**{**values, "digest": Digest(bytes.fromhex(values["digest"]))})
    if failure.stage not in STAGES or failure.cause not in CAUSES:
        return replace(failure, stage="child", cause="internal")
    return failure
