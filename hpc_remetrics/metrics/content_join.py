"""The content join: each file meets its content, to count per layer, per name and for the growth.

Contents are divided into ranges, the *buckets*; each bucket belongs to one rank. Files travel to
the rank of their content's bucket, as (content, layer, codes of their names):

    blocks of /entries              buckets of /contents

    rank 0   content 7, layer 0 ──┐    rank 0   contents 0 to 4   ← the files with them
             content 2, layer 0   │
    rank 1   content 7, layer 1 ──┴─→  rank 1   contents 5 to 9   7: layers 0, 1, 1
             content 7, layer 1                                    pairs (7, 0) (7, 1)

There the distinct pairs (content, layer) say how many contents and bytes each layer has, which of
them no other layer has, and with which layer of each random order a content comes first (`growth`).
The distinct pairs (content, code) give the same for each directory and extension.

A content that millions of files have (the empty one) must not fill the memory, so a bucket is read
in pieces, and only distinct pairs are kept of it.
"""

from __future__ import annotations

import numpy as np

from ..arrays import distinct, unpacked
from ..mpi.shuffle import Shuffle, collective_rounds
from .common_names import CODES, CommonNames
from .distribution import ValueCounts
from .file_rows import NAME_KINDS, FilePass, buckets_for
from .growth import Growth
from .inputs import MetricsInputs
from .path_join import PATHS_OF_CONTENT, content_bounds

FILE = np.dtype([("content", "<u4"), ("layer", "<u4"), ("codes", "<u2", (NAME_KINDS,))])
"""A file on its way to its content; `content` is counted from the first of the bucket."""

_NO_FILES = np.empty(0, FILE)

_CODE_BITS = np.uint64(16)
_LAYER_BITS = np.uint64(32)

_BYTES_A_ROW = 256
"""Memory that a row of a piece takes while it is worked on, with its copies."""

_LAYER_COLUMNS = (
    "contents",
    "content_bytes",
    "shared_files",
    "shared_bytes",
    "exclusive_contents",
    "exclusive_bytes",
    "first_contents",
    "first_bytes",
)
_NAME_COLUMNS = ("files", "bytes", "contents", "content_bytes")


