"""The most frequent directories and extensions: found by all ranks, numbered, and spelled out."""

from __future__ import annotations

import numpy as np

from ..mpi.comm import Comm
from ..mpi.shuffle import Shuffle
from .file_rows import NAME_KINDS, NO_NAMES, FileBlock

MOST = 1000
"""Names of a kind that have a number; all others share the number `MOST`."""

CODES = MOST + 1
"""Numbers of a kind. A *code* is kind * CODES + number."""


class CommonNames:
    """The most frequent names of each kind, the same on every rank. Collective.

    :param names: names with their numbers of files, in buckets of their hashes.
    :ivar hashes: for each kind the hashes of its names, (n,) uint64, ascending.
    :ivar first: for each kind the row of /entries of the first file with each name, (n,) int64.
    """

    def __init__(self, comm: Comm, names: Shuffle) -> None:
        # Take the most frequent names of each bucket, then of all ranks.
        candidates = [_most_of_bucket(rows) for _, rows in names.buckets()]
        rows = _most(np.concatenate([*candidates, NO_NAMES]))
        rows = _most(np.concatenate(comm.allgather(rows)))
        rows = rows[np.lexsort((rows["hash"], rows["kind"]))]
        kinds = [rows[rows["kind"] == kind] for kind in range(NAME_KINDS)]
        self.hashes = [rows["hash"] for rows in kinds]
        self.first = [rows["row"] for rows in kinds]
        self._texts: dict[tuple[int, int], bytes] = {}

    def codes(self, block: FileBlock) -> np.ndarray:
        """Return the codes of the names of a block's files, (files, kinds) uint16.

        Names whose first file is in the block are kept, for `texts`.
        """
        codes = np.empty((len(block.row), NAME_KINDS), np.uint16)
        for kind, (hashes, first) in enumerate(zip(self.hashes, self.first, strict=True)):
            in_block, place = block.hashes(kind)
            at = np.minimum(np.searchsorted(hashes, in_block), max(len(hashes) - 1, 0))
            is_known = hashes[at] == in_block if len(hashes) else np.zeros(len(in_block), bool)
            codes[:, kind] = (kind * CODES + np.where(is_known, at, MOST))[place]
            self._keep_texts(block, kind, first)
        return codes

    def _keep_texts(self, block: FileBlock, kind: int, first: np.ndarray) -> None:
        """Keep the names of one kind whose first file is in a block."""
        if not len(block.row):
            return
        file = np.minimum(np.searchsorted(block.row, first), len(block.row) - 1)
        for number in np.flatnonzero(block.row[file] == first).tolist():
            self._texts[kind, number] = block.name(kind, int(file[number]))

    def texts(self, comm: Comm) -> dict[tuple[int, int], bytes]:
        """Return, on rank 0, (kind, number) -> the name. Collective."""
        return {key: text for texts in comm.gather(self._texts) for key, text in texts.items()}


def _most_of_bucket(rows: np.ndarray) -> np.ndarray:
    """Return the names of a bucket, each once with all its files, at most `MOST` of a kind."""
    if not len(rows):
        return rows
    rows = rows[np.lexsort((rows["hash"], rows["kind"]))]
    is_new = (rows["hash"][1:] != rows["hash"][:-1]) | (rows["kind"][1:] != rows["kind"][:-1])
    starts = np.flatnonzero(np.append(True, is_new))
    names = rows[starts]
    names["files"] = np.add.reduceat(rows["files"], starts)
    names["row"] = np.minimum.reduceat(rows["row"], starts)
    return _most(names)


def _most(rows: np.ndarray) -> np.ndarray:
    """Return the `MOST` names of each kind with the most files; of equals the lowest hashes.

    :param rows: (n,) `NAME`.
    """
    rows = rows[np.lexsort((rows["hash"], -rows["files"], rows["kind"]))]
    starts = np.searchsorted(rows["kind"], np.arange(NAME_KINDS))
    place_in_kind = np.arange(len(rows)) - starts[rows["kind"]]
    return rows[place_in_kind < MOST]
