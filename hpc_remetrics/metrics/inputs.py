"""The dataset that is reduced: its columns, this rank's share of the rows, scratch and memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from ..arrays import summed_by
from ..dataset.chunk_cache import ChunkReader
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS
from ..files.writing import private_file
from ..mpi.comm import Comm
from ..records import STATUSES
from ..row_ranges import block_ranges, rank_range


class MetricsInputs:
    """One dataset on one rank; columns of the small tables are read once and kept.

    :param scratch: a directory of this rank on node-local disk for rows between passes.
    :param memory: bytes that this rank may take for such rows at a time; what grows with the number
        of layers, images, types or with the largest image comes on top.
    :ivar sizes: (contents,) int64, bytes of all contents, once `map_sizes` has been called.
    """

    def __init__(self, comm: Comm, dataset: Dataset, scratch: Path, memory: int) -> None:
        self.comm = comm
        self.dataset = dataset
        self.scratch = scratch
        self.memory = memory
        self.sizes = np.empty(0, np.int64)
        self._layer_columns: dict[str, np.ndarray] = {}

    def layer(self, name: str) -> np.ndarray:
        """Return a column of /layers as (layers,) int64."""
        if name not in self._layer_columns:
            self._layer_columns[name] = self.dataset.layers[name].astype(np.int64)
        return self._layer_columns[name]

    @cached_property
    def entry(self) -> ChunkReader:
        """The columns of /entries."""
        return self.dataset.chunks_of("entries")

    @cached_property
    def content(self) -> ChunkReader:
        """The columns of /contents."""
        return self.dataset.chunks_of("contents")

    @cached_property
    def chunk(self) -> ChunkReader:
        """The columns of /chunks."""
        return self.dataset.chunks_of("chunks")

    @cached_property
    def was_read(self) -> np.ndarray:
        """Whether each layer was read, wholly or partly: (layers,) bool."""
        return self.dataset.layers["status"] != STATUSES["failed"]

    @property
    def entries(self) -> int:
        """Rows of /entries."""
        return len(self.dataset.entries)

    @property
    def contents(self) -> int:
        """Rows of /contents."""
        return len(self.dataset.contents)

    def layer_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the layer of each of some rows of /entries, which ascend."""
        return np.searchsorted(self.layer("first_entry"), rows, "right") - 1

    def my_blocks(self, rows: int) -> list[tuple[int, int]]:
        """Return (start, stop) of this rank's blocks of `CHUNK_ROWS` rows of a table."""
        return list(block_ranges(rows, CHUNK_ROWS, self.comm.rank, self.comm.size))

    @cached_property
    def image_layers(self) -> np.ndarray:
        """The rows of /layers of all images, image after image: (image_layers,) int64."""
        return self.dataset.image_layers["layer"].astype(np.int64)

    @cached_property
    def image_of(self) -> np.ndarray:
        """The row of /images of each row of /image_layers: (image_layers,) int64."""
        return np.repeat(np.arange(len(self.dataset.images)), self.dataset.images["layers"])

    def by_image(self, values: np.ndarray) -> np.ndarray:
        """Sum values of layers over the layers of each image, as its manifest lists them.

        :param values: (layers,) int64; the result is (images,) int64.
        """
        return summed_by(self.image_of, values[self.image_layers], len(self.dataset.images))

    def map_sizes(self) -> None:
        """Write the sizes of all contents to a file that the ranks of a node share. Collective."""
        blocks = block_ranges(self.contents, CHUNK_ROWS)
        sizes = (self.content.column("size", start, stop) for start, stop in blocks)
        self.sizes = self.mapped("sizes", np.dtype(np.int64), sizes)

    def mapped(self, name: str, dtype: np.dtype, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """Return rows in a file that the ranks of a node share, not in memory. Collective.

        :param name: of the file on scratch.
        :param pieces: (n,) arrays, the same on all ranks; read on one rank of each node.
        :returns: (n,) of the dtype.
        """
        # The first rank of each host writes the file for all of them.
        path = self.scratch / name
        hosts = self.comm.allgather((self.comm.host, str(path)))
        path = Path(next(file for host, file in hosts if host == self.comm.host))
        if path.parent == self.scratch:
            with private_file(path, "wb") as file:
                for piece in pieces:
                    file.write(np.ascontiguousarray(piece, dtype).data)
        self.comm.barrier()
        return np.memmap(path, dtype, "r") if path.stat().st_size else np.empty(0, dtype)


def combined(comm: Comm, values: np.ndarray, operation: np.ufunc = np.add) -> np.ndarray:
    """Combine the arrays of all ranks element by element; every rank gets the result.

    Each rank combines one range of the elements, so that none holds more than two such arrays:

        rank 0   a0 a1 | a2 a3        rank 0   a0+b0  a1+b1          both
        rank 1   b0 b1 | b2 b3   ->   rank 1   a2+b2  a3+b3   ->     a0+b0 a1+b1 a2+b2 a3+b3

    :param values: the same shape and dtype on every rank.
    """
    if comm.size == 1:
        return values
    flat = values.ravel()
    # Send each range of elements to the rank that combines it.
    cuts = [rank_range(rank, comm.size, len(flat)) for rank in range(comm.size)]
    received = comm.alltoall([flat[cut.start : cut.stop].tobytes() for cut in cuts])
    pieces = [np.frombuffer(part, values.dtype) for part in received]
    mine = operation.reduce(pieces, axis=0).tobytes()
    # Send the combined range to everybody.
    parts = [np.frombuffer(part, values.dtype) for part in comm.alltoall([mine] * comm.size)]
    return np.concatenate(parts).reshape(values.shape)
