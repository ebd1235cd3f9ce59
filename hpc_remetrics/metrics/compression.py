"""Estimate the bytes of all contents compressed one by one, from a sample of them.

Contents are stratified by size; a stratum's bytes, which are known, times the sample's compression
ratio there is its estimate. Everything is a sum of whole numbers, so that the result does not
depend on the number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..arrays import summed_by
from ..profile.compression_sample import GZIP_LEVEL, MOST_BYTES, ZSTD_LEVEL
from ..wording import counted
from .estimates import NORMAL

CODECS = {"gzip": ("zlib", GZIP_LEVEL), "zstd": ("zstd", ZSTD_LEVEL)}
"""Column of `/contents` -> the library that compressed, and the level."""

MIN_SAMPLED = 20
"""Sampled contents that a stratum must have; one with fewer is joined with smaller sizes."""

_CLASSES = 33
"""Classes of sizes: 0 bytes, and one from each power of 4 on."""

_OF_CODEC = ("packed", "ratios", "ratio_squares")
_NAMES = ["contents", "size", "squares", "sampled", "sampled_size", "sampled_squares"]
_NAMES += [f"{codec} {name}" for codec in CODECS for name in _OF_CODEC]
"""Sums by class."""

_UNIT = 1 << 30
"""The number 1 as ratios are added up, in whole numbers."""

_SHIFTS = np.maximum(2 * np.arange(_CLASSES) - 31, 0)
"""Bits by which a size is shortened before it is squared, by class, so that squares fit 62 bits."""

_HALF_BITS = 32
"""Bits of the lower part of a square; the parts are summed apart."""


@dataclass(frozen=True)
class SizeStratum:
    """Contents of a range of sizes; strata add up.

    :ivar contents: number of contents, of `size` bytes in all; `squares` is the sum of the squares
        of their sizes.
    :ivar sampled: contents in the sample, with `sampled_size`, `sampled_squares`; compressed to
        `packed` bytes.
    :ivar ratios: sum of compressed size / size, in units of 1 / `_UNIT`; `ratio_squares` the sum of
        their squares.
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

    def __add__(self, other: SizeStratum) -> SizeStratum:
        return SizeStratum(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(self))
        )

    @property
    def unsampled_size(self) -> int:
        """Bytes of the contents that are not in the sample."""
        return self.size - self.sampled_size

    @property
    def estimate(self) -> float:
        """Bytes of all contents compressed: the sample's, and the other bytes times its ratio."""
        if not self.unsampled_size:
            return self.packed
        return self.packed + self.unsampled_size * self.packed / self.sampled_size

    @property
    def variance(self) -> float:
        """Variance of `estimate`, if ratios of contents vary alike whatever their sizes.

        It has two parts: the ratios of the contents outside the sample vary, and so does the
        sample's ratio. Both take squares of sizes, which are known of all contents: a few long
        ones may have most bytes, and whether they were drawn is mere chance.
        """
        if not self.unsampled_size:
            return 0.0
        if self.sampled < 2:
            return math.inf
        ratio = self.packed / self.sampled_size
        # Mean square of each content's own ratio minus the stratum's.
        mean = self.ratios / _UNIT / self.sampled
        mean_square = self.ratio_squares / _UNIT**2 / self.sampled
        spread = max(mean_square - mean**2, 0.0) + (mean - ratio) ** 2
        unsampled_squares = self.squares - self.sampled_squares
        of_ratio = (self.unsampled_size / self.sampled_size) ** 2 * self.sampled_squares
        return spread * self.sampled / (self.sampled - 1) * (unsampled_squares + of_ratio)


@dataclass(frozen=True)
class Estimate:
    """A number of bytes, and the ends of its 95 % confidence interval."""

    bytes: float
    low: float
    high: float


