"""Same path, different content; same content, different path: each path at the home of its hash."""

from __future__ import annotations

import numpy as np

from ..mpi.shuffle import Shuffle, collective_rounds
from .distribution import Tally
from .inputs import Inputs
from .sorting import counted, distinct_pairs, grouped

MOST = 100
"""Paths with the most contents that are listed."""

OF_CONTENT = np.dtype([("content", "<i8"), ("paths", "<i8")])
"""Distinct paths of a content, as one bucket of paths knows them, on their way to the content's
home."""

_TOP = np.dtype([("contents", "<i8"), ("files", "<i8"), ("row", "<i8")])


class PathPass:
    """Counts the distinct contents of every path, and sends the paths of every content on their
    way.

    :param paths: the files, in buckets of their paths' hashes.
    :param to_contents: the journey to the contents' homes.
    :param bounds: the first content of each bucket of contents, and the end.
    """

    def __init__(
        self, inputs: Inputs, paths: Shuffle, to_contents: Shuffle, bounds: np.ndarray
    ) -> None:
        self.inputs, self.paths, self.to_contents, self.bounds = inputs, paths, to_contents, bounds
        self.contents, self.files = Tally(), Tally()
        self.counts = np.zeros((2, 2), np.int64)
        """Rows: paths with one content, and with more; columns: paths, and files there."""
        self.pairs = 0
        self.top = np.empty(0, _TOP)

    def run(self) -> None:
        """Take all buckets; all ranks call it."""
        for turn in collective_rounds(self.inputs.comm, len(self.paths.my_buckets)):
            sent = np.empty(0, OF_CONTENT)
            if turn is not None:
                sent = self._bucket(self.paths.take(self.paths.my_buckets[turn]))
            self.to_contents.exchange(
                sent, np.searchsorted(self.bounds, sent["content"], "right") - 1
            )

    def _bucket(self, rows: np.ndarray) -> np.ndarray:
        """Count one bucket; return the number of its paths that each content has."""
        if not len(rows):
            return np.empty(0, OF_CONTENT)
        order, starts = grouped(rows["one"], rows["two"])
        files = np.diff(np.append(starts, len(rows)))
        pairs = np.repeat(np.arange(len(starts)), files), rows["content"][order]
        path, content = distinct_pairs(*pairs, self.inputs.contents)
        contents = np.bincount(path, minlength=len(starts))
        self.pairs += len(path)
        self.contents.add(contents)
        self.files.add(files)
        for more in (0, 1):
            chosen = (contents > 1) == bool(more)
            self.counts[more] += int(chosen.sum()), int(files[chosen].sum())
        self._keep_top(contents, files, np.minimum.reduceat(rows["row"][order], starts))
        found, counts = counted(content)
        sent = np.empty(len(found), OF_CONTENT)
        sent["content"], sent["paths"] = found, counts
        return sent

    def _keep_top(self, contents: np.ndarray, files: np.ndarray, row: np.ndarray) -> None:
        more = np.empty(len(contents), _TOP)
        more["contents"], more["files"], more["row"] = contents, files, row
        self.top = top_paths(np.concatenate([self.top, more]))


def top_paths(rows: np.ndarray) -> np.ndarray:
    """Return the paths with the most contents, of equals those with more files, then the first in
    /entries."""
    if len(rows) > 10 * MOST:
        least = np.partition(rows["contents"], -MOST)[-MOST]
        rows = rows[rows["contents"] >= least]
    return rows[np.lexsort((rows["row"], -rows["files"], -rows["contents"]))][:MOST]


def content_bounds(contents: int, buckets: int) -> np.ndarray:
    """Return the first content of each bucket of contents, and the end of the last.

    >>> content_bounds(10, 3).tolist()
    [0, 3, 6, 10]
    """
    return np.arange(buckets + 1) * contents // buckets
