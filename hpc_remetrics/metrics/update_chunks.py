"""Add up what updates pull by chunk, from the chunks that a second pass over the layers cut.

A layer is the set of its chunks, as it is a set of contents for updates by file. A chunk is one
number, part of its fingerprint with its size:

    63                                     16 15        0
    | 48 bits of the fingerprint's second half | size - 1 |

A sample of chunks is drawn by their fingerprints, so a chunk is in the sample wherever it occurs,
and whether the older image has it is known exactly. A sample of files could not tell that: a chunk
that two files have would be new in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..arrays import counted, distinct
from ..mpi.shuffle import Shuffle
from ..parts.extra_places import ExtraPlaces
from ..records import CHUNK_METHODS
from .compression import MIN_SAMPLED, Estimate
from .estimates import NORMAL
from .file_rows import buckets_for
from .inputs import combined
from .layer_cache import LayerCache
from .updates import PairLayers, UpdatePass, UpdateResults, batches, pulled

_SIZE_BITS = 16
_SIZE_MASK = np.uint64((1 << _SIZE_BITS) - 1)

UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class SampledUpdates:
    """What pairs pull, estimated from a sample, the same on every rank.

    :ivar columns: columns of `updates` -> (pairs,).
    :ivar total: of all pairs; None where a pair could not be compared, or the sample is too small.
    :ivar is_estimated: whether the total is no exact number.
    """

    columns: dict[str, np.ndarray]
    total: Estimate | None
    is_estimated: bool


class ReadLayers:
    """Which layers a second pass has read, and whether that suffices for a pair."""

    def __init__(self, updates: UpdatePass, places: ExtraPlaces) -> None:
        layers = updates.inputs.dataset.layers
        self.digests: list[bytes] = layers["digest"].tolist()
        is_there = np.array([digest in places.places for digest in self.digests], bool)
        self._is_lost = ~is_there

    def has_all(self, layers: PairLayers) -> bool:
        """Return whether all layers are there that a pair needs."""
        return not self._is_lost[layers.all].any()


class ChunkPass:
    """Compares the chunks of this rank's pairs.

    :param places: where the chunks of each layer are.
    :param share: share of the chunks that was kept.
    """

    def __init__(
        self, updates: UpdatePass, results: UpdateResults, places: ExtraPlaces, share: Fraction
    ) -> None:
        self._updates = updates
        self._content_bytes = results.counts["content_bytes"]
        self._places = places
        self._share = float(share)
        self._read = ReadLayers(updates, places)
        self._keys = LayerCache(self._keys_of, updates.inputs.memory // 2)
        pairs = len(updates.pairs)
        self._sampled = np.zeros(pairs, np.int64)
        self._bytes = np.zeros((3, pairs))
        self._lost = 0

    def run(self) -> SampledUpdates:
        """Compare all pairs. Collective."""
        inputs = self._updates.inputs
        comm = inputs.comm
        # Each chunk travels to its owner once for each pair that pulls it.
        buckets = buckets_for(inputs, int(inputs.layer("FLS").sum() * self._share) >> 13)
        sent = Shuffle(comm, inputs.scratch, "pulled-chunks", np.dtype("<u8"), buckets)
        wide = np.uint64(buckets)
        sent.exchange_all(
            batches(self._pulled(), inputs.memory),
            lambda rows: (rows >> np.uint64(16)) * wide >> np.uint64(48),
        )
        number = total = squares = 0
        for _, rows in sent.buckets():
            keys, times = counted(rows)
            sizes = (_sizes(keys) * times).tolist()
            number += len(sizes)
            total += sum(sizes)
            squares += sum(size * size for size in sizes)
        number, total, squares = (
            sum(values) for values in zip(*comm.allgather((number, total, squares)), strict=True)
        )
        lost = sum(comm.allgather(self._lost))
        found = self._estimate(number, total, squares, int(self._content_bytes.sum()))
        names = ("chunks", "chunks_ci_low", "chunks_ci_high")
        values = combined(comm, self._bytes)
        columns = {"sampled_chunks": combined(comm, self._sampled)}
        columns |= dict(zip(names, values, strict=True))
        is_unknown = lost or math.isnan(found.bytes)
        return SampledUpdates(columns, None if is_unknown else found, self._share < 1)

    def _pulled(self) -> Iterator[np.ndarray]:
        """Compare this rank's pairs; yield the chunks that each pulls."""
        for pair in self._updates.share():
            layers = self._updates.needed(pair)

            # A pair with a layer that was not read has no estimate.
            if not self._read.has_all(layers):
                self._lost += 1
                self._bytes[:, pair] = math.nan
                continue

            # Estimate from the sampled chunks that the older image lacks.
            keys = pulled(layers, self._keys).astype(np.uint64)
            sizes = _sizes(keys)
            total = int(sizes.sum())
            squares = int((sizes * sizes).sum())
            content_bytes = int(self._content_bytes[pair])
            found = self._estimate(len(keys), total, squares, content_bytes)
            self._sampled[pair] = len(keys)
            self._bytes[:, pair] = found.bytes, found.low, found.high
            yield keys

    def _estimate(self, number: int, total: int, squares: int, most: int) -> Estimate:
        """Estimate the bytes of all chunks from those of the sample.

        Each chunk is in the sample with the same probability, by itself.

        :param number: chunks of the sample; `total` their bytes, `squares` the squares of these.
        :param most: bytes of the contents that the chunks are of.
        """
        share = self._share
        if share == 1 or not most:
            return Estimate(total, total, total)
        if number < MIN_SAMPLED:
            return UNKNOWN
        value = total / share
        half = NORMAL * math.sqrt((1 - share) * squares) / share
        return Estimate(min(value, most), max(value - half, total), min(value + half, most))

    def _keys_of(self, layer: int) -> np.ndarray:
        """Return the chunks of a layer that were cut by content: (n,) uint64, ascending."""
        records = self._places.read(self._read.digests[layer])
        records = records[records["method"] == CHUNK_METHODS["cdc"]]
        half = np.frombuffer(records["fingerprint"].tobytes(), "<u8")[1::2]
        sizes = records["size"].astype(np.uint64) - np.uint64(1)
        return distinct((half & ~_SIZE_MASK) | (sizes & _SIZE_MASK))


def _sizes(keys: np.ndarray) -> np.ndarray:
    """Return the bytes of chunks, (n,) int64."""
    return (keys & _SIZE_MASK).astype(np.int64) + 1
