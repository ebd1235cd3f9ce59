"""The most frequent names of files: found among all, numbered, and counted with their contents."""

from __future__ import annotations

import numpy as np

from ..mpi.comm import Comm
from ..mpi.shuffle import Shuffle
from .file_rows import NAME, NAME_KINDS, Block

MOST = 1000
"""Names of a kind that are told apart; the others are the rest, whose number is that of the
last."""

CODES = MOST + 1


class CommonNames:
    """The most frequent names of each kind, the same on every rank.

    :ivar hashes: for each kind the hashes of its names, rising.
    :ivar first: for each kind the row of /entries of the first file with each name.
    """

    def __init__(self, comm: Comm, names: Shuffle) -> None:
        found = _most(
            np.concatenate([*(_counted(rows) for _, rows in names.buckets()), np.empty(0, NAME)])
        )
        found = _most(np.concatenate(comm.allgather(found)))
        found = found[np.lexsort((found["hash"], found["kind"]))]
        kinds = [found[found["kind"] == kind] for kind in range(NAME_KINDS)]
        self.hashes = [rows["hash"] for rows in kinds]
        self.first = [rows["row"] for rows in kinds]
        self._texts: dict[tuple[int, int], bytes] = {}

    def codes(self, block: Block) -> np.ndarray:
        """Return the numbers of the names of a block's files, a column a kind: kind * CODES + place
        among its names.

        On the way the texts of the names whose first file is in the block are kept.
        """
        codes = np.empty((len(block.row), NAME_KINDS), np.uint16)
        for kind, (hashes, first) in enumerate(zip(self.hashes, self.first, strict=True)):
            mine, place = block.places(kind)
            at = np.minimum(np.searchsorted(hashes, mine), max(len(hashes) - 1, 0))
            known = hashes[at] == mine if len(hashes) else np.zeros(len(mine), bool)
            codes[:, kind] = (kind * CODES + np.where(known, at, MOST))[place]
            self._keep_texts(block, kind, first)
        return codes

    def _keep_texts(self, block: Block, kind: int, first: np.ndarray) -> None:
        file = np.minimum(np.searchsorted(block.row, first), max(len(block.row) - 1, 0))
        for number in np.flatnonzero(block.row[file] == first).tolist() if len(block.row) else ():
            self._texts[kind, number] = block.text(kind, int(file[number]))

    def texts(self, comm: Comm) -> dict[tuple[int, int], bytes]:
        """Return, on the root, the text of each name by kind and number."""
        return {key: text for texts in comm.gather(self._texts) for key, text in texts.items()}


def _counted(rows: np.ndarray) -> np.ndarray:
    """Return the names of a bucket, each once, at most `MOST` of a kind."""
    rows = rows[np.lexsort((rows["hash"], rows["kind"]))]
    if not len(rows):
        return rows
    new = (rows["hash"][1:] != rows["hash"][:-1]) | (rows["kind"][1:] != rows["kind"][:-1])
    starts = np.flatnonzero(np.append(True, new))
    counted = rows[starts]
    counted["files"] = np.add.reduceat(rows["files"], starts)
    counted["row"] = np.minimum.reduceat(rows["row"], starts)
    return _most(counted)


def _most(rows: np.ndarray) -> np.ndarray:
    """Return the names with the most files, `MOST` of each kind; of equals those of the lowest
    hash."""
    order = np.lexsort((rows["hash"], -rows["files"], rows["kind"]))
    rows = rows[order]
    starts = np.searchsorted(rows["kind"], np.arange(NAME_KINDS))
    rank = np.arange(len(rows)) - starts[rows["kind"]]
    return rows[rank < MOST]
