"""What every pass works on: the open dataset, its small columns in memory, the ranks, scratch and
memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from ..dataset.chunk_cache import ChunkReader
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS
from ..files.writing import private_file
from ..mpi.comm import Comm
from ..records import STATUSES
from ..row_ranges import rank_range


class Inputs:
    """One dataset on one rank.

    :param scratch: a folder on node-local disk for rows on their way.
    :param memory: bytes that this rank may take for them at a time; what grows with the number of
        layers, images, types or with the largest image comes on top.
    """

    def __init__(self, comm: Comm, dataset: Dataset, scratch: Path, memory: int) -> None:
        self.comm, self.dataset, self.scratch, self.memory = comm, dataset, scratch, memory

    def layer(self, name: str) -> np.ndarray:
        """Return a column of /layers as i8."""
        if name not in self._layers:
            self._layers[name] = self.dataset.layers[name].astype(np.int64)
        return self._layers[name]

    @cached_property
    def _layers(self) -> dict[str, np.ndarray]:
        return {}

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
    def read(self) -> np.ndarray:
        """Whether each layer was read, wholly or partly."""
        return self.dataset.layers["status"] != STATUSES["failed"]

    @cached_property
    def entries(self) -> int:
        return len(self.dataset.entries)

    @cached_property
    def contents(self) -> int:
        return len(self.dataset.contents)

    def layer_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the layer of each of these rows of /entries, which rise."""
        return np.searchsorted(self.layer("first_entry"), rows, "right") - 1

    def my_blocks(self, rows: int) -> list[tuple[int, int]]:
        """Return first row and end of this rank's share of the blocks of `CHUNK_ROWS` rows of a
        table."""
        mine = rank_range(self.comm.rank, self.comm.size, -(-rows // CHUNK_ROWS))
        return [(block * CHUNK_ROWS, min((block + 1) * CHUNK_ROWS, rows)) for block in mine]

    @cached_property
    def image_layers(self) -> np.ndarray:
        """The rows of /layers of all images, one image after the other."""
        return self.dataset.image_layers["layer"].astype(np.int64)

    @cached_property
    def image_of(self) -> np.ndarray:
        """The row of /images of each row of /image_layers."""
        return np.repeat(np.arange(len(self.dataset.images)), self.dataset.images["layers"])

    def by_image(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the layers of each image, as its manifest lists them, of values of
        layers."""
        return summed_by(self.image_of, values[self.image_layers], len(self.dataset.images))

    @cached_property
    def sizes(self) -> np.ndarray:
        """The sizes of all contents: a file that the ranks of a node share, mapped."""
        path = self.scratch / "sizes"
        hosts = self.comm.allgather((self.comm.host, str(path)))
        path = Path(next(file for host, file in hosts if host == self.comm.host))
        if path.parent == self.scratch:
            with private_file(path, "wb") as file:
                for start, stop in _pieces(self.contents):
                    file.write(
                        np.ascontiguousarray(
                            self.content.column("size", start, stop), np.int64
                        ).data
                    )
        self.comm.barrier()
        return np.memmap(path, np.int64, "r") if self.contents else np.empty(0, np.int64)


def _pieces(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, CHUNK_ROWS):
        yield start, min(start + CHUNK_ROWS, rows)


def summed_by(place: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Return the sums of whole numbers at each of `size` places."""
    sums = np.zeros(size, np.int64)
    np.add.at(sums, place, values)
    return sums


def combined(comm: Comm, values: np.ndarray, how: np.ufunc = np.add) -> np.ndarray:
    """Return, on every rank, what the arrays of all ranks make together element by element.

    No rank holds more than two such arrays, however many ranks there are.
    """
    if comm.size == 1:
        return values
    flat = values.reshape(-1)
    cuts = [rank_range(rank, comm.size, len(flat)) for rank in range(comm.size)]
    received = comm.alltoall([flat[cut.start : cut.stop].tobytes() for cut in cuts])
    mine = how.reduce([np.frombuffer(part, values.dtype) for part in received], axis=0).tobytes()
    parts = [np.frombuffer(part, values.dtype) for part in comm.alltoall([mine] * comm.size)]
    return np.concatenate(parts).reshape(values.shape)
