"""Parts: immutable HDF5 files of whole layers, the only thing that a run must not lose.

A part is an HDF5 file whose datasets lie in one piece each, followed by an index: JSON that says
where each column lies, the types, the failures, and a footer with sizes and a checksum. HDF5 takes
the index for padding; the program reads parts by the index alone, with `pread`, so that a damaged
part is an error message and never a fault inside the HDF5 library.

A part's file name is `part-NAME.h5`, unique by NAME (job, rank, number).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..dataset.hdf5 import contiguous, new_file, text_array, write_all
from ..errors import DatasetError, RemetricsError
from ..files.disk_errors import output_error
from ..files.path_walk import owner_name
from ..files.publish import publish_copy, sweep_directory
from ..files.untrusted import check_trusted_directory, check_trusted_owner, open_regular
from ..files.writing import open_in_place, rename
from ..mpi.collective import on_rank_0
from ..mpi.comm import Comm, SerialComm
from ..records import CAUSES, COMPRESSIONS, STAGES, STATUSES, Digest, Failure
from .part_checks import check_rows, checked_index
from .part_format import BLOBS, ENTRY_COLUMNS, EXTRA_RECORDS, LAYER
from .spill_check import check_profile, checked_blocks
from .spill_format import EXTRAS, NO_CONTENT, NO_TYPE, LayerProfile

PART_VERSION = 1
FORMAT = "hpc_remetrics part"

# Magic, version, CRC-32 of the index, bytes of the index, bytes of the file.
_FOOTER = struct.Struct("<8sIIQQ")
_MAGIC = b"RMPART\r\n"
_INDEX_BYTES = 64 << 20
"""The longest index that is read; a part of ten thousand layers has one of a megabyte."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_GIVEN = (
    "files",
    "symlinks",
    "hardlinks",
    "devices",
    "whiteouts",
    "others",
    "directories",
    "depth",
    "notes",
)
_COPIED = (*_GIVEN, "CLS", "TLS", "FLS", "entries", "path_bytes", "link_bytes", "cpu_seconds")


class SpillError(ValueError):
    """A layer's spill or profile is not sound; `digest` says which layer's."""

    def __init__(self, digest: Digest, message: str) -> None:
        super().__init__(f"{digest}: {message}")
        self.digest, self.reason = digest, message


@dataclass(frozen=True)
class PartIndex:
    """What a part holds and where, without its entries.

    :param layers: array of :data:`LAYER`.
    :param types: descriptions; an entry's `type` is a place in this list.
    :param failures: one for each layer that isn't ok.
    :param offsets: name of an entry column, blob or kind of extra records -> its first byte in the
        file.
    :param extras: kind of extra records -> how many each layer has, one layer's after the other's.
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
        raw = self.layers["digest"].tobytes()
        return [Digest(raw[at : at + 32]) for at in range(0, len(raw), 32)]


def parts_folder(output: Path) -> Path:
    """Return the folder beside a dataset that holds its parts."""
    return output.parent / f"{output.name}.parts"


PartLayer = tuple[Digest, LayerProfile, Path | None]


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

    :param layers: digest, row and spill (None where there are no entries).
    :param failures: of failed or partial layers; one without a row in `layers` gets a failed one.
    :param types: the node's type numbers and descriptions.
    :param signature: JSON values that say what made the part.
    :param scratch: node-local folder that holds the part until it is copied.
    :raises SpillError: a layer's spill is broken; nothing was published.
    :raises OutputError: scratch or directory can't be written; nothing was published.
    """
    if not _NAME.match(name):
        raise ValueError(f"not a name for a part: {name!r}")
    layers = _with_failed(layers, failures)
    rows, (numbers, extras) = _rows(layers), _survey(layers, types)
    descriptions = list(dict.fromkeys(types.get(number, "untyped") for number in numbers))
    index = {
        "signature": dict(signature),
        "types": descriptions,
        "failures": [_failure_to_json(failure) for failure in _failures(layers, failures)],
        "layers": len(rows),
        "layers_crc": zlib.crc32(rows.tobytes()),
        "extras": extras,
    }
    remap = {number: descriptions.index(types.get(number, "untyped")) for number in numbers}
    local, target = scratch / f".part-{name}.h5.local", directory / f"part-{name}.h5"
    try:
        _write_local(local, rows, layers, types, remap, index)
        _check_local(local, len(rows))
    except OSError as error:
        local.unlink(missing_ok=True)
        raise output_error(error, local, "a part") from error
    except BaseException:
        local.unlink(missing_ok=True)
        raise
    try:
        publish_copy(local, target)
    except OSError as error:
        raise output_error(error, target, "a part") from error
    finally:
        local.unlink(missing_ok=True)
    return target


