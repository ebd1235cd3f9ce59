"""Where every layer's rows go in the dataset, and where they lie in the parts: arithmetic on small
tables.

All of it is proportional to the number of layers, parts and images, nothing to the number of
entries.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..dataset.schema import CHUNK_BYTES, CHUNK_ROWS, WEAK_TYPES
from ..errors import PartError
from ..files.untrusted import open_regular
from ..parts.part_format import ENTRY_COLUMNS, EXTRA_RECORDS, LAYER, PartIndex
from ..parts.part_reader import wrong_values
from ..records import Catalog, Digest, Failure, Image
from ..row_ranges import rank_range

_OPEN_FILES = 64

_WIDTHS = {name: dtype.itemsize for name, dtype in {**ENTRY_COLUMNS, **EXTRA_RECORDS}.items()}
"""Bytes of a value of a column, or of an extra record; all others are blobs."""


@dataclass
class Placement:
    """The layers in order of digest, and where the entries of each begin.

    :ivar layers: array of `parts.LAYER` (its `first_…` fields are places in the part).
    :ivar part: for each layer the part that holds it, a place in `paths` and `offsets`.
    :ivar first: `entries`, `path` and `link` -> first row or byte in the dataset of each layer, and
    the end.
    :ivar types: all descriptions, those that are answers first, each kind sorted.
    :ivar type_of: for each part its type numbers -> places in `types`.
    :ivar extras: kind of extra records -> for each layer the first of them in its part, and how
    many.
    :ivar image_start: `images_of[image_start[l]:image_start[l + 1]]` are the image rows of layer l.
    """

    layers: np.ndarray
    part: np.ndarray
    paths: list[Path]
    offsets: list[dict[str, int]]
    first: dict[str, np.ndarray]
    types: list[str]
    type_of: list[np.ndarray]
    extras: dict[str, np.ndarray]
    image_start: np.ndarray
    images_of: np.ndarray
    missing: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def entries(self) -> int:
        return int(self.first["entries"][-1])

    @property
    def blocks(self) -> int:
        """Blocks of `CHUNK_ROWS` entries, the units of work of a gather."""
        return -(-self.entries // CHUNK_ROWS)

    def blob_chunks(self, name: str) -> int:
        return -(-int(self.first[name][-1]) // CHUNK_BYTES)


def place(parts: Sequence[PartIndex], images: Sequence[Image]) -> Placement:
    """Choose the best row of each layer of the images, sort them, and add up where they begin."""
    order = sorted({layer.digest.raw for image in images for layer in image.layers})
    best = _best_rows(parts, set(order))
    found = [digest for digest in order if digest in best]
    layers = np.array([parts[best[digest][1]].layers[best[digest][2]] for digest in found], LAYER)
    part = np.array([best[digest][1] for digest in found], np.int64)
    sizes = {"entries": "entries", "path": "path_bytes", "link": "link_bytes"}
    first = {
        name: np.concatenate([[0], np.cumsum(layers[size])]).astype(np.int64)
        for name, size in sizes.items()
    }
    descriptions = {text for index in parts for text in index.types}
    types = sorted(descriptions, key=lambda text: (text in WEAK_TYPES, text))
    numbers = {text: number for number, text in enumerate(types)}
    image_start, images_of = _images_of(found, images)
    chosen = {(best[digest][1], digest) for digest in found}
    known = set(found)
    failures = [
        failure
        for n, index in enumerate(parts)
        for failure in index.failures
        if (n, failure.digest.raw) in chosen or (failure.is_claim and failure.digest.raw in known)
    ]
    return Placement(
        layers,
        part,
        [index.path for index in parts],
        [index.offsets for index in parts],
        first,
        types,
        [np.array([numbers[text] for text in index.types], np.uint32) for index in parts],
        {
            name: _extras(parts, name, [best[digest][1:] for digest in found])
            for name in EXTRA_RECORDS
        },
        image_start,
        images_of,
        len(order) - len(found),
        in_order(failures),
    )


def in_order(failures: Iterable[Failure]) -> list[Failure]:
    """Return failures by digest: first what images state falsely, each once, then what went
    wrong."""
    unique = {(one.digest, one.stage, one.message): one for one in failures}
    keys = (
        (one.digest.raw, not one.is_claim, one.is_claim and one.message) for one in unique.values()
    )
    return [
        one for _, one in sorted(zip(keys, unique.values(), strict=True), key=lambda pair: pair[0])
    ]


def _best_rows(parts: Sequence[PartIndex], wanted: set[bytes]) -> dict[bytes, tuple[int, int, int]]:
    """Return (status, part, row) of each wanted layer: ok, partial, failed; ties by the part's
    name."""
    best: dict[bytes, tuple[int, int, int]] = {}
    for number, index in enumerate(parts):
        digests = index.layers["digest"].tobytes()
        for row, status in enumerate(index.layers["status"].tolist()):
            digest = digests[32 * row : 32 * row + 32]
            if digest in wanted and (digest not in best or status < best[digest][0]):
                best[digest] = status, number, row
    return best


def _extras(parts: Sequence[PartIndex], name: str, places: list[tuple[int, int]]) -> np.ndarray:
    """Return, for each layer's part and row there, the first of its records and how many; none in
    older parts."""
    counts = [index.extras.get(name, np.zeros(len(index.layers), np.int64)) for index in parts]
    firsts = [np.cumsum(one) - one for one in counts]
    return np.array(
        [(firsts[part][row], counts[part][row]) for part, row in places], np.int64
    ).reshape(-1, 2)


def _images_of(digests: list[bytes], images: Sequence[Image]) -> tuple[np.ndarray, np.ndarray]:
    rows = {digest: row for row, digest in enumerate(digests)}
    pairs = sorted(
        {
            (rows[layer.digest.raw], n)
            for n, image in enumerate(images)
            for layer in image.layers
            if layer.digest.raw in rows
        }
    )
    layer = np.array([pair[0] for pair in pairs], np.int64)
    counts = (
        np.bincount(layer, minlength=len(digests))
        if len(pairs)
        else np.zeros(len(digests), np.int64)
    )
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.array(
        [pair[1] for pair in pairs], np.int64
    )


def sorted_images(catalog: Catalog) -> list[Image]:
    """Return the images in order of name and digest, each once."""
    unique: Mapping[tuple[str, Digest, str], Image] = {
        (image.name, image.digest, image.platform): image for image in catalog.images
    }
    return [unique[key] for key in sorted(unique)]


class PlacedReader:
    """Reads entries of the dataset-to-be from wherever they lie: a subclass says how."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._faults: list[PartError] = []

    def fault(self, parts: Iterable[int], what: str) -> None:
        """Keep in mind that some parts hold what can't be.

        It is raised later, by `check`, since ranks that wait for this one must not be left alone.
        """
        names = sorted({str(self._placement.paths[part]) for part in parts})
        self._faults.append(PartError(names, f"{' and '.join(names)}: {what}"))

    def check(self) -> None:
        """Raise the first fault that was met so far; `PartError`."""
        if self._faults:
            raise self._faults[0]

    def close(self) -> None:
        """Give back what is open."""

    def spans(self, start: int, stop: int, unit: str = "entries") -> Iterator[tuple[int, int, int]]:
        """Yield (layer, first, end) of the pieces of layers that rows or bytes `start` to `stop`
        consist of."""
        bounds = self._placement.first[unit]
        layer = int(np.searchsorted(bounds, start, "right")) - 1
        while start < stop:
            end = min(int(bounds[layer + 1]), stop)
            if end > start:
                yield layer, start, end
                start = end
            layer += 1

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return a column of the entries `start` to `stop` of the dataset."""
        dtype = ENTRY_COLUMNS[name]
        data = b"".join(
            self._at(layer, name, "entries", low, high)
            for layer, low, high in self.spans(start, stop)
        )
        return np.frombuffer(data, dtype)

    def blob(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes `start` to `stop` of all paths or of all links."""
        return b"".join(
            self._at(layer, name, name, low, high)
            for layer, low, high in self.spans(start, stop, name)
        )

    def layers(self, start: int, stop: int) -> np.ndarray:
        """Return the layer of each of these entries."""
        spans = list(self.spans(start, stop))
        counts = [high - low for _, low, high in spans]
        return np.repeat(np.array([layer for layer, _, _ in spans], np.uint32), counts)

    def extras_count(self, name: str) -> int:
        """Return how many extra records there are, or somewhat more."""
        raise NotImplementedError

    def extras(self, name: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        """Yield the extra records of a rank's share of what there is, some at a time."""
        raise NotImplementedError

    def _at(self, layer: int, name: str, unit: str, start: int, stop: int) -> bytes:
        placement = self._placement
        field_name = {
            "entries": "first_entry",
            "path": "first_path_byte",
            "link": "first_link_byte",
        }[unit]
        begin = int(placement.layers[field_name][layer]) + start - int(placement.first[unit][layer])
        return self._read(int(placement.part[layer]), name, begin, stop - start)

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        """Return `count` values of a column, or bytes of a blob, from the `begin`-th of a part
        on."""
        raise NotImplementedError


class PartReader(PlacedReader):
    """Reads from the parts of a run, with few files open."""

    def __init__(self, placement: Placement) -> None:
        super().__init__(placement)
        self._files: dict[int, int] = {}

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def extras_count(self, name: str) -> int:
        return int(self._placement.extras[name][:, 1].sum())

    def extras(self, name: str, rank: int, ranks: int) -> Iterator[np.ndarray]:
        placement, held = self._placement, 0
        pieces: list[bytes] = []
        for layer in rank_range(rank, ranks, len(placement.layers)):
            first, count = placement.extras[name][layer].tolist()
            for start in range(first, first + count, CHUNK_ROWS):
                rows = min(CHUNK_ROWS, first + count - start)
                pieces.append(self._read(int(placement.part[layer]), name, start, rows))
                held += rows
                if held >= CHUNK_ROWS:
                    yield np.frombuffer(b"".join(pieces), EXTRA_RECORDS[name])
                    pieces, held = [], 0
        if held:
            yield np.frombuffer(b"".join(pieces), EXTRA_RECORDS[name])

    def _read(self, part: int, name: str, begin: int, count: int) -> bytes:
        width = _WIDTHS.get(name, 1)
        size = count * width
        try:
            data = os.pread(
                self._file(part), size, self._placement.offsets[part][name] + begin * width
            )
        except OSError as error:
            self.fault([part], f"it can't be read: {error.strerror}")
            return bytes(size)
        if len(data) != size:
            self.fault([part], f"it ends within {name}")
            return bytes(size)
        if wrong := self._wrong(part, name, data):
            self.fault([part], wrong)
            return bytes(size)
        return data

    def _wrong(self, part: int, name: str, data: bytes) -> str:
        """Return what is wrong with bytes of a column; of a blob nothing can be."""
        if (dtype := ENTRY_COLUMNS.get(name, EXTRA_RECORDS.get(name))) is None:
            return ""
        return wrong_values(name, np.frombuffer(data, dtype), len(self._placement.type_of[part]))

    def _file(self, part: int) -> int:
        if part not in self._files:
            if len(self._files) >= _OPEN_FILES:
                os.close(self._files.pop(next(iter(self._files))))
            self._files[part] = open_regular(self._placement.paths[part], follow=False)
        return self._files[part]
