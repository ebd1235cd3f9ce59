"""What a registry would store that has every chunk once: counted, or estimated from a share of the
fingerprints.

Fingerprints are hashes, so those below a bound are a sample of all chunks in which each has the
same chance, whatever is in it, and sums over them divided by the share are estimates of the sums
over all.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..profile.chunking import CDC_BYTES, FIXED_BYTES
from ..records import CHUNK_METHODS
from ..wording import counted
from .compression import Estimate
from .estimates import NORMAL
from .inputs import Inputs, summed_by

_SIZES = {"fixed": FIXED_BYTES, "cdc": CDC_BYTES}
_METHODS = len(CHUNK_METHODS)
_DISTINCT = ("distinct", "bytes", "squares")
_NO_CUT, _NO_CHUNK, _NO_SHARE = (
    np.zeros(3, np.int64),
    np.zeros((len(_DISTINCT), _METHODS), np.int64),
    Fraction(0),
)


class CutTally:
    """Adds up the contents that were cut.

    :ivar sums: bytes of them, their chunks of fixed size, and those by content.
    """

    def __init__(self) -> None:
        self.sums = _NO_CUT.copy()

    def add(self, size: np.ndarray, cdc_chunks: np.ndarray) -> None:
        cut = size[cdc_chunks > 0]
        self.sums += int(cut.sum()), int((-(-cut // FIXED_BYTES)).sum()), int(cdc_chunks.sum())


def count_chunks(inputs: Inputs) -> np.ndarray:
    """Return how many distinct chunks this rank's share of /chunks has by method, their bytes, and
    squares of these."""
    sums = _NO_CHUNK.copy()
    for start, stop in inputs.my_blocks(len(inputs.dataset.chunks)):
        method, size = (
            inputs.chunk.column(name, start, stop).astype(np.int64) for name in ("method", "size")
        )
        for row, values in enumerate((np.ones_like(size), size, size * size)):
            sums[row] += summed_by(method, values, _METHODS)
    return sums


class Chunks:
    """What was found of chunks, by method; made of nothing, that nothing was cut.

    :param cut: sums of a `CutTally`, and `found` those of `count_chunks`, of all ranks.
    :param share: of the chunks that are in `found`.
    """

    def __init__(
        self, cut: np.ndarray = _NO_CUT, found: np.ndarray = _NO_CHUNK, share: Fraction = _NO_SHARE
    ) -> None:
        self.bytes, *chunks = map(int, cut)
        self.chunks = dict(zip(_SIZES, chunks, strict=True))
        self._found = {
            name: dict(zip(_DISTINCT, found[:, row].tolist(), strict=True))
            for name, row in CHUNK_METHODS.items()
        }
        self.share = share

    def _whole(self, method: str, name: str) -> int:
        return round(self._found[method][name] / self.share)

    def table(self) -> dict[str, list[Any]]:
        """Return the table `chunks`; without rows where nothing was cut."""
        methods = list(_SIZES) if self.bytes and self.share else []
        return {
            "method": methods,
            "target_size": [_SIZES[method] for method in methods],
            "chunks": [self.chunks[method] for method in methods],
            "distinct_chunks": [self._whole(method, "distinct") for method in methods],
            "bytes": [self.bytes for _ in methods],
            "distinct_bytes": [self._whole(method, "bytes") for method in methods],
        }

    def stored(self, method: str) -> Estimate:
        """Return the bytes of all distinct chunks, with the interval of a sum over independent
        draws."""
        found = self._found[method]
        half = NORMAL * math.sqrt((1 - self.share) * found["squares"]) / self.share
        size = self._whole(method, "bytes")
        return Estimate(
            size, max(size - half, found["bytes"]), min(size + half, max(self.bytes, size))
        )

    def what_if_rows(self, content_bytes: int) -> list[dict[str, Any]]:
        """Return rows of `what_if`, without ratios; none unless all contents were cut, of these
        bytes."""
        if not self.share or self.bytes != content_bytes:
            return []
        return [self._row(method) for method in _SIZES if self._found[method]["distinct"]]

    def _row(self, method: str) -> dict[str, Any]:
        found, estimated = self.stored(method), self.share < 1
        text = f"{counted(self._found[method]['distinct'], 'distinct chunk')}, {self.share} of all by their fingerprints"
        row = {
            "scenario": f"chunks_{method}",
            "bytes": found.bytes,
            "ci_low": found.low,
            "ci_high": found.high,
        }
        return row | {
            "is_estimated": estimated,
            "estimated_from": text if estimated else "",
            "is_compressed": False,
        }
