"""The directory beside a dataset that holds its parts: which of them are whole and trusted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatasetError, RemetricsError
from ..files.path_walk import owner_name
from ..files.publish import sweep_directory
from ..files.untrusted import check_trusted_directory, check_trusted_owner
from ..files.writing import rename
from ..mpi.collective import on_rank_0
from ..mpi.comm import Comm, SerialComm
from ..records import STATUSES, Digest
from .part_format import PartIndex
from .part_reader import read_part


def parts_directory(output: Path) -> Path:
    """Return the directory beside a dataset that holds its parts."""
    return output.parent / f"{output.name}.parts"


@dataclass(frozen=True)
class ScannedParts:
    """The parts of a directory, by name, and for each one that is ignored what is wrong with it."""

    parts: list[PartIndex]
    damaged: list[str]

    @property
    def others(self) -> list[str]:
        """Names of the other users who own some of the parts, sorted."""
        owners = {part.owner for part in self.parts} - {-1, os.geteuid()}
        return sorted(map(owner_name, owners))


def scan_parts(directory: Path, comm: Comm, without: Container[str] = ()) -> ScannedParts:
    """Read the indexes of all parts of a directory, some on each rank; collective.

    In a sticky directory, where everybody may create files, only parts of the user and of the
    directory's owner count.

    :param without: names of parts that are ignored.
    :returns: the parts on rank 0, nothing on the others.
    :raises DatasetError: on every rank, where the directory itself belongs to another user.
    """
    names, about = on_rank_0(comm, lambda: _list_parts(directory))

    # Read every size-th part on this rank
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

    # Gather them on rank 0, and sort them by name
    gathered = comm.gather((parts, damaged))
    all_parts = [part for theirs, _ in gathered for part in theirs]
    all_damaged = [item for _, theirs in gathered for item in theirs]
    return ScannedParts(
        sorted(all_parts, key=lambda part: part.path.name),
        [message for _, message in sorted(all_damaged)],
    )


def _list_parts(directory: Path) -> tuple[list[str], os.stat_result | None]:
    """Return the sorted names of the parts of a directory, and its stat; None if it is missing."""
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
    parts = [name for name in names if name.startswith("part-") and name.endswith(".h5")]
    return sorted(parts), about


def published_digests(directory: Path) -> set[bytes]:
    """Return the digests of all layers that the whole parts of a directory hold."""
    return {digest.raw for digest in best_statuses(scan_parts(directory, SerialComm()).parts)}


def best_statuses(parts: Iterable[PartIndex]) -> dict[Digest, tuple[str, str]]:
    """Return for each layer its best (status, cause) over all parts.

    ok is better than partial, partial better than failed; ties go to the first part by name.
    """
    best: dict[bytes, tuple[int, str]] = {}
    for part in sorted(parts, key=lambda part: part.path.name):
        causes = {failure.digest.raw: failure.cause for failure in part.failures}
        digests = part.layers["digest"].tolist()
        for digest, status in zip(digests, part.layers["status"].tolist(), strict=True):
            if digest not in best or status < best[digest][0]:
                best[digest] = status, causes.get(digest, "")
    words = list(STATUSES)
    return {Digest(digest): (words[status], cause) for digest, (status, cause) in best.items()}


def set_aside(part: Path) -> None:
    """Rename a part whose entries are damaged, if allowed, so that no run reads it."""
    with contextlib.suppress(OSError, RemetricsError):
        rename(part, part.with_name(f"{part.name}.damaged"))


def sweep_temporaries(directory: Path) -> int:
    """Remove what killed runs left half copied and return how many files these were.

    The caller holds the lock of the output.
    """
    return sweep_directory(directory, r"\.(?:part|job)-[^/]*\.")
