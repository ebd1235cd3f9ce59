"""Which layers and which names carry each content: every file at the home of its content.

A content that millions of files carry (the empty one) must not fill the memory, so a bucket is read
in pieces, and only distinct pairs are kept of it.
"""

from __future__ import annotations

import numpy as np

from ..mpi.shuffle import Shuffle, collective_rounds
from .common_names import CODES, CommonNames
from .distribution import Tally
from .file_rows import NAME_KINDS, FilePass, buckets_for
from .growth import Growth
from .inputs import Inputs
from .path_join import OF_CONTENT, content_bounds
from .sorting import distinct

CARRIED = np.dtype([("content", "<u4"), ("layer", "<u4"), ("codes", "<u2", (NAME_KINDS,))])
"""A file on its way to the home of its content, whose number is counted from the bucket's first."""

_CODE_BITS = np.uint64(16)
_LAYER_BITS = np.uint64(32)


class Carriers:
    """Counts by layer and by name, with the join of files and contents.

    :ivar layers: column of `/metrics/layers` -> its values on this rank.
    :ivar names: files, bytes, contents, content_bytes -> an array by code of names.
    :ivar same: rows: contents with one path, and with more; columns: contents, and files that carry
    them.
    """

    def __init__(self, inputs: Inputs) -> None:
        files = int(inputs.layer("files").sum())
        buckets = max(buckets_for(inputs, files), -(-inputs.contents >> 32))
        self.inputs, self.bounds = inputs, content_bounds(inputs.contents, buckets)
        self.to_contents = Shuffle(inputs.comm, inputs.scratch, "carriers", CARRIED, buckets)
        self.paths_of = Shuffle(inputs.comm, inputs.scratch, "paths-of", OF_CONTENT, buckets)
        self.growth = Growth(inputs)
        columns = (
            "contents",
            "content_bytes",
            "shared_files",
            "shared_bytes",
            "exclusive_contents",
            "exclusive_bytes",
        )
        self.layers = {name: np.zeros(len(inputs.read), np.int64) for name in columns}
        amounts = ("files", "bytes", "contents", "content_bytes")
        self.names = {name: np.zeros(NAME_KINDS * CODES, np.int64) for name in amounts}
        self.paths = Tally()
        self.same = np.zeros((2, 2), np.int64)
        self._piece = max(inputs.memory // 256, 1 << 12)

    def send(self, files: FilePass, common: CommonNames) -> None:
        """Send the files of all blocks to their contents' homes; all ranks call it."""
        blocks = files.blocks()
        for turn in collective_rounds(self.inputs.comm, files.turns):
            rows, buckets = np.empty(0, CARRIED), np.empty(0, np.int64)
            if turn is not None:
                block = next(blocks)
                buckets = np.searchsorted(self.bounds, block.content, "right") - 1
                rows = np.empty(len(block.content), CARRIED)
                rows["content"], rows["layer"] = block.content - self.bounds[buckets], block.layer
                rows["codes"] = common.codes(block)
            self.to_contents.exchange(rows, buckets)

    def count(self) -> None:
        """Take this rank's buckets of contents."""
        for bucket in self.to_contents.my_buckets:
            first, end = int(self.bounds[bucket]), int(self.bounds[bucket + 1])
            sizes = np.asarray(self.inputs.sizes[first:end])
            self._count_paths(bucket, first, end)
            self._count_files(bucket, first, end, sizes)

    def _count_paths(self, bucket: int, first: int, end: int) -> None:
        rows = self.paths_of.take(bucket)
        paths = np.zeros(end - first, np.int64)
        np.add.at(paths, rows["content"] - first, rows["paths"])
        copies = self.inputs.content.column("copies", first, end)
        self.paths.add(paths[paths > 0])
        for more in (0, 1):
            chosen = (paths > 1) if more else (paths == 1)
            self.same[more] += int(chosen.sum()), int(copies[chosen].sum())

    def _count_files(self, bucket: int, first: int, end: int, sizes: np.ndarray) -> None:
        contents = self.inputs.content
        shared = contents.column("images", first, end) > 1
        alone = contents.column("layers", first, end) == 1
        in_layers, in_names = np.empty(0, np.uint64), np.empty(0, np.uint64)
        for rows in self.to_contents.read_pieces(bucket, self._piece):
            content, layer = rows["content"], rows["layer"]
            self._add_files(rows, sizes[content], shared[content])
            wide = content.astype(np.uint64)
            in_layers = distinct(np.append(in_layers, wide << _LAYER_BITS | layer))
            codes = (wide[:, None] << _CODE_BITS | rows["codes"]).reshape(-1)
            in_names = distinct(np.append(in_names, distinct(codes)))
        content, layer = _split(in_layers, _LAYER_BITS)
        self._add("layers", "contents", "content_bytes", layer, sizes[content])
        chosen = alone[content]
        self._add(
            "layers", "exclusive_contents", "exclusive_bytes", layer[chosen], sizes[content[chosen]]
        )
        starts = np.flatnonzero(np.diff(content, prepend=-1))
        self.growth.add(layer, starts, sizes[content[starts]])
        content, code = _split(in_names, _CODE_BITS)
        self._add("names", "contents", "content_bytes", code, sizes[content])

    def _add_files(self, rows: np.ndarray, sizes: np.ndarray, shared: np.ndarray) -> None:
        for kind in range(NAME_KINDS):
            self._add("names", "files", "bytes", rows["codes"][:, kind], sizes)
        self._add("layers", "shared_files", "shared_bytes", rows["layer"][shared], sizes[shared])

    def _add(self, where: str, count: str, size: str, place: np.ndarray, sizes: np.ndarray) -> None:
        """Count things at their places, and add up their sizes there."""
        sums: dict[str, np.ndarray] = getattr(self, where)
        sums[count] += np.bincount(place, minlength=len(sums[count]))
        np.add.at(sums[size], place, sizes)


def _split(keys: np.ndarray, bits: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    low = (np.uint64(1) << bits) - np.uint64(1)
    return (keys >> bits).astype(np.int64), (keys & low).astype(np.int64)