class CompressionTally:
    """Adds contents up by class of size.

    :ivar sums: (names, 2, classes) int64: for each of `_NAMES` the sums by class; squares are added
        up in two parts, the lower 32 bits and the upper ones.
    """

    def __init__(self) -> None:
        self.sums = np.zeros((len(_NAMES), 2, _CLASSES), np.int64)

    def add(
        self, size: np.ndarray, packed: dict[str, np.ndarray], times: np.ndarray | int = 1
    ) -> None:
        """Add contents.

        :param size: (n,) int64, bytes.
        :param packed: codec -> (n,) int64, compressed bytes, below 0 where not in the sample.
        :param times: (n,) int64, how often each content counts; `packed` is for all of its times.
            It is one draw of the sample however often it counts, and belongs to the class of all
            bytes that count.
        """
        total = size * times
        place = np.where(total > 0, (np.frexp(total.astype(float))[1] + 1) // 2, 0)
        self._add("contents", place, np.ones_like(size))
        self._add("size", place, total)
        self._add_squares("squares", place, total >> _SHIFTS[place])
        # Add those of the sample.
        is_sampled = (packed["gzip"] >= 0) & (packed["zstd"] >= 0) & (size <= MOST_BYTES)
        chosen = np.flatnonzero(is_sampled)
        place = place[chosen]
        total = total[chosen]
        self._add("sampled", place, np.ones_like(total))
        self._add("sampled_size", place, total)
        self._add_squares("sampled_squares", place, total >> _SHIFTS[place])
        # Shorten large numbers, so that a ratio in units fits 63 bits.
        shift = np.maximum(np.frexp(total.astype(float))[1] - 32, 0)
        for codec in CODECS:
            values = packed[codec][chosen]
            ratios = (values >> shift) * _UNIT // np.maximum(total >> shift, 1)
            self._add(f"{codec} packed", place, values)
            self._add(f"{codec} ratios", place, ratios)
            self._add_squares(f"{codec} ratio_squares", place, ratios)

    def _add(self, name: str, place: np.ndarray, values: np.ndarray, part: int = 0) -> None:
        self.sums[_NAMES.index(name), part] += summed_by(place, values, _CLASSES)

    def _add_squares(self, name: str, place: np.ndarray, values: np.ndarray) -> None:
        squares = values * values
        self._add(name, place, squares & ((1 << _HALF_BITS) - 1))
        self._add(name, place, squares >> _HALF_BITS, part=1)


def strata(sums: np.ndarray, codec: str) -> list[SizeStratum]:
    """Return one stratum a class, smallest sizes first, for one codec.

    :param sums: those of a `CompressionTally`.
    """
    # Put the two parts of squares together, in Python's numbers, which don't overflow.
    lower = sums[:, 0].astype(object)
    upper = sums[:, 1].astype(object)
    by_name = dict(zip(_NAMES, lower + (upper << _HALF_BITS), strict=True))
    for name in ("squares", "sampled_squares"):
        by_name[name] = by_name[name] << 2 * _SHIFTS.astype(object)
    columns = [
        by_name[f"{codec} {one.name}" if one.name in _OF_CODEC else one.name]
        for one in fields(SizeStratum)
    ]
    return [SizeStratum(*map(int, values)) for values in zip(*columns, strict=True)]


def joined(classes: Sequence[SizeStratum]) -> list[SizeStratum]:
    """Join classes to strata of `MIN_SAMPLED` sampled contents, or all; largest first."""
    whole = [one for one in classes if not one.unsampled_size]
    result: list[SizeStratum] = []
    held = SizeStratum()
    for one in reversed([one for one in classes if one.unsampled_size]):
        held += one
        if held.sampled >= MIN_SAMPLED:
            result.append(held)
            held = SizeStratum()
    # The smallest sizes, if too few were sampled, go with the next larger ones.
    if held.contents:
        result[-1:] = [result[-1] + held] if result else [held]
    return [*result, *whole]


def estimate(classes: Sequence[SizeStratum]) -> Estimate | None:
    """Estimate the bytes of all contents compressed; None if fewer than `MIN_SAMPLED` were sampled.

    The interval is that of Student's distribution with Satterthwaite's degrees of freedom, cut to
    what is certain: at least the sample's compressed bytes, and at most the sizes of the others
    more.
    """
    parts = joined(classes)
    for one in parts:
        if one.unsampled_size and (one.sampled < MIN_SAMPLED or not one.sampled_size):
            return None
    if not sum(one.sampled for one in parts):
        return None
    value = sum(one.estimate for one in parts)
    variances = [one.variance for one in parts]
    freedom = [one.sampled - 1 for one in parts]
    half = _student_quantile(variances, freedom) * math.sqrt(sum(variances))
    lowest = float(sum(one.packed for one in parts))
    highest = lowest + sum(one.unsampled_size for one in parts)
    return Estimate(value, max(value - half, lowest), min(value + half, highest))


def _student_quantile(variances: list[float], freedom: list[int]) -> float:
    """Return the 97.5 % quantile of Student's distribution for a sum of variances.

    :param freedom: degrees of freedom of each.
    """
    total = sum(variances)
    if not 0 < total < math.inf:
        return NORMAL
    # Satterthwaite: the inverse of the degrees of freedom of the sum.
    inverse = sum(
        (one / total) ** 2 / max(number, 1) for one, number in zip(variances, freedom, strict=True)
    )
    # The quantile's expansion in 1 / ν.
    z = NORMAL
    return z + (z**3 + z) / 4 * inverse + (5 * z**5 + 16 * z**3 + 3 * z) / 96 * inverse**2


def samples(sums: np.ndarray) -> dict[str, list[Any]]:
    """Return the table `samples`.

    :param sums: those of a `CompressionTally`.
    """
    totals = {codec: sum(strata(sums, codec), SizeStratum()) for codec in CODECS}
    totals = {codec: one for codec, one in totals.items() if one.sampled}
    return {
        "codec": list(totals),
        "level": [CODECS[codec][1] for codec in totals],
        "contents": [one.sampled for one in totals.values()],
        "bytes": [one.sampled_size for one in totals.values()],
        "compressed_bytes": [one.packed for one in totals.values()],
    }


def what_if_rows(sums: np.ndarray) -> list[dict[str, Any]]:
    """Return rows of `what_if`, without ratios: every content stored once, compressed.

    :param sums: those of a `CompressionTally`.
    """
    rows = []
    for codec, (library, level) in CODECS.items():
        classes = strata(sums, codec)
        stored = estimate(classes)
        if stored is None:
            continue

        # Say what an estimate rests on.
        total = sum(classes, SizeStratum())
        is_estimated = total.unsampled_size > 0
        contents = f"{total.sampled:,} of {counted(total.contents, 'content')}"
        size = f"{total.sampled_size:,} of {counted(total.size, 'byte')}"
        row = {
            "scenario": f"file_dedup_{codec}",
            "bytes": stored.bytes,
            "ci_low": stored.low,
            "ci_high": stored.high,
            "is_estimated": is_estimated,
            "estimated_from": (
                f"{contents}, {size}; {library} level {level}" if is_estimated else ""
            ),
            "is_compressed": True,
        }
        rows.append(row)
    return rows