def _with_failed(layers: Sequence[PartLayer], failures: Sequence[Failure]) -> list[PartLayer]:
    """Return the layers, and a failed row for each failure that has none; `SpillError` for unsound
    rows."""
    known = {digest for digest, _, _ in layers}
    added: dict[Digest, LayerProfile] = {}
    for failure in failures:
        if failure.digest not in known:
            added.setdefault(failure.digest, LayerProfile(stage=failure.stage, cause=failure.cause))
    if len(known) != len(layers):
        raise ValueError("a layer stands twice in one part")
    for digest, profile, _ in layers:
        try:
            check_profile(profile)
        except ValueError as error:
            raise SpillError(digest, str(error)) from None
    return [*layers, *((digest, profile, None) for digest, profile in added.items())]


def _failures(layers: Sequence[PartLayer], failures: Sequence[Failure]) -> list[Failure]:
    """Return one failure for each layer that isn't ok, made from its row where nobody gave one."""
    given = {failure.digest: failure for failure in failures}
    return [
        given.get(digest)
        or Failure(
            digest,
            profile.stage or "child",
            profile.cause or "internal",
            profile.message,
            profile.offset,
        )
        for digest, profile, _ in layers
        if profile.status != "ok"
    ]


def _rows(layers: Sequence[PartLayer]) -> np.ndarray:
    rows = np.zeros(len(layers), LAYER)
    for row, (digest, profile, _) in zip(rows, layers, strict=True):
        row["digest"] = np.void(digest.raw)
        row["diff_id"] = np.void(bytes.fromhex(profile.diff_id.rpartition(":")[2]).ljust(32, b"\0"))
        row["status"], row["compression"] = (
            STATUSES[profile.status],
            COMPRESSIONS[profile.compression],
        )
        for name in _COPIED:
            row[name] = getattr(profile, name)
    for first, count in (
        ("first_entry", "entries"),
        ("first_path_byte", "path_bytes"),
        ("first_link_byte", "link_bytes"),
    ):
        rows[first] = np.cumsum(rows[count]) - rows[count]
    return rows


def _survey(
    layers: Sequence[PartLayer], types: Mapping[int, str]
) -> tuple[list[int], dict[str, list[int]]]:
    """Check every spill, before anything is written; return the type numbers in use, and the
    layers' extra records."""
    used: set[int] = set()
    extras = {name: [0] * len(layers) for name in EXTRAS}
    for row, (digest, profile, spill) in enumerate(layers):
        try:
            for block in checked_blocks(profile, spill, types):
                has_content = block.columns["size"] != NO_CONTENT
                used.update(np.unique(block.columns["type"][has_content]).tolist())
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
    remap: Mapping[int, int],
    index: dict[str, Any],
) -> None:
    with new_file(path) as (file, _):
        offsets = _skeleton(file, rows, index)
    descriptor = open_in_place(path, missing_ok=False)
    try:
        write_all(descriptor, rows.tobytes(), offsets["layers"])
        extra_at = dict(offsets)
        for row, (_, profile, spill) in zip(rows, layers, strict=True):
            _write_entries(
                descriptor, row, checked_blocks(profile, spill, types), remap, offsets, extra_at
            )
        _write_index(descriptor, index | {"offsets": offsets})
    finally:
        os.close(descriptor)


def _skeleton(file: Any, rows: np.ndarray, index: Mapping[str, Any]) -> dict[str, int]:
    """Create all datasets and return where their bytes go."""
    file.attrs["format"], file.attrs["part_version"] = FORMAT, PART_VERSION
    entries, shapes = (
        file.create_group("entries"),
        dict.fromkeys(ENTRY_COLUMNS, int(rows["entries"].sum())),
    )
    shapes |= {blob: int(rows[f"{blob}_bytes"].sum()) for blob in BLOBS}
    made = {"layers": contiguous(file, "layers", rows.shape, LAYER)}
    for name, size in shapes.items():
        made[name] = contiguous(entries, name, (size,), ENTRY_COLUMNS.get(name, "<u1"))
    for name, dtype in EXTRA_RECORDS.items():
        made[name] = contiguous(file, name, (sum(index["extras"][name]),), dtype)
    file["types"] = text_array(index["types"], 1024)
    file["failures"] = text_array([json.dumps(failure) for failure in index["failures"]], 8192)
    # An empty dataset has no place.
    return {
        name: (dataset.id.get_offset() or 0) if dataset.size else 0
        for name, dataset in made.items()
    }


