"""Read the extra records of one layer after the other, wherever they lie in the parts of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import PartError
from ..files.untrusted import open_regular
from ..records import STATUSES
from .part_format import EXTRA_RECORDS, PartIndex
from .spill_format import in_range

_FAILED = STATUSES["failed"]


class Place(NamedTuple):
    """Where the records of a layer are: number of the part, first byte there, and how many."""

    part: int
    offset: int
    records: int


class ExtraPlaces:
    """Where the extra records of one kind are; small enough to be sent to all ranks.

    :param kind: one of `EXTRAS`.
    :ivar paths: the parts.
    :ivar places: digest of a layer that was read, wholly or partly -> where its records are.
    """

    def __init__(self, parts: Iterable[PartIndex], kind: str) -> None:
        self.kind = kind
        self.paths: list[Path] = []
        self.places: dict[bytes, Place] = {}
        width = EXTRA_RECORDS[kind].itemsize
        best: dict[bytes, int] = {}
        for number, part in enumerate(parts):
            self.paths.append(part.path)
            counts = part.extras[kind]
            offsets = part.offsets[kind] + (np.cumsum(counts) - counts) * width
            rows = zip(part.layers["digest"].tolist(), part.layers["status"].tolist(), strict=True)
            for row, (digest, status) in enumerate(rows):
                # Of several parts with a layer the one that has most of it counts.
                if status < best.get(digest, _FAILED):
                    best[digest] = status
                    self.places[digest] = Place(number, int(offsets[row]), int(counts[row]))

    def read(self, digest: bytes) -> np.ndarray:
        """Return the records of a layer, (n,) `EXTRA_RECORDS[kind]`; none of one that is not there.

        :raises PartError: they can't be read.
        """
        place = self.places.get(digest)
        if place is None:
            return np.empty(0, EXTRA_RECORDS[self.kind])
        return self.records(place.part, place.offset, place.records)

    def records(self, part: int, offset: int, count: int) -> np.ndarray:
        """Return some records of a part, (count,) `EXTRA_RECORDS[kind]`.

        :raises PartError: they can't be read.
        """
        path = self.paths[part]
        dtype = EXTRA_RECORDS[self.kind]
        try:
            with open(open_regular(path), "rb") as file:
                file.seek(offset)
                data = file.read(count * dtype.itemsize)
        except OSError as error:
            raise PartError([str(path)], f"{path} can't be read: {error.strerror}") from None
        if len(data) != count * dtype.itemsize:
            raise PartError([str(path)], f"{path} is cut")
        records = np.frombuffer(data, dtype)
        if not in_range(self.kind, records):
            raise PartError([str(path)], f"{path}: {self.kind} have values out of range")
        return records

    def __iter__(self) -> Iterator[Place]:
        yield from self.places.values()
