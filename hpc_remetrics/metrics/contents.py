"""The pass over /contents: sizes, copies, types, and where duplicates are."""

from __future__ import annotations

import numpy as np

from .chunk_dedup import CutTally
from .compression import CODECS, SampleTally
from .distribution import Tally
from .inputs import Inputs

MOST = 100
"""Contents in each of the two lists of the most repeated ones."""

TOP = np.dtype([("key", "<i8"), ("content", "<i8")])


class ContentPass:
    """Counts this rank's share of the contents.

    :ivar types: contents, files, content_bytes, bytes -> an array by row of /types.
    :ivar levels: within_layers, across_layers -> (files, bytes) that could go.
    :ivar tallies: distribution -> its values.
    :ivar top: copies, bytes -> the contents with the most copies or redundant bytes.
    :ivar sample: what came of compressing some, and `cuts` of cutting them into chunks.
    """

    _COLUMNS = ("size", "type", "copies", "layers", "images", *CODECS, "cdc_chunks")

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        types = len(inputs.dataset.types)
        self.types = {
            name: np.zeros(types, np.int64)
            for name in ("contents", "files", "content_bytes", "bytes")
        }
        self.levels = np.zeros((2, 2), np.int64)
        """Rows: within layers, across layers; columns: files, bytes."""
        names = ("size", "size_once", "size_repeated", "copies", "layers", "images")
        self.tallies = {f"contents/{name}": Tally() for name in names} | {"files/size": Tally()}
        self.empty_files = 0
        self.sample, self.cuts = SampleTally(), CutTally()
        self.top = {"copies": np.empty(0, TOP), "redundant_bytes": np.empty(0, TOP)}

    def run(self) -> None:
        for start, stop in self.inputs.my_blocks(self.inputs.contents):
            columns = {
                name: self.inputs.content.column(name, start, stop) for name in self._COLUMNS
            }
            self._add(start, {name: values.astype(np.int64) for name, values in columns.items()})

    def _add(self, start: int, columns: dict[str, np.ndarray]) -> None:
        size, copies, layers = columns["size"], columns["copies"], columns["layers"]
        self._tally(columns)
        self.sample.add(size, {codec: columns[codec] for codec in CODECS})
        self.cuts.add(size, columns["cdc_chunks"])
        by_type = {
            "contents": np.ones_like(size),
            "files": copies,
            "content_bytes": size,
            "bytes": copies * size,
        }
        for name, values in by_type.items():
            np.add.at(self.types[name], columns["type"], values)
        for level, files in enumerate((copies - layers, layers - 1)):
            self.levels[level] += int(files.sum()), int((files * size).sum())
        self.empty_files += int(copies[size == 0].sum())
        rows = np.arange(start, start + len(size))
        for by, keys in (("copies", copies - 1), ("redundant_bytes", (copies - 1) * size)):
            more = _keyed(keys[keys > 0], rows[keys > 0])
            self.top[by] = top_contents(np.concatenate([self.top[by], more]))

    def _tally(self, columns: dict[str, np.ndarray]) -> None:
        size, copies = columns["size"], columns["copies"]
        for name in ("copies", "layers", "images"):
            self.tallies[f"contents/{name}"].add(columns[name])
        chosen = {"size": slice(None), "size_once": copies == 1, "size_repeated": copies > 1}
        for name, rows in chosen.items():
            self.tallies[f"contents/{name}"].add(size[rows])
        self.tallies["files/size"].add(size, copies)


def _keyed(keys: np.ndarray, row: np.ndarray) -> np.ndarray:
    rows = np.empty(len(keys), TOP)
    rows["key"], rows["content"] = keys, row
    return rows


def top_contents(rows: np.ndarray) -> np.ndarray:
    """Return the contents with the greatest keys, of equals the first in /contents."""
    if len(rows) > 10 * MOST:
        rows = rows[rows["key"] >= np.partition(rows["key"], -MOST)[-MOST]]
    return rows[np.lexsort((rows["content"], -rows["key"]))][:MOST]
