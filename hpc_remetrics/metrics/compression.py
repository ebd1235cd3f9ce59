"""What all contents would take compressed one by one, estimated from the sample of them that was,
with an interval.

The contents are stratified by size, and each stratum's bytes, which are known, times the sample's
ratio there is the estimate. Everything is a sum of whole numbers, so that it is the same for any
number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..profile.compression_sample import GZIP_LEVEL, MOST_BYTES, ZSTD_LEVEL
from ..wording import counted
from .estimates import NORMAL
from .inputs import summed_by

CODECS = {"gzip": ("zlib", GZIP_LEVEL), "zstd": ("zstd", ZSTD_LEVEL)}
"""Column of `/contents` -> what it comes of, and the level."""

LEAST = 20
"""Sampled contents that a stratum must have; those that have fewer are joined with smaller
sizes."""

_CLASSES = 33
"""Classes of sizes: of none, and from each power of 4 on."""

_OF_CODEC = ("packed", "ratios", "ratio_squares")
_NAMES = ["contents", "size", "squares", "sampled", "sampled_size", "sampled_squares"]
_NAMES += [f"{codec} {name}" for codec in CODECS for name in _OF_CODEC]
"""What is added up by class."""

_UNIT = 1 << 30
"""One, of ratios that are added up as whole numbers."""

_SHIFTS = np.maximum(2 * np.arange(_CLASSES) - 31, 0)
"""Bits that a size is shortened by before it is squared, by class, so that the square has 62."""

_HALF = 32
"""Bits of the lower part of a square."""


@dataclass(frozen=True)
class Stratum:
    """Contents of some sizes; strata add up.

    :ivar contents: how many there are, of `size` bytes in all; `squares` is the sum of the squares
    of their sizes.
    :ivar sampled: how many of them were compressed, of `sampled_size` bytes, `sampled_squares`, to
    `packed` bytes.
    :ivar ratios: sum of compressed size / size, in `_UNIT`; `ratio_squares` that of its squares.
    """

    contents: int = 0
    size: int = 0
    squares: int = 0
    sampled: int = 0
    sampled_size: int = 0
    sampled_squares: int = 0
    packed: int = 0
    ratios: int = 0
    ratio_squares: int = 0

    def __add__(self, other: Stratum) -> Stratum:
        return Stratum(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(self))
        )

    @property
    def rest(self) -> int:
        """Bytes of the contents that are not in the sample."""
        return self.size - self.sampled_size

    @property
    def estimate(self) -> float:
        """Return the bytes of all contents compressed: those of the sample, and the rest at its
        ratio."""
        return self.packed + (self.rest * self.packed / self.sampled_size if self.rest else 0)

    @property
    def variance(self) -> float:
        """Return the variance of `estimate`, where the ratios of contents vary alike whatever their
        sizes.

        That of the rest's own ratios, and that of the sample's ratio times the rest: both need
        squares of sizes, which are known of all contents. A few long ones may have most bytes, and
        whether they were drawn is mere chance.
        """
        if not self.rest:
            return 0.0
        if self.sampled < 2:
            return math.inf
        ratio = self.packed / self.sampled_size
        mean, mean_square = (
            self.ratios / _UNIT / self.sampled,
            self.ratio_squares / _UNIT**2 / self.sampled,
        )
        spread = max(mean_square - mean**2, 0.0) + (mean - ratio) ** 2
        of_rest = self.squares - self.sampled_squares
        of_ratio = (self.rest / self.sampled_size) ** 2 * self.sampled_squares
        return spread * self.sampled / (self.sampled - 1) * (of_rest + of_ratio)


@dataclass(frozen=True)
class Estimate:
    """Bytes, and the ends of the 95 % confidence interval."""

    bytes: float
    low: float
    high: float


class SampleTally:
    """Adds contents up by class of size.

    :ivar sums: for each of `_NAMES` two rows by class, since squares are added up in two halves.
    """

    def __init__(self) -> None:
        self.sums = np.zeros((len(_NAMES), 2, _CLASSES), np.int64)

    def add(self, size: np.ndarray, packed: dict[str, np.ndarray]) -> None:
        """Add contents.

        :param packed: codec -> bytes that each content takes, -1 where it is not in the sample.
        """
        place = np.where(size > 0, (np.frexp(size.astype(float))[1] + 1) // 2, 0)
        self._add("contents", place, np.ones_like(size))
        self._add("size", place, size)
        self._add_squares("squares", place, size >> _SHIFTS[place])
        chosen = np.flatnonzero(
            (packed["gzip"] >= 0) & (packed["zstd"] >= 0) & (size <= MOST_BYTES)
        )
        place, size = place[chosen], size[chosen]
        self._add("sampled", place, np.ones_like(size))
        self._add("sampled_size", place, size)
        self._add_squares("sampled_squares", place, size >> _SHIFTS[place])
        for codec in CODECS:
            values = packed[codec][chosen]
            ratios = values * _UNIT // np.maximum(size, 1)
            self._add(f"{codec} packed", place, values)
            self._add(f"{codec} ratios", place, ratios)
            self._add_squares(f"{codec} ratio_squares", place, ratios)

    def _add(self, name: str, place: np.ndarray, values: np.ndarray, half: int = 0) -> None:
        self.sums[_NAMES.index(name), half] += summed_by(place, values, _CLASSES)

    def _add_squares(self, name: str, place: np.ndarray, values: np.ndarray) -> None:
        squares = values * values
        self._add(name, place, squares & ((1 << _HALF) - 1))
        self._add(name, place, squares >> _HALF, half=1)


def strata(sums: np.ndarray, codec: str) -> list[Stratum]:
    """Return the strata, smallest sizes first, from the sums of a `SampleTally`, for one codec."""
    whole = dict(
        zip(_NAMES, sums[:, 0].astype(object) + (sums[:, 1].astype(object) << _HALF), strict=True)
    )
    for name in ("squares", "sampled_squares"):
        whole[name] = whole[name] << 2 * _SHIFTS.astype(object)
    columns = [
        whole[f"{codec} {one.name}" if one.name in _OF_CODEC else one.name]
        for one in fields(Stratum)
    ]
    return [Stratum(*map(int, values)) for values in zip(*columns, strict=True)]


def joined(classes: Sequence[Stratum]) -> list[Stratum]:
    """Return strata that have `LEAST` sampled contents or are known whole; largest sizes first."""
    whole = [one for one in classes if not one.rest]
    found: list[Stratum] = []
    held = Stratum()
    for one in reversed([one for one in classes if one.rest]):
        held += one
        if held.sampled >= LEAST:
            found.append(held)
            held = Stratum()
    if held.contents:
        found[-1:] = [found[-1] + held] if found else [held]
    return [*found, *whole]


def estimate(classes: Sequence[Stratum]) -> Estimate | None:
    """Return what the contents of all strata take compressed, None where fewer than `LEAST` of them
    tell.

    The interval is that of Student's distribution, with the degrees of freedom of Satterthwaite,
    and within what is certain: the sample takes what it does, and no content more than its size.
    """
    parts = joined(classes)
    if any(one.rest and (one.sampled < LEAST or not one.sampled_size) for one in parts):
        return None
    if not sum(one.sampled for one in parts):
        return None
    value, variances = sum(one.estimate for one in parts), [one.variance for one in parts]
    least = float(sum(one.packed for one in parts))
    most = least + sum(one.rest for one in parts)
    half = _quantile(variances, [one.sampled - 1 for one in parts]) * math.sqrt(sum(variances))
    return Estimate(value, max(value - half, least), min(value + half, most))


def _quantile(variances: list[float], freedom: list[int]) -> float:
    """Return the 97.5 % quantile of Student's distribution for a sum of variances, by its expansion
    in 1/ν."""
    total = sum(variances)
    if not 0 < total < math.inf:
        return NORMAL
    inverse = sum(
        (one / total) ** 2 / max(number, 1) for one, number in zip(variances, freedom, strict=True)
    )
    z = NORMAL
    return z + (z**3 + z) / 4 * inverse + (5 * z**5 + 16 * z**3 + 3 * z) / 96 * inverse**2


def samples(sums: np.ndarray) -> dict[str, list[Any]]:
    """Return the table `samples`."""
    found = {codec: sum(strata(sums, codec), Stratum()) for codec in CODECS}
    found = {codec: one for codec, one in found.items() if one.sampled}
    return {
        "codec": list(found),
        "level": [CODECS[codec][1] for codec in found],
        "contents": [one.sampled for one in found.values()],
        "bytes": [one.sampled_size for one in found.values()],
        "compressed_bytes": [one.packed for one in found.values()],
    }


def what_if_rows(sums: np.ndarray) -> list[dict[str, Any]]:
    """Return rows of `what_if`, without ratios: every content once, compressed."""
    rows = []
    for codec, (program, level) in CODECS.items():
        classes = strata(sums, codec)
        if (found := estimate(classes)) is None:
            continue
        all_of_them = sum(classes, Stratum())
        part = f"{all_of_them.sampled:,} of {counted(all_of_them.contents, 'content')}"
        size = f"{all_of_them.sampled_size:,} of {counted(all_of_them.size, 'byte')}"
        estimated = all_of_them.rest > 0
        text = f"{part}, {size}; {program} level {level}" if estimated else ""
        row = {
            "scenario": f"file_dedup_{codec}",
            "bytes": found.bytes,
            "ci_low": found.low,
            "ci_high": found.high,
        }
        rows.append(
            row | {"is_estimated": estimated, "estimated_from": text, "is_compressed": True}
        )
    return rows
