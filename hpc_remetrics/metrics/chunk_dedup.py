"""The bytes of all distinct chunks: counted, or estimated from a sample of the fingerprints.

Fingerprints are hashes, so those below a bound are a sample in which each distinct chunk has the
same chance, whatever its bytes are. Sums over the sample divided by its share of all fingerprints
are estimates of the sums over all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..arrays import summed_by
from ..profile.chunking import CDC_BYTES, FIXED_BYTES
from ..records import CHUNK_METHODS
from ..wording import counted
from .compression import Estimate
from .estimates import NORMAL
from .inputs import MetricsInputs

_SIZES = {"fixed": FIXED_BYTES, "cdc": CDC_BYTES}
"""Method -> bytes of a chunk; for cdc the mean that it aims at."""


class CutTally:
    """Adds up the contents that were cut.

    :ivar sums: (3,) int64: bytes of the contents, their chunks of fixed size, their cdc chunks.
    """

    def __init__(self) -> None:
        self.sums = np.zeros(3, np.int64)

    def add(self, size: np.ndarray, cdc_chunks: np.ndarray) -> None:
        """Add contents.

        :param size: (n,) int64, bytes.
        :param cdc_chunks: (n,) int64, -1 where a content was not cut.
        """
        is_cut = cdc_chunks > 0
        cut = size[is_cut]
        fixed_chunks = -(-cut // FIXED_BYTES)
        self.sums += int(cut.sum()), int(fixed_chunks.sum()), int(cdc_chunks[is_cut].sum())


def count_chunks(inputs: MetricsInputs) -> np.ndarray:
    """Add up this rank's share of /chunks by method.

    :returns: (3, methods) int64; rows: number, bytes and sum of the squares of the bytes.
    """
    methods = len(CHUNK_METHODS)
    sums = np.zeros((3, methods), np.int64)
    for start, stop in inputs.my_blocks(len(inputs.dataset.chunks)):
        method = inputs.chunk.column("method", start, stop).astype(np.int64)
        size = inputs.chunk.column("size", start, stop).astype(np.int64)
        for row, values in enumerate((np.ones_like(size), size, size * size)):
            sums[row] += summed_by(method, values, methods)
    return sums


@dataclass(frozen=True)
class KeptChunks:
    """Distinct chunks of one method in /chunks; `squares` is the sum of the squares of bytes."""

    count: int
    bytes: int
    squares: int


@dataclass(frozen=True)
class ChunkTotals:
    """Totals of the contents that were cut and of their chunks.

    :ivar bytes: bytes of the contents that were cut.
    :ivar chunks: method -> chunks, every copy counted.
    :ivar kept: method -> the distinct chunks in /chunks.
    :ivar share: the share of all distinct chunks that /chunks has; 0 where nothing was cut.
    """

    bytes: int
    chunks: dict[str, int]
    kept: dict[str, KeptChunks]
    share: Fraction

    @classmethod
    def of(cls, cut: np.ndarray, kept: np.ndarray, share: Fraction) -> ChunkTotals:
        """Return the totals from sums over all ranks.

        :param cut: (3,) int64, sums of a `CutTally`.
        :param kept: (3, methods) int64, sums of `count_chunks`.
        """
        size, *chunks = map(int, cut)
        of_method = {
            name: KeptChunks(*kept[:, row].tolist()) for name, row in CHUNK_METHODS.items()
        }
        return cls(size, dict(zip(_SIZES, chunks, strict=True)), of_method, share)

    def _scaled(self, kept: int) -> int:
        """Return the estimate for all chunks of a sum over those kept."""
        return round(kept / self.share)

    def table(self) -> dict[str, list[Any]]:
        """Return the table `chunks`; without rows where nothing was cut."""
        methods = list(_SIZES) if self.bytes and self.share else []
        return {
            "method": methods,
            "target_size": [_SIZES[method] for method in methods],
            "chunks": [self.chunks[method] for method in methods],
            "distinct_chunks": [self._scaled(self.kept[method].count) for method in methods],
            "bytes": [self.bytes for _ in methods],
            "distinct_bytes": [self._scaled(self.kept[method].bytes) for method in methods],
        }

    def stored(self, method: str) -> Estimate:
        """Return the bytes of all distinct chunks, with the interval of a sum of Bernoulli draws.

        The variance is (1 - share) / share² · Σ size², over the chunks kept.
        """
        kept = self.kept[method]
        size = self._scaled(kept.bytes)
        half = NORMAL * math.sqrt((1 - self.share) * kept.squares) / self.share
        # At least the chunks kept, at most all that was cut.
        low = max(size - half, kept.bytes)
        return Estimate(size, low, min(size + half, max(self.bytes, size)))

    def what_if_rows(self, content_bytes: int) -> list[dict[str, Any]]:
        """Return rows of `what_if`, without ratios; none unless all contents were cut.

        :param content_bytes: bytes of all contents.
        """
        if not self.share or self.bytes != content_bytes:
            return []
        return [self._row(method) for method in _SIZES if self.kept[method].count]

    def _row(self, method: str) -> dict[str, Any]:
        stored = self.stored(method)
        is_estimated = self.share < 1
        chunks = counted(self.kept[method].count, "distinct chunk")
        return {
            "scenario": f"chunks_{method}",
            "bytes": stored.bytes,
            "ci_low": stored.low,
            "ci_high": stored.high,
            "is_estimated": is_estimated,
            "estimated_from": (
                f"{chunks}, {self.share} of all by their fingerprints" if is_estimated else ""
            ),
            "is_compressed": False,
        }
