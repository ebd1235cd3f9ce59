"""The path join: files with the same path meet, to count its contents, and the paths of a content.

Files travel to the rank that owns their path's hash; there equal hashes are neighbours, and the
distinct pairs (path, content) are counted both ways:

    blocks of /entries           buckets of path hashes          buckets of /contents

    rank 0  etc/motd content 3 ─┐
    rank 1  etc/motd content 8 ─┴→ etc/motd: 2 contents ─┬→ content 3: 1 path
            etc/motd content 3 ──→           3 files     └→ content 8: 1 path

A content's paths lie in many buckets, so their numbers travel on to the content's bucket, where the
content join adds them up.
"""

from __future__ import annotations

import numpy as np

from ..arrays import counted, distinct_pairs, grouped
from ..mpi.shuffle import Shuffle, collective_rounds
from .distribution import ValueCounts
from .inputs import MetricsInputs

MOST = 100
"""Paths with the most contents that are listed."""

PATHS_OF_CONTENT = np.dtype([("content", "<i8"), ("paths", "<i8")])
"""The number of paths in one bucket that a content has, on its way to the content's bucket."""

TOP_PATH = np.dtype([("contents", "<i8"), ("files", "<i8"), ("row", "<i8")])
"""A path that may be listed; `row` is its first file's in /entries."""

_NO_PATHS_OF_CONTENT = np.empty(0, PATHS_OF_CONTENT)
_NO_TOP_PATHS = np.empty(0, TOP_PATH)


class PathPass:
    """Counts the contents of every path, and sends on the number of paths of every content.

    :param files: the files, in buckets of their paths' hashes.
    :param to_contents: takes rows of `PATHS_OF_CONTENT` to the buckets of contents.
    :param bounds: (buckets + 1,) int64, the first content of each bucket of contents, and the end.
    :ivar contents: distribution of the contents at a path; `files` of the files at a path.
    :ivar same_path: (2, 2) int64; rows: paths with one content, and with several; columns: paths,
        and files there.
    :ivar pairs: distinct pairs of path and content.
    :ivar top: (n,) `TOP_PATH`, at most `MOST`.
    """

    def __init__(
        self, inputs: MetricsInputs, files: Shuffle, to_contents: Shuffle, bounds: np.ndarray
    ) -> None:
        self.inputs = inputs
        self.contents = ValueCounts()
        self.files = ValueCounts()
        self.same_path = np.zeros((2, 2), np.int64)
        self.pairs = 0
        self.top = _NO_TOP_PATHS
        self._buckets = files
        self._to_contents = to_contents
        self._bounds = bounds

    def run(self) -> None:
        """Count this rank's buckets of paths. Collective."""
        my_buckets = self._buckets.my_buckets
        for turn in collective_rounds(self.inputs.comm, len(my_buckets)):
            sent = _NO_PATHS_OF_CONTENT
            if turn is not None:
                sent = self._count_bucket(self._buckets.take(my_buckets[turn]))
            target = np.searchsorted(self._bounds, sent["content"], "right") - 1
            self._to_contents.exchange(sent, target)

    def _count_bucket(self, rows: np.ndarray) -> np.ndarray:
        """Count one bucket; return the number of its paths that each content has.

        :param rows: (n,) `file_rows.PATH`; the result is (contents,) `PATHS_OF_CONTENT`.
        """
        if not len(rows):
            return _NO_PATHS_OF_CONTENT
        # Bring the files of each path together, and count their distinct contents.
        order, starts = grouped(rows["one"], rows["two"])
        files = np.diff(np.append(starts, len(rows)))
        path_of_file = np.repeat(np.arange(len(starts)), files)
        path, content = distinct_pairs(path_of_file, rows["content"][order], self.inputs.contents)
        contents = np.bincount(path, minlength=len(starts))
        # Count by path.
        self.pairs += len(path)
        self.contents.add(contents)
        self.files.add(files)
        for row, chosen in enumerate((contents == 1, contents > 1)):
            self.same_path[row] += int(chosen.sum()), int(files[chosen].sum())
        more = np.empty(len(contents), TOP_PATH)
        more["contents"] = contents
        more["files"] = files
        more["row"] = np.minimum.reduceat(rows["row"][order], starts)
        self.top = top_paths(np.concatenate([self.top, more]))
        # Count by content.
        contents, paths = counted(content)
        sent = np.empty(len(contents), PATHS_OF_CONTENT)
        sent["content"] = contents
        sent["paths"] = paths
        return sent


def top_paths(rows: np.ndarray) -> np.ndarray:
    """Return the `MOST` paths with the most contents; of equals more files, then the first row.

    :param rows: (n,) `TOP_PATH`.
    """
    # Drop most of a long list by selection before the rest is sorted.
    if len(rows) > 10 * MOST:
        smallest = np.partition(rows["contents"], -MOST)[-MOST]
        rows = rows[rows["contents"] >= smallest]
    return rows[np.lexsort((rows["row"], -rows["files"], -rows["contents"]))][:MOST]


def content_bounds(contents: int, buckets: int) -> np.ndarray:
    """Return the first content of each bucket of contents, and the end, as (buckets + 1,) int64.

    >>> content_bounds(10, 3).tolist()
    [0, 3, 6, 10]
    """
    return np.arange(buckets + 1) * contents // buckets
