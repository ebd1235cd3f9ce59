"""The pass over /contents: sizes, copies, types, duplicates, and what was compressed or cut."""

from __future__ import annotations

import numpy as np

from .chunk_dedup import ChunkTotals, CutTally, count_chunks
from .compression import CODECS, CompressionTally
from .distribution import ValueCounts, summaries
from .inputs import MetricsInputs, combined
from .results import ContentResults

MOST = 100
"""Contents in each of the two lists of the most repeated ones."""

TOP = np.dtype([("key", "<i8"), ("content", "<i8")])
"""A content that may be in a list: the number by which it is ranked, and its row."""

_NO_TOP = np.empty(0, TOP)

_COLUMNS = ("size", "type", "copies", "layers", "images", *CODECS, "cdc_chunks")
_COUNTED = ("size", "size_once", "size_repeated", "copies", "layers", "images")


class ContentPass:
    """Counts this rank's share of the contents; `results` combines those of all ranks.

    :ivar by_type: contents, files, content_bytes, bytes -> (types,) int64.
    :ivar dedup_levels: (2, 2) int64, see `ContentResults`.
    :ivar top: copies, redundant_bytes -> (n,) `TOP`, at most `MOST`.
    """

    def __init__(self, inputs: MetricsInputs) -> None:
        types = len(inputs.dataset.types)
        names = ("contents", "files", "content_bytes", "bytes")
        self.inputs = inputs
        self.by_type = {name: np.zeros(types, np.int64) for name in names}
        self.dedup_levels = np.zeros((2, 2), np.int64)
        self.counts = {f"contents/{name}": ValueCounts() for name in _COUNTED}
        self.counts["files/size"] = ValueCounts()
        self.empty_files = 0
        self.compression = CompressionTally()
        self.cuts = CutTally()
        self.top = {"copies": _NO_TOP, "redundant_bytes": _NO_TOP}

    def run(self) -> None:
        """Read this rank's blocks of /contents."""
        for start, stop in self.inputs.my_blocks(self.inputs.contents):
            self._add_block(start, stop)

    def results(self) -> ContentResults:
        """Combine the results of all ranks; all of them get it. Collective."""
        comm = self.inputs.comm
        top = {}
        for by, rows in self.top.items():
            top[by] = top_contents(np.concatenate(comm.allgather(rows)))["content"]
        cut_sums = combined(comm, self.cuts.sums)
        chunk_sums = combined(comm, count_chunks(self.inputs))
        return ContentResults(
            distributions=summaries(comm, self.counts),
            by_type={name: combined(comm, values) for name, values in self.by_type.items()},
            dedup_levels=combined(comm, self.dedup_levels),
            empty_files=sum(comm.allgather(self.empty_files)),
            compression=combined(comm, self.compression.sums),
            chunks=ChunkTotals.of(cut_sums, chunk_sums, self.inputs.dataset.chunk_sample),
            top=top,
        )

    def _add_block(self, start: int, stop: int) -> None:
        columns = {
            name: self.inputs.content.column(name, start, stop).astype(np.int64)
            for name in _COLUMNS
        }
        size = columns["size"]
        copies = columns["copies"]
        layers = columns["layers"]
        self._count_values(columns)
        self.compression.add(size, {codec: columns[codec] for codec in CODECS})
        self.cuts.add(size, columns["cdc_chunks"])
        # Sum by type.
        by_type = {
            "contents": np.ones_like(size),
            "files": copies,
            "content_bytes": size,
            "bytes": copies * size,
        }
        for name, values in by_type.items():
            np.add.at(self.by_type[name], columns["type"], values)
        # Redundant copies: all but one in each layer, and all but one of the layers.
        for level, files in enumerate((copies - layers, layers - 1)):
            self.dedup_levels[level] += int(files.sum()), int((files * size).sum())
        self.empty_files += int(copies[size == 0].sum())
        # Keep the most repeated contents.
        rows = np.arange(start, start + len(size))
        keys_of = {"copies": copies - 1, "redundant_bytes": (copies - 1) * size}
        for by, keys in keys_of.items():
            is_repeated = keys > 0
            more = np.empty(int(is_repeated.sum()), TOP)
            more["key"] = keys[is_repeated]
            more["content"] = rows[is_repeated]
            self.top[by] = top_contents(np.concatenate([self.top[by], more]))

    def _count_values(self, columns: dict[str, np.ndarray]) -> None:
        """Add a block of contents to the distributions."""
        size = columns["size"]
        copies = columns["copies"]
        for name in ("copies", "layers", "images"):
            self.counts[f"contents/{name}"].add(columns[name])
        self.counts["contents/size"].add(size)
        self.counts["contents/size_once"].add(size[copies == 1])
        self.counts["contents/size_repeated"].add(size[copies > 1])
        self.counts["files/size"].add(size, copies)


def top_contents(rows: np.ndarray) -> np.ndarray:
    """Return the `MOST` contents with the largest keys; of equals the first in /contents.

    :param rows: (n,) `TOP`.
    """
    # Drop most of a long list by selection before the rest is sorted.
    if len(rows) > 10 * MOST:
        rows = rows[rows["key"] >= np.partition(rows["key"], -MOST)[-MOST]]
    return rows[np.lexsort((rows["content"], -rows["key"]))][:MOST]