def _write_entries(
    descriptor: int,
    row: np.void,
    blocks: Iterable[Any],
    remap: Mapping[int, int],
    offsets: Mapping[str, int],
    extra_at: dict[str, int],
) -> None:
    """Write what a layer has; its extra records go to `extra_at`, which moves on."""
    first = int(row["first_entry"])
    blob_at = {blob: offsets[blob] + int(row[f"first_{blob}_byte"]) for blob in BLOBS}
    for block in blocks:
        for name, dtype in ENTRY_COLUMNS.items():
            values = block.columns[name]
            if name == "type":
                values = _remapped(values, block.columns["size"] != NO_CONTENT, remap)
            write_all(descriptor, values.tobytes(), offsets[name] + first * dtype.itemsize)
        for blob, data in zip(BLOBS, (block.paths, block.links), strict=True):
            write_all(descriptor, data.tobytes(), blob_at[blob])
            blob_at[blob] += len(data)
        for name, records in block.extras.items():
            write_all(descriptor, records.tobytes(), extra_at[name])
            extra_at[name] += records.nbytes
        first += block.rows


def _remapped(values: np.ndarray, has_content: np.ndarray, remap: Mapping[int, int]) -> np.ndarray:
    """Return the part's type numbers; `NO_TYPE` where there is no content."""
    distinct, inverse = np.unique(values[has_content], return_inverse=True)
    result = np.full(len(values), NO_TYPE, "<u4")
    result[has_content] = np.array([remap[number] for number in distinct.tolist()], "<u4")[inverse]
    return result


def _write_index(descriptor: int, index: Mapping[str, Any]) -> None:
    text = json.dumps(index, sort_keys=True).encode()
    end = os.fstat(descriptor).st_size
    total = end + len(text) + _FOOTER.size
    write_all(
        descriptor,
        text + _FOOTER.pack(_MAGIC, PART_VERSION, zlib.crc32(text), len(text), total),
        end,
    )


def _check_local(path: Path, layers: int) -> None:
    """Read a new part back: index and HDF5 must say the same."""
    index = read_part(path)
    entries = int(index.layers["entries"].sum())
    with h5py.File(path, "r", locking=False) as file:
        for name, dtype in ENTRY_COLUMNS.items():
            dataset = file["entries"][name]
            place = (dataset.id.get_offset() or 0) if entries else 0
            if (
                dataset.shape != (entries,)
                or dataset.dtype != dtype
                or place != index.offsets[name]
            ):
                raise RuntimeError(f"{path}: column {name} is not where the index says")
        if len(index.layers) != layers or file["layers"].shape != (layers,):
            raise RuntimeError(f"{path}: {len(index.layers)} layers read back, {layers} written")


def read_part(path: Path) -> PartIndex:
    """Read what a part holds, without its entries; `DatasetError` if it is damaged or none of ours.

    A symbolic link is never followed: parts are made where other users may make names.
    """
    try:
        descriptor = open_regular(path, follow=False)
        try:
            return _read_index(path, descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error.strerror}") from None
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
        MemoryError,
    ) as error:
        raise DatasetError(f"{path}: not a whole part: {str(error)[:200]}") from None


def _read_index(path: Path, descriptor: int) -> PartIndex:
    about = os.fstat(descriptor)
    size = about.st_size
    footer = os.pread(descriptor, _FOOTER.size, max(size - _FOOTER.size, 0))
    if len(footer) != _FOOTER.size or not footer.startswith(_MAGIC):
        raise ValueError("no footer")
    _, version, crc, length, total = _FOOTER.unpack(footer)
    if version != PART_VERSION:
        raise ValueError(f"it is of version {version}, wanted {PART_VERSION}")
    if total != size or length > size - _FOOTER.size:
        raise ValueError(f"{size} bytes, the footer says {total}")
    if length > _INDEX_BYTES:
        raise ValueError(f"an index of {length} bytes")
    text = os.pread(descriptor, length, size - _FOOTER.size - length)
    if zlib.crc32(text) != crc:
        raise ValueError("the index's checksum is wrong")
    index = checked_index(json.loads(text), size)
    raw = os.pread(descriptor, index["layers"] * LAYER.itemsize, index["offsets"]["layers"])
    if zlib.crc32(raw) != index["layers_crc"]:
        raise ValueError("the checksum of the layers is wrong")
    failures = [_failure_from_json(values) for values in index["failures"]]
    layers = np.frombuffer(raw, LAYER)
    extras = {name: np.array(counts, np.int64) for name, counts in index["extras"].items()}
    check_rows(layers, index["offsets"], extras, size)
    own = layers["digest"].tobytes()
    if {failure.digest.raw for failure in failures} - {
        own[at : at + 32] for at in range(0, len(own), 32)
    }:
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