class ContentJoin:
    """The join on this rank; numbers are of this rank's buckets.

    :ivar bounds: (buckets + 1,) int64, the first content of each bucket, and the end.
    :ivar paths_of: takes the number of paths of each content from the path join.
    :ivar layers: name -> (layers,) int64: columns of `/metrics/layers`, and `first_contents` and
        `first_bytes`, the contents that no layer before has.
    :ivar names: files, bytes, contents, content_bytes -> (kinds * CODES,) int64, by code of a name.
    :ivar paths: distribution of the number of paths of a content.
    :ivar same_path: (2, 2) int64; rows: contents at one path, and at several; columns: contents,
        and files that have them.
    """

    def __init__(self, inputs: MetricsInputs) -> None:
        files = int(inputs.layer("files").sum())
        # A content's number within its bucket has 32 bits.
        buckets = max(buckets_for(inputs, files), -(-inputs.contents >> 32))
        self.inputs = inputs
        self.bounds = content_bounds(inputs.contents, buckets)
        self.to_contents = Shuffle(inputs.comm, inputs.scratch, "content-join", FILE, buckets)
        self.paths_of = Shuffle(inputs.comm, inputs.scratch, "paths-of", PATHS_OF_CONTENT, buckets)
        self.growth = Growth(inputs)
        layers = len(inputs.was_read)
        self.layers = {name: np.zeros(layers, np.int64) for name in _LAYER_COLUMNS}
        self.names = {name: np.zeros(NAME_KINDS * CODES, np.int64) for name in _NAME_COLUMNS}
        self.paths = ValueCounts()
        self.same_path = np.zeros((2, 2), np.int64)
        self._piece_rows = max(inputs.memory // _BYTES_A_ROW, 1 << 12)

    def send(self, files: FilePass, common: CommonNames) -> None:
        """Send the files of all blocks to the ranks of their contents. Collective."""
        blocks = files.blocks()
        for turn in collective_rounds(self.inputs.comm, files.rounds):
            rows = _NO_FILES
            buckets = np.empty(0, np.int64)
            if turn is not None:
                block = next(blocks)
                buckets = np.searchsorted(self.bounds, block.content, "right") - 1
                rows = np.empty(len(block.content), FILE)
                rows["content"] = block.content - self.bounds[buckets]
                rows["layer"] = block.layer
                rows["codes"] = common.codes(block)
            self.to_contents.exchange(rows, buckets)

    def count(self) -> None:
        """Count this rank's buckets."""
        for bucket in self.to_contents.my_buckets:
            first = int(self.bounds[bucket])
            end = int(self.bounds[bucket + 1])
            self._count_paths(bucket, first, end)
            self._count_files(bucket, first, end)

    def _count_paths(self, bucket: int, first: int, end: int) -> None:
        """Count the contents of a bucket by their number of paths."""
        rows = self.paths_of.take(bucket)
        paths = np.zeros(end - first, np.int64)
        np.add.at(paths, rows["content"] - first, rows["paths"])
        copies = self.inputs.content.column("copies", first, end)
        self.paths.add(paths[paths > 0])
        for row, chosen in enumerate((paths == 1, paths > 1)):
            self.same_path[row] += int(chosen.sum()), int(copies[chosen].sum())

    def _count_files(self, bucket: int, first: int, end: int) -> None:
        """Count the files of a bucket by layer and by name, and its contents for the growth."""
        sizes = np.asarray(self.inputs.sizes[first:end])
        is_shared = self.inputs.content.column("images", first, end) > 1
        is_exclusive = self.inputs.content.column("layers", first, end) == 1
        in_layers = np.empty(0, np.uint64)
        in_names = np.empty(0, np.uint64)
        # Add up files piece by piece; keep the distinct pairs of their contents.
        for rows in self.to_contents.read_pieces(bucket, self._piece_rows):
            content = rows["content"]
            self._add_files(rows, sizes[content], is_shared[content])
            wide = content.astype(np.uint64)
            in_layers = distinct(np.append(in_layers, wide << _LAYER_BITS | rows["layer"]))
            codes = (wide[:, None] << _CODE_BITS | rows["codes"]).ravel()
            in_names = distinct(np.append(in_names, distinct(codes)))
        # Add up the contents of each layer.
        content, layer = unpacked(in_layers, _LAYER_BITS)
        layers = self.layers
        _add(layers, "contents", "content_bytes", layer, sizes[content])
        alone = is_exclusive[content]
        _add(layers, "exclusive_contents", "exclusive_bytes", layer[alone], sizes[content[alone]])
        # Pairs are in order of content: each content's layers are one run.
        starts = np.flatnonzero(np.diff(content, prepend=-1))
        _add(layers, "first_contents", "first_bytes", layer[starts], sizes[content[starts]])
        self.growth.add(layer, starts, sizes[content[starts]])
        # Add up the contents of each name.
        content, code = unpacked(in_names, _CODE_BITS)
        _add(self.names, "contents", "content_bytes", code, sizes[content])

    def _add_files(self, rows: np.ndarray, sizes: np.ndarray, is_shared: np.ndarray) -> None:
        """Add files to their names, and shared ones to their layers.

        :param rows: (n,) `FILE`.
        :param sizes: (n,) int64 of the files, and `is_shared` whether several images have them.
        """
        for kind in range(NAME_KINDS):
            _add(self.names, "files", "bytes", rows["codes"][:, kind], sizes)
        layer = rows["layer"][is_shared]
        _add(self.layers, "shared_files", "shared_bytes", layer, sizes[is_shared])


def _add(
    sums: dict[str, np.ndarray], count: str, size: str, place: np.ndarray, sizes: np.ndarray
) -> None:
    """Add 1 to column `count` and a size to column `size` at each place."""
    sums[count] += np.bincount(place, minlength=len(sums[count]))
    np.add.at(sums[size], place, sizes)
