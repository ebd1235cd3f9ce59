"""Read entries of the dataset to be, by their final row numbers, from wherever they are stored."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np

from ..dataset.schema import CHUNK_ROWS
from ..errors import PartError
from ..files.untrusted import open_regular
from ..parts.part_format import ENTRY_COLUMNS, EXTRA_RECORDS
from ..parts.part_reader import wrong_values
from ..row_ranges import rank_range
from .placement import Placement

_OPEN_FILES = 64

_TYPES = {**ENTRY_COLUMNS, **EXTRA_RECORDS}
"""Entry column or kind of extra records -> its type; all other names are blobs, of single bytes."""

_FIRST_FIELDS = {
    "entries": "first_entry",
    "path": "first_path_byte",
    "link": "first_link_byte",
}
"""What is counted -> the field of `LAYER` that says where those of a layer begin in its part."""


class PlacedReader:
    """Reads rows and bytes by their place in the dataset; a subclass reads them from its files.

    :ivar placement: where the rows and bytes of each layer are.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self._faults: list[PartError] = []

    def fault(self, parts: Iterable[int], what: str) -> None:
        """Remember that some parts hold impossible values; `check` raises it.

        It can't be raised at once, since other ranks wait for this one in a collective call.
        """
        names = sorted({str(self.placement.paths[part]) for part in parts})
        self._faults.append(PartError(names, f"{' and '.join(names)}: {what}"))

    def check(self) -> None:
        """Raise the first fault so far, a `PartError`."""
        if self._faults:
            raise self._faults[0]

    def close(self) -> None:
        """Close what is open."""

    def spans(self, start: int, stop: int, unit: str = "entries") -> Iterator[tuple[int, int, int]]:
        """Yield (layer, first, end) of the pieces of layers that make up a range.

        :param start: first row of the dataset, or first byte of a blob (`unit`: path or link).
        """
        bounds = self.placement.first[unit]
        layer = int(np.searchsorted(bounds, start, "right")) - 1
        while start < stop:
            end = min(int(bounds[layer + 1]), stop)
            if end > start:
                yield layer, start, end
                start = end
            layer += 1

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return (stop - start,) of `ENTRY_COLUMNS[name]`, of the entries from `start` on."""
        spans = self.spans(start, stop)
        data = b"".join(self._at(layer, name, "entries", low, high) for layer, low, high in spans)
        return np.frombuffer(data, ENTRY_COLUMNS[name])

    def blob(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes `start` to `stop` of all paths or of all links."""
        spans = self.spans(start, stop, name)
        return b"".join(self._at(layer, name, name, low, high) for layer, low, high in spans)

    def layers(self, start: int, stop: int) -> np.ndarray:
        """Return (stop - start,) uint32, the layer of each entry from `start` on."""
        spans = list(self.spans(start, stop))
        counts = [high - low for _, low, high in spans]
        return np.repeat(np.array([layer for layer, _, _ in spans], np.uint32), counts)

    def extras_count(self, kind: str) -> int:
        """Return how many extra records there are, or somewhat more."""
        raise NotImplementedError

    def extras(self, kind: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        """Yield the extra records that a rank reads, (n,) of `EXTRA_RECORDS[kind]` at a time."""
        raise NotImplementedError

    def _at(self, layer: int, name: str, unit: str, start: int, stop: int) -> bytes:
        """Return a piece of one layer: rows of a column or bytes of a blob, by their place."""
        placement = self.placement
        first_in_part = int(placement.layers[_FIRST_FIELDS[unit]][layer])
        first_in_dataset = int(placement.first[unit][layer])
        begin = first_in_part + start - first_in_dataset
        return self._read(int(placement.part[layer]), name, begin, stop - start)

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        """Return `count` values of a column, or bytes of a blob, from `begin` of a part on."""
        raise NotImplementedError


class PartReader(PlacedReader):
    """Reads from the parts of a run, with few files open."""

    def __init__(self, placement: Placement) -> None:
        super().__init__(placement)
        self._files: dict[int, int] = {}

    def close(self) -> None:
        """Close the parts."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def extras_count(self, kind: str) -> int:
        """Return how many extra records the layers have."""
        return int(self.placement.extras[kind][:, 1].sum())

    def extras(self, kind: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        """Yield the extra records of a rank's layers, at least `CHUNK_ROWS` at a time."""
        placement = self.placement
        pieces: list[bytes] = []
        rows = 0
        # Join the records of small layers, and cut those of large ones
        for layer in rank_range(rank, ranks, len(placement.layers)):
            first, count = placement.extras[kind][layer].tolist()
            part = int(placement.part[layer])
            for start in range(first, first + count, CHUNK_ROWS):
                length = min(CHUNK_ROWS, first + count - start)
                pieces.append(self._read(part, kind, start, length))
                rows += length
                if rows >= CHUNK_ROWS:
                    yield np.frombuffer(b"".join(pieces), EXTRA_RECORDS[kind])
                    pieces = []
                    rows = 0
        if rows:
            yield np.frombuffer(b"".join(pieces), EXTRA_RECORDS[kind])

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        """Return values of a part, or zeros and a fault where they can't be read."""
        # Read the values
        dtype = _TYPES.get(name)
        width = dtype.itemsize if dtype is not None else 1
        size = count * width
        offset = self.placement.offsets[part][name] + begin * width
        try:
            data = os.pread(self._file(part), size, offset)
        except OSError as error:
            self.fault([part], f"it can't be read: {error.strerror}")
            return bytes(size)
        if len(data) != size:
            self.fault([part], f"it ends within {name}")
            return bytes(size)
        # Check them; the bytes of paths and links may be any
        if dtype is not None:
            types = len(self.placement.type_of[part])
            if wrong := wrong_values(name, np.frombuffer(data, dtype), types):
                self.fault([part], wrong)
                return bytes(size)
        return data

    def _file(self, part: int) -> int:
        """Return the descriptor of a part; the one opened first is closed where there are many."""
        if part not in self._files:
            if len(self._files) >= _OPEN_FILES:
                os.close(self._files.pop(next(iter(self._files))))
            self._files[part] = open_regular(self.placement.paths[part], follow=False)
        return self._files[part]
