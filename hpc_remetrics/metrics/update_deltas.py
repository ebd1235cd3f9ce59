"""Measure updates as patches: contents compressed as the difference from the file at their path.

For a sample of the contents that a pair pulls, drawn by their SHA-256:

    newer image, layer D    usr/lib/libz.so   content 7  ─┐ sampled, since its SHA-256 is small
    older image, layer B    usr/lib/libz.so   content 3   │ ← its reference
                                                          └→ zstd with content 3 as its prefix

A content at a path that the older image lacks is compressed by itself. Which contents and
references there are is known from the dataset; their bytes come from a second pass over the layers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import distinct, is_among
from ..dataset.schema import CHUNK_ROWS
from ..mpi.shuffle import Shuffle
from ..parts.extra_places import ExtraPlaces
from ..parts.spill_format import PIECE_BYTES
from ..profile.kept_contents import MOST_BYTES
from ..profile.probe import bound_of
from ..records import KINDS
from ..tar.decoders import zstd_module
from .compression import CODECS, CompressionTally, estimate, strata
from .done_deltas import DoneDeltas, places_in
from .file_rows import buckets_for, read_paths
from .inputs import MetricsInputs, combined
from .layer_cache import LayerCache
from .update_chunks import ReadLayers, SampledUpdates
from .updates import PairLayers, UpdatePass, batches, estimates_of

CONTENTS = "contents"
"""Name of the list of the contents that the second pass keeps, beside the parts."""

LEVEL = 3
"""Level of zstd, the one that the program takes by default."""

_LEAST_WINDOW, _MOST_WINDOW = 10, 31
"""Logarithms of the smallest and the largest window."""

_LONG = 15
"""Logarithm of the window from which on the program looks for matches far away."""

_FAST = 18
"""Logarithm of the window from which on the strategy `fast` is taken: that of the level misses
matches with a long prefix in zstd 1.5.7, and makes patches up to five times as large as 1.5.4."""

_DELTA = np.dtype([("content", "<i8"), ("delta", "<i8")])
"""A content that a pair pulls, and its bytes as a patch, -1 where it is not in the sample."""

_PIECES = 4096
"""Records that are read at a time while contents are looked for."""

_NAMES = (KINDS["file"], KINDS["hardlink"])


def delta_size(reference: bytes, data: bytes) -> int:
    """Return the bytes of a patch as `zstd --patch-from` makes it, at most those of the data.

    >>> delta_size(b"", b"abcabc"), delta_size(bytes(range(256)), bytes(range(1, 256))) < 40
    (6, True)
    """
    if not data:
        return 0
    zstd: Any = zstd_module()
    names = zstd.CompressionParameter
    window = max(len(reference), len(data)).bit_length()
    options = {
        names.compression_level: LEVEL,
        names.checksum_flag: 1,
        names.window_log: min(max(window, _LEAST_WINDOW), _MOST_WINDOW),
        # As the program does: long contents are compressed by a thread in pieces.
        names.nb_workers: min(1, names.nb_workers.bounds()[1]),
    }
    if window >= _LONG:
        options[names.enable_long_distance_matching] = 1
    if window >= _FAST:
        options[names.strategy] = zstd.Strategy.fast
    prefix = zstd.ZstdDict(reference, is_raw=True).as_prefix if len(reference) >= 8 else None
    compressor = zstd.ZstdCompressor(options=options, zstd_dict=prefix)
    compressor.set_pledged_input_size(len(data))
    return min(len(compressor.compress(data, compressor.FLUSH_FRAME)), len(data))


@dataclass(frozen=True)
class LayerPaths:
    """Where files and hard links to files of a layer are.

    :ivar hashes: (n,) uint64, hashes of the cleaned paths, ascending and distinct.
    :ivar content: (n,) int64, what stands there at the end of the tar.
    """

    hashes: np.ndarray
    content: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes that both arrays take."""
        return self.hashes.nbytes + self.content.nbytes

    @classmethod
    def of(cls, inputs: MetricsInputs, layer: int) -> LayerPaths:
        """Read the paths of a layer."""
        first = int(inputs.layer("first_entry")[layer])
        stop = first + int(inputs.layer("entries")[layer])
        kind = inputs.entry.column("kind", first, stop)
        content = inputs.entry.column("content", first, stop).astype(np.int64)
        rows = np.flatnonzero(np.isin(kind, _NAMES) & (content >= 0))
        hashes = read_paths(inputs, first, stop, rows).hashes(1)[0]
        # Of several entries at a path the last one stays.
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        is_last = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
        return cls(hashes[is_last], content[rows][order][is_last])


@dataclass(frozen=True)
class Sample:
    """The sampled contents of a pair: (n,) int64, ascending, and their references, -1: none."""

    contents: np.ndarray
    references: np.ndarray


