"""Keep the sizes of patches as they are made, so that a run that was killed makes none again.

A rank appends a line to its journal beside the parts for each patch: the places of the content and
of its reference in the list of contents that the second pass keeps, and the bytes of the patch.

    contents            deltas-5f03a1c2-0.journal        deltas-5f03a1c2-1.journal
    0   03a1…           [2, 0, 512]                      [3, 1, 88]
    1   0be2…           [4, -1, 9034]
    …
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..files.journal import Journal, kept_values
from ..files.untrusted import check_trusted_owner
from ..mpi.comm import Comm
from ..tar.decoders import zstd_module


class DoneDeltas:
    """Sizes of patches by content and reference; making it is collective.

    :param directory: where the journals are, beside the parts.
    :param listed: SHA-256 of the list of contents, in hex; journals of other lists are not read.
    :param places: row of /contents -> its place in the list, of all that this rank asks for.
    """

    def __init__(self, comm: Comm, directory: Path, listed: str, places: Mapping[int, int]) -> None:
        self._places = {**places, -1: -1}
        rows = {place: row for row, place in self._places.items()}
        head = {"kind": "deltas", "contents": listed, "zstd": zstd_module().zstd_version}
        name = f"deltas-{hashlib.sha256(json.dumps(head).encode()).hexdigest()[:8]}"
        # Read what all ranks of earlier runs made, of which this rank needs some.
        self._sizes: dict[tuple[int, int], int] = {}
        about = os.stat(directory)
        for path in sorted(directory.glob(f"{name}-*.journal")):
            # The patches of a journal that can't be read or trusted are made again.
            with contextlib.suppress(OSError):
                check_trusted_owner(path.lstat().st_uid, about)
                for content, reference, size in kept_values(path, head):
                    if content in rows and reference in rows:
                        self._sizes[rows[content], rows[reference]] = size
        # Only then append to a journal, which other ranks may be reading until here.
        comm.barrier()
        self._journal = Journal(directory / f"{name}-{comm.rank}.journal", head)

    def size(self, content: int, reference: int) -> int | None:
        """Return the bytes of a patch, None if it is not made yet."""
        return self._sizes.get((content, reference))

    def add(self, content: int, reference: int, size: int) -> None:
        """Keep the bytes of a patch.

        :param content: row of /contents; `reference` likewise, -1: none.
        """
        self._sizes[content, reference] = size
        self._journal.append([self._places[content], self._places[reference], size])

    def close(self) -> None:
        """Write the journal to disk."""
        self._journal.close()


def places_in(path: Path, digests: np.ndarray) -> list[int]:
    """Return the places of some digests in a file of sorted ones.

    :param digests: (n, 32) uint8, all of which are in the file.
    """
    listed = np.memmap(path, "S32", "r") if path.stat().st_size else np.empty(0, "S32")
    places: list[int] = np.searchsorted(listed, digests.reshape(-1).view("S32")).tolist()
    return places
