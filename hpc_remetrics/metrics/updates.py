"""Measure what a client that has the older image of a pair pulls for the newer one.

    older image       A  B  C           a layer is pulled if the older image lacks it: D
    newer image       A  B  D           a content is pulled if D has it, and none of A, B, C does

Contents of a layer are a sorted array of rows of /contents. Neighbouring pairs have most layers in
common, so the arrays of the last layers are kept. What a content takes compressed comes from the
sample of compressed contents: for each pair if enough of them are in the sample, and for all pairs
together, where a content counts once for each pair that pulls it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import counted, distinct, is_among
from ..dataset.schema import CHUNK_ROWS
from ..mpi.shuffle import Shuffle
from ..profile.compression_sample import MOST_BYTES
from ..records import KINDS, STATUSES
from ..row_ranges import block_ranges, rank_range
from .compression import CODECS, MIN_SAMPLED, CompressionTally, Estimate, estimate, strata
from .file_rows import buckets_for
from .image_pairs import ImagePairs
from .inputs import MetricsInputs, combined
from .layer_cache import LayerCache

SAMPLED = np.dtype([("content", "<i8"), *((codec, "<i8") for codec in CODECS)])
"""A content of the compression sample: its row, and its bytes by codec."""

COUNTS = (
    *("layers", "layer_bytes", "image_layers", "image_bytes", "image_FLS"),
    *("unread_layers", "contents", "content_bytes", "sampled_contents"),
)
"""Columns of whole numbers."""

ESTIMATES = tuple(f"{codec}{end}" for codec in CODECS for end in ("", "_ci_low", "_ci_high"))
"""Columns of estimated bytes."""

_PAIR_COST = 100
"""Cost of a pair beside the entries of its layers, in entries."""

_OLD_COST = 8
"""An entry of the older image costs this part of one of a layer that is pulled."""

_BYTES_A_ROW = 64
"""Memory that a content takes on its way to its owner."""


@dataclass(frozen=True)
class PairLayers:
    """Distinct layers of the older and the newer image of a pair: (n,) int64 each, ascending."""

    old: np.ndarray
    new: np.ndarray

    @property
    def added(self) -> np.ndarray:
        """Layers of the newer image that the older one lacks."""
        return self.new[~is_among(self.new, self.old)]

    @property
    def all(self) -> np.ndarray:
        """Layers of both."""
        return distinct(np.append(self.old, self.new))


@dataclass(frozen=True)
class UpdateResults:
    """What the images of pairs take, the same on every rank.

    :ivar counts: name of `COUNTS` -> (pairs,) int64.
    :ivar estimates: name of `ESTIMATES` -> (pairs,) f8, NaN where too few contents are in the
        sample.
    :ivar compression: sums of a `CompressionTally`, in which a content counts once for each pair.
    """

    pairs: ImagePairs
    counts: dict[str, np.ndarray]
    estimates: dict[str, np.ndarray]
    compression: np.ndarray


class UpdatePass:
    """Compares this rank's share of the pairs; making it is collective."""

    def __init__(self, inputs: MetricsInputs, pairs: ImagePairs) -> None:
        images = inputs.dataset.images
        self.inputs = inputs
        self.pairs = pairs
        self._first_layer = images["first_layer"]
        self._layers = images["layers"]
        self._is_whole = inputs.dataset.layers["status"] == STATUSES["ok"]
        self._contents = LayerCache(self._contents_of, inputs.memory // 2)
        self._needed: dict[int, PairLayers] = {}
        self._sample = _mapped_sample(inputs)
        self._counts = {name: np.zeros(len(pairs), np.int64) for name in COUNTS}
        self._estimates = {name: np.zeros(len(pairs)) for name in ESTIMATES}
        self._share = self._my_pairs()

    def run(self) -> UpdateResults:
        """Compare the pairs, and count in how many of them each content is pulled. Collective."""
        inputs = self.inputs
        # Each content travels to its owner once for each pair that pulls it.
        buckets = buckets_for(inputs, int(inputs.layer("files").sum()))
        contents = max(inputs.contents, 1)
        sent = Shuffle(inputs.comm, inputs.scratch, "pulled", np.dtype("<i8"), buckets)
        sent.exchange_all(
            batches(self._pulled(), inputs.memory), lambda rows: rows * buckets // contents
        )
        tally = CompressionTally()
        for _, rows in sent.buckets():
            content, times = counted(rows)
            packed = self._packed(content)
            # What is not in the sample stays below 0.
            every = {codec: one * times for codec, one in packed.items()}
            tally.add(np.asarray(inputs.sizes[content]), every, times)
        comm = inputs.comm
        return UpdateResults(
            self.pairs,
            {name: combined(comm, values) for name, values in self._counts.items()},
            {name: combined(comm, values) for name, values in self._estimates.items()},
            combined(comm, tally.sums),
        )

    def layers(self, pair: int) -> PairLayers:
        """Return the layers of the images of a pair."""
        return PairLayers(
            self._layers_of(int(self.pairs.old[pair])), self._layers_of(int(self.pairs.new[pair]))
        )

    def stack(self, image: int) -> np.ndarray:
        """Return the layers of an image as its manifest lists them, base first: (n,) int64."""
        first = int(self._first_layer[image])
        return self.inputs.image_layers[first : first + int(self._layers[image])]

    def _layers_of(self, image: int) -> np.ndarray:
        return distinct(self.stack(image))

    def new_contents(self, layers: PairLayers) -> np.ndarray:
        """Return the contents that the newer image has and the older one lacks, ascending."""
        return pulled(layers, self._contents)

    def needed(self, pair: int) -> PairLayers:
        """Return the layers that together hold all contents of a pair, but for empty ones.

        Those of the newer image are such that the older one lacks. A layer is left out if other
        layers have all that it holds, as after `chown`; all are if no content is new.
        """
        if pair not in self._needed:
            layers = self.layers(pair)
            contents = self.new_contents(layers)
            none = np.empty(0, np.int64)
            if (np.asarray(self.inputs.sizes[contents]) > 0).any():
                old = self._holders(layers.old, none)
                self._needed[pair] = PairLayers(old, self._holders(layers.added, old))
            else:
                self._needed[pair] = PairLayers(none, none)
        return self._needed[pair]

    def _holders(self, layers: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the layers that are the largest with some content that other layers lack.

        :param layers: (n,) rows of /layers; `others` likewise.
        :returns: (m,) int64, ascending.
        """
        # Number the layers by size, those of `others` first.
        order = sorted(layers.tolist(), key=lambda layer: -len(self._contents[layer]))
        every = [*others.tolist(), *order]
        held = [self._contents[layer] for layer in every]
        contents = np.concatenate([np.empty(0, np.int64), *held])
        number = np.repeat(np.arange(len(every)), [len(one) for one in held])
        has_bytes = np.asarray(self.inputs.sizes[contents]) > 0
        contents = contents[has_bytes]
        # Of the layers with one content the first holds it.
        by_content = np.argsort(contents, kind="stable")
        ordered = contents[by_content]
        is_first = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        chosen = distinct(number[has_bytes][by_content][is_first])
        return distinct(np.array(every, np.int64)[chosen[chosen >= len(others)]])

    def _pulled(self) -> Iterator[np.ndarray]:
        """Compare this rank's pairs; yield the contents that each pulls."""
        for pair in self.share():
            layers = self.layers(pair)
            contents = self.new_contents(layers)
            self._note(pair, layers, contents)
            yield contents

    def share(self) -> list[int]:
        """Return this rank's pairs: neighbours, of about the same cost as those of other ranks."""
        return self._share

    def _my_pairs(self) -> list[int]:
        """Divide the pairs among the ranks, and return those of this one. Collective."""
        comm = self.inputs.comm
        # Each rank works out the costs of as many pairs.
        some = rank_range(comm.rank, comm.size, len(self.pairs))
        mine = np.fromiter(map(self._cost, some), np.int64, len(some))
        costs = np.concatenate(comm.allgather(mine))
        rank_of = (np.cumsum(costs) - 1) * comm.size // max(int(costs.sum()), 1)
        return np.flatnonzero(rank_of == comm.rank).tolist()

    def _cost(self, pair: int) -> int:
        """Return the cost of a pair, in entries."""
        entries = self.inputs.layer("entries")
        layers = self.layers(pair)
        kept = int(entries[layers.old].sum()) // _OLD_COST
        return _PAIR_COST + int(entries[layers.added].sum()) + kept

    def _note(self, pair: int, layers: PairLayers, contents: np.ndarray) -> None:
        """Note what a pair pulls."""
        # Count layers and contents.
        cls = self.inputs.layer("CLS")
        sizes = np.asarray(self.inputs.sizes[contents])
        packed = self._packed(contents)
        sampled = int((packed["zstd"] >= 0).sum())
        values = {
            "layers": len(layers.added),
            "layer_bytes": int(cls[layers.added].sum()),
            "image_layers": len(layers.new),
            "image_bytes": int(cls[layers.new].sum()),
            "image_FLS": int(self.inputs.layer("FLS")[layers.new].sum()),
            "unread_layers": int((~self._is_whole[layers.all]).sum()),
            "contents": len(contents),
            "content_bytes": int(sizes.sum()),
            "sampled_contents": sampled,
        }
        for name, value in values.items():
            self._counts[name][pair] = value

        # Estimate the compressed bytes, with their interval.
        for codec, found in estimates_of(sizes, packed, sampled).items():
            self._estimates[codec][pair] = found.bytes
            self._estimates[f"{codec}_ci_low"][pair] = found.low
            self._estimates[f"{codec}_ci_high"][pair] = found.high

    def _packed(self, contents: np.ndarray) -> dict[str, np.ndarray]:
        """Return what contents take by codec, (n,) int64 each, -1 of those not in the sample."""
        sample = self._sample
        packed = {codec: np.full(len(contents), -1) for codec in CODECS}
        if len(sample) and len(contents):
            place = np.minimum(np.searchsorted(sample["content"], contents), len(sample) - 1)
            found = sample[place]
            is_sampled = found["content"] == contents
            for codec in CODECS:
                packed[codec][is_sampled] = found[codec][is_sampled]
        return packed

    def _contents_of(self, layer: int) -> np.ndarray:
        """Read the distinct contents of a layer, (n,) int64, ascending."""
        first = int(self.inputs.layer("first_entry")[layer])
        stop = first + int(self.inputs.layer("entries")[layer])
        kind = self.inputs.entry.column("kind", first, stop)
        content = self.inputs.entry.column("content", first, stop)
        return distinct(content[(kind == KINDS["file"]) & (content >= 0)].astype(np.int64))


def batches(arrays: Iterable[np.ndarray], memory: int) -> Iterator[np.ndarray]:
    """Join arrays to fewer ones, each sent to other ranks at once.

    :param memory: bytes that a rank may take for rows on their way.
    """
    held: list[np.ndarray] = []
    rows = 0
    for array in arrays:
        held.append(array)
        rows += len(array)
        if rows * _BYTES_A_ROW >= memory:
            yield np.concatenate(held)
            held = []
            rows = 0
    if held:
        yield np.concatenate(held)


def pulled(layers: PairLayers, held: LayerCache[np.ndarray]) -> np.ndarray:
    """Return what the newer image of a pair has and the older one lacks, (n,), ascending.

    :param held: layer -> numbers of what it has, ascending and distinct.
    """
    pieces = [held[layer] for layer in layers.added.tolist()]
    if not pieces:
        return np.empty(0, np.int64)
    values = distinct(np.concatenate(pieces))
    for layer in layers.old.tolist():
        if len(values):
            values = values[~_is_in(values, held[layer])]
    return values


def _is_in(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which values are among others, (n,) bool; both are ascending and distinct.

    The fewer are looked up in the more.

    >>> _is_in(np.array([1, 3]), np.array([2, 3, 4])).tolist()
    [False, True]
    """
    found = np.zeros(len(values), bool)
    if not len(values) or not len(others):
        return found
    if len(values) <= len(others):
        place = np.minimum(np.searchsorted(others, values), len(others) - 1)
        return np.asarray(others[place] == values)
    place = np.minimum(np.searchsorted(values, others), len(values) - 1)
    found[place[values[place] == others]] = True
    return found


def estimates_of(
    sizes: np.ndarray, packed: dict[str, np.ndarray], sampled: int
) -> dict[str, Estimate]:
    """Return what contents take compressed, by codec: NaN where too few are in the sample.

    :param sizes: (n,) int64; `packed` codec -> (n,) int64, -1 where not in the sample.
    :param sampled: how many are in the sample.
    """
    if sampled == len(sizes):
        sums = {codec: float(values.sum()) for codec, values in packed.items()}
        return {codec: Estimate(size, size, size) for codec, size in sums.items()}
    unknown = Estimate(math.nan, math.nan, math.nan)
    if sampled < MIN_SAMPLED:
        return dict.fromkeys(packed, unknown)
    tally = CompressionTally()
    tally.add(sizes, packed)
    return {codec: estimate(strata(tally.sums, codec)) or unknown for codec in packed}


def _mapped_sample(inputs: MetricsInputs) -> np.ndarray:
    """Return the sample of compressed contents, (n,) `SAMPLED`, ascending. Collective."""

    def rows() -> Iterator[np.ndarray]:
        for start, stop in block_ranges(inputs.contents, CHUNK_ROWS):
            packed = [inputs.content.column(codec, start, stop) for codec in CODECS]
            size = inputs.content.column("size", start, stop)
            chosen = np.flatnonzero(np.all([*(p >= 0 for p in packed), size <= MOST_BYTES], axis=0))
            sample = np.empty(len(chosen), SAMPLED)
            sample["content"] = start + chosen
            for codec, values in zip(CODECS, packed, strict=True):
                sample[codec] = values[chosen]
            yield sample

    return inputs.mapped("compression-sample", SAMPLED, rows())