class DeltaPass:
    """Draws the sample, says whose bytes it needs, and compresses them once they are there.

    :param share: share of the contents that is drawn.
    :ivar samples: pair of this rank -> its sample.
    """

    def __init__(self, updates: UpdatePass, share: Fraction) -> None:
        inputs = updates.inputs
        self._updates = updates
        self._inputs = inputs
        self._end = _rows_below(inputs, bound_of(share))
        self._paths = LayerCache(lambda layer: LayerPaths.of(inputs, layer), inputs.memory // 2)
        self.samples = {pair: self._draw(pair) for pair in updates.share()}

    def _draw(self, pair: int) -> Sample:
        """Return the sample of a pair; contents that are too long to be kept are left out."""
        layers = self._updates.layers(pair)
        contents = self._updates.new_contents(layers)
        contents = contents[: np.searchsorted(contents, self._end)]
        sizes = self._inputs.sizes
        contents = contents[np.asarray(sizes[contents]) <= MOST_BYTES]
        references = self._references(pair, layers, contents)
        is_short = references < 0
        is_short[~is_short] = np.asarray(sizes[references[~is_short]]) <= MOST_BYTES
        return Sample(contents[is_short], references[is_short])

    def _references(self, pair: int, layers: PairLayers, contents: np.ndarray) -> np.ndarray:
        """Return for each content what the older image has at one of its paths, -1: nothing."""
        if not len(contents):
            return np.empty(0, np.int64)
        # Collect all paths of the contents.
        indexes = [self._paths[layer] for layer in layers.added.tolist()]
        chosen = [is_among(index.content, contents) for index in indexes]
        names = zip(indexes, chosen, strict=True)
        hashes = np.concatenate([index.hashes[one] for index, one in names])
        names = zip(indexes, chosen, strict=True)
        content = np.concatenate([index.content[one] for index, one in names])
        # Look them up in the older image, in its uppermost layer first.
        found = np.full(len(hashes), -1)
        stack = self._updates.stack(int(self._updates.pairs.old[pair]))
        for layer in dict.fromkeys(stack[::-1].tolist()):
            index = self._paths[layer]
            left = np.flatnonzero(found < 0)
            if not len(index.hashes) or not len(left):
                continue
            last = len(index.hashes) - 1
            place = np.minimum(np.searchsorted(index.hashes, hashes[left]), last)
            is_there = index.hashes[place] == hashes[left]
            found[left[is_there]] = index.content[place[is_there]]
        # Of several paths of a content take one that has something, then the smallest hash.
        order = np.lexsort((hashes, found < 0, content))
        first = order[np.searchsorted(content[order], contents)]
        return found[first]

    def wanted(self) -> np.ndarray:
        """Return the contents whose bytes this rank needs, (n,) int64, ascending."""
        parts = [
            one for sample in self.samples.values() for one in (sample.contents, sample.references)
        ]
        rows = distinct(np.concatenate([np.empty(0, np.int64), *parts]))
        return rows[rows >= 0]

    def run(self, places: ExtraPlaces, directory: Path, listed: str) -> SampledUpdates:
        """Compress the sample, but for what an earlier run compressed. Collective.

        :param places: where the pieces of the contents are.
        :param directory: where patches are kept as they are made, and the contents are listed in
            the file `CONTENTS`, whose SHA-256 is `listed`, in hex.
        """
        inputs = self._inputs
        comm = inputs.comm
        pairs = len(self._updates.pairs)
        wanted = self.wanted()
        self._kept = KeptContents(inputs, places, wanted)
        where = places_in(directory / CONTENTS, self._kept.digests)
        self._done = DoneDeltas(
            comm, directory, listed, dict(zip(wanted.tolist(), where, strict=True))
        )
        self._read = ReadLayers(self._updates, places)
        self._sampled = np.zeros(pairs, np.int64)
        self._bytes = np.zeros((3, pairs))
        # Each content travels to its owner once for each pair that pulls it.
        buckets = buckets_for(inputs, int(inputs.layer("files").sum()))
        contents = max(inputs.contents, 1)
        sent = Shuffle(comm, inputs.scratch, "deltas", _DELTA, buckets)
        with closing(self._done):
            sent.exchange_all(
                batches(self._pulled(), inputs.memory),
                lambda rows: rows["content"] * buckets // contents,
            )
        tally = CompressionTally()
        for _, rows in sent.buckets():
            rows = rows[np.argsort(rows["content"], kind="stable")]
            starts = np.flatnonzero(np.diff(rows["content"], prepend=-1))
            if len(starts):
                times = np.diff(np.append(starts, len(rows)))
                sums = np.add.reduceat(rows["delta"], starts)
                sums[np.minimum.reduceat(rows["delta"], starts) < 0] = -1
                sizes = np.asarray(inputs.sizes[rows["content"][starts]])
                tally.add(sizes, dict.fromkeys(CODECS, sums), times)
        return self._results(combined(comm, tally.sums))

    def _results(self, sums: np.ndarray) -> SampledUpdates:
        comm = self._inputs.comm
        values = combined(comm, self._bytes)
        columns = {"sampled_deltas": combined(comm, self._sampled)}
        columns |= dict(zip(("delta", "delta_ci_low", "delta_ci_high"), values, strict=True))
        # One number stands for both codecs of a tally.
        classes = strata(sums, "zstd")
        return SampledUpdates(
            columns, estimate(classes), any(one.unsampled_size for one in classes)
        )

    def _pulled(self) -> Iterator[np.ndarray]:
        """Compress the sample of each of this rank's pairs; yield what the pair pulls."""
        for pair, sample in self.samples.items():
            layers = self._updates.layers(pair)
            contents = self._updates.new_contents(layers)

            # Make a row of every new content; those of the sample get their delta.
            rows = np.empty(len(contents), _DELTA)
            rows["content"] = contents
            rows["delta"] = -1
            place = np.searchsorted(contents, sample.contents)
            rows["delta"][place] = [
                self._delta(content, reference)
                for content, reference in zip(
                    sample.contents.tolist(), sample.references.tolist(), strict=True
                )
            ]
            self._note(pair, rows)
            yield rows

    def _note(self, pair: int, rows: np.ndarray) -> None:
        """Note the estimate of a pair."""
        sampled = int((rows["delta"] >= 0).sum())
        sizes = np.asarray(self._inputs.sizes[rows["content"]])
        found = estimates_of(sizes, dict.fromkeys(CODECS, rows["delta"]), sampled)["zstd"]
        self._sampled[pair] = sampled
        self._bytes[:, pair] = found.bytes, found.low, found.high
        if not self._read.has_all(self._updates.needed(pair)):
            self._bytes[:, pair] = math.nan

    def _delta(self, content: int, reference: int) -> int:
        """Return the bytes of a content as a patch of its reference, -1 if one was not kept."""
        size = self._done.size(content, reference)
        if size is None:
            data = self._kept[content]
            before = self._kept[reference] if reference >= 0 else b""
            if data is None or before is None:
                return -1
            size = delta_size(before, data)
            self._done.add(content, reference, size)
        return size


def _rows_below(inputs: MetricsInputs, bound: bytes) -> int:
    """Return how many contents have a SHA-256 below a bound; they are the first rows."""
    low = 0
    high = inputs.contents
    while low < high:
        middle = (low + high) // 2
        if inputs.dataset.contents.column("digest", middle, middle + 1).tobytes() < bound:
            low = middle + 1
        else:
            high = middle
    return low


def digests_of(inputs: MetricsInputs, contents: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of some contents, (n, 32) uint8.

    :param contents: (n,) rows of /contents, ascending.
    """
    found = np.empty((len(contents), 32), np.uint8)
    blocks = contents // CHUNK_ROWS
    for block in distinct(blocks).tolist():
        mine = blocks == block
        start = block * CHUNK_ROWS
        digests = inputs.content.column("digest", start, start + CHUNK_ROWS)
        rows = np.frombuffer(digests.tobytes(), np.uint8).reshape(-1, 32)
        found[mine] = rows[contents[mine] - start]
    return found


class KeptContents:
    """The bytes of contents that the second pass kept; making it is collective.

    :param wanted: (n,) rows of /contents, ascending, that this rank will ask for.
    :ivar digests: (n, 32) uint8, their SHA-256.
    """

    def __init__(self, inputs: MetricsInputs, places: ExtraPlaces, wanted: np.ndarray) -> None:
        self._places = places
        self._sizes = inputs.sizes
        self.digests = digests_of(inputs, wanted)
        self._wanted = wanted
        # Read the beginnings of contents in this rank's share of the layers, and tell all ranks.
        comm = inputs.comm
        found = [
            row for place in list(places)[comm.rank :: comm.size] for row in self._begins(place)
        ]
        self._at: dict[bytes, tuple[int, int]] = {}
        mine = {digest.tobytes() for digest in self.digests}
        for rows in comm.allgather(found):
            for digest, part, offset in rows:
                if digest in mine:
                    self._at.setdefault(digest, (part, offset))

    def _begins(self, place: Any) -> Iterator[tuple[bytes, int, int]]:
        """Yield (digest, part, first byte there) of the contents that begin in a layer's pieces."""
        for start in range(0, place.records, _PIECES):
            offset = place.offset + start * 4096
            count = min(_PIECES, place.records - start)
            records = self._places.records(place.part, offset, count)
            for row in np.flatnonzero(records["place"] == 0).tolist():
                yield records["content"][row].tobytes(), place.part, offset + row * 4096

    def __getitem__(self, content: int) -> bytes | None:
        """Return the bytes of a content, None if it was not kept whole."""
        size = int(self._sizes[content])
        if not size:
            return b""
        digest = self.digests[np.searchsorted(self._wanted, content)].tobytes()
        if digest not in self._at:
            return None
        records = self._places.records(*self._at[digest], -(-size // PIECE_BYTES))
        data = b"".join(
            piece.tobytes()[:length]
            for piece, length in zip(records["data"], records["length"].tolist(), strict=True)
        )
        return data if hashlib.sha256(data).digest() == digest else None