def _failure_to_json(failure: Failure) -> dict[str, Any]:
    return asdict(failure) | {"digest": failure.digest.hex}


def _failure_from_json(values: Mapping[str, Any]) -> Failure:
    failure = Failure(**{**values, "digest": Digest(bytes.fromhex(values["digest"]))})
    if failure.stage not in STAGES or failure.cause not in CAUSES:
        return replace(failure, stage="child", cause="internal")
    return failure


@dataclass(frozen=True)
class Scan:
    """The parts of a directory, by name, and those that are passed over with what is wrong with
    each."""

    parts: list[PartIndex]
    damaged: list[str]

    @property
    def others(self) -> list[str]:
        """Names of the other users whose parts are among them, sorted."""
        return sorted(
            {owner_name(part.owner) for part in self.parts if part.owner not in (-1, os.geteuid())}
        )


def scan(directory: Path, comm: Comm, without: Container[str] = ()) -> Scan:
    """Read all parts of a directory, each rank a share; rank 0 gets the result, the others an empty
    one.

    In a sticky directory, where everybody may make files, only parts of the user and of the
    directory's owner count.

    :param without: names of parts that are not looked at.
    :raises DatasetError: on every rank, where the directory itself is somebody else's.
    """
    names, about = on_rank_0(comm, lambda: _look_into(directory))
    parts: list[PartIndex] = []
    damaged: list[tuple[str, str]] = []
    for name in [name for name in names if name not in without][comm.rank :: comm.size]:
        try:
            part = read_part(directory / name)
            check_trusted_owner(part.owner, about)
            parts.append(part)
        except RemetricsError as error:
            damaged.append((name, str(error)))
        except OSError as error:
            damaged.append((name, f"{directory / name} is not trusted: {error.strerror}"))
    gathered = comm.gather((parts, damaged))
    found = sorted(
        (part for share, _ in gathered for part in share), key=lambda part: part.path.name
    )
    return Scan(
        found, [text for _, text in sorted(item for _, share in gathered for item in share)]
    )


def digests_of(directory: Path) -> set[bytes]:
    """Return the digests of all layers that the whole parts of a directory hold."""
    return {digest.raw for digest in finished(scan(directory, SerialComm()).parts)}


def _look_into(directory: Path) -> tuple[list[str], os.stat_result | None]:
    """Return the names of the parts in a directory, sorted, and what is known of it; None if it is
    not there."""
    try:
        about = check_trusted_directory(directory)
        names = os.listdir(directory)
    except FileNotFoundError:
        return [], None
    except OSError as error:
        raise DatasetError(
            f"{directory} can't be trusted: {error.strerror}",
            "move it away, or choose another output",
        ) from None
    return sorted(
        name for name in names if name.startswith("part-") and name.endswith(".h5")
    ), about


def set_aside(part: Path) -> None:
    """Give a part whose entries are damaged a name by which no run takes it, if that is allowed."""
    with contextlib.suppress(OSError, RemetricsError):
        rename(part, part.with_name(f"{part.name}.damaged"))


def sweep_temporaries(directory: Path) -> int:
    """Remove what killed runs left half copied and return how many; the caller holds the output's
    lock."""
    return sweep_directory(directory, r"\.(?:part|job)-[^/]*\.")


def finished(parts: Iterable[PartIndex]) -> dict[Digest, tuple[str, str]]:
    """Return each layer's best (status, cause) over all parts: ok, partial, failed; ties by the
    part's name."""
    best: dict[bytes, tuple[int, str]] = {}
    for part in sorted(parts, key=lambda part: part.path.name):
        causes = {failure.digest.raw: failure.cause for failure in part.failures}
        digests = part.layers["digest"].tobytes()
        for number, status in enumerate(part.layers["status"].tolist()):
            digest = digests[32 * number : 32 * number + 32]
            if digest not in best or status < best[digest][0]:
                best[digest] = status, causes.get(digest, "")
    words = list(STATUSES)
    return {Digest(digest): (words[status], cause) for digest, (status, cause) in best.items()}
