"""Chunks from several ranks arrive in the file of rank 0."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from support.recording_comm import RecordingComm
from support.thread_ranks import on_ranks

from hpc_remetrics.dataset import chunk_writer
from hpc_remetrics.dataset.chunk_writer import ChunkWriter
from hpc_remetrics.dataset.schema import TABLES

COLUMN = TABLES["entries"].columns["uid"]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_every_rank_writes_its_chunks(ranks, small_chunks):
    """A rank sends several chunks in one call, and the last chunk is short."""
    chunk = 64
    rows = 70 * chunk + 5
    values = np.arange(rows) * 3 - 7
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as file:
        for name in ("one", "two"):
            file.create_dataset(name, (rows,), "<i8", chunks=(chunk,), compression=1, shuffle=True)

        def run(comm):
            writer = ChunkWriter(comm, file if comm.rank == 0 else None)
            for name in ("one", "two"):
                for first in range(comm.rank * 2 * chunk, rows, comm.size * 2 * chunk):
                    part = values[first : first + 2 * chunk]
                    writer.write(name, COLUMN, first, part, rows)
                    writer.drain()
                # The writer can be used again after `finish`
                writer.finish()
            return writer._unconfirmed

        assert on_ranks(ranks, run) == [0] * ranks
        for name in ("one", "two"):
            assert file[name][:].tolist() == values.tolist()


def test_a_rank_may_be_done_twice_before_another_is_done_once(small_chunks):
    """Rank 0 waits for the slow rank in each of its calls, and ends."""
    chunk = 64
    comm = RecordingComm()
    comm.size = 3
    slow = ("x", 0, chunk_writer.deflated(np.arange(chunk), chunk, True))
    arriving = [
        *((2, 31, None), (2, 31, None)),
        *((1, 30, slow), (1, 31, None)),
        *((1, 30, ("x", chunk, slow[2])), (1, 31, None)),
    ]
    comm.poll = lambda: arriving.pop(0) if arriving else None
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as file:
        file.create_dataset("x", (2 * chunk,), "<i8", chunks=(chunk,), compression=1, shuffle=True)
        writer = ChunkWriter(comm, file)
        writer.finish()
        assert file["x"][:chunk].tolist() == list(range(chunk))
        writer.finish()
        assert file["x"][chunk:].tolist() == list(range(chunk))
    assert [(dest, tag) for dest, tag, _ in comm.sent] == [(1, 32), (1, 32)]


class OneOfTwo(RecordingComm):
    """Rank 1 of two, whose chunks rank 0 confirms when `confirm` is called."""

    rank = 1
    size = 2

    def __init__(self):
        super().__init__()
        self.confirmed = 0

    def poll(self):
        if not self.confirmed:
            return None
        self.confirmed -= 1
        return 0, 32, None


def test_a_rank_waits_while_too_many_chunks_are_unconfirmed(monkeypatch):
    comm = OneOfTwo()
    writer = ChunkWriter(comm, None)
    waits = []

    def sleep(self):
        waits.append(len(comm.sent))
        comm.confirmed += 1

    monkeypatch.setattr(chunk_writer.Backoff, "sleep", sleep)
    for n in range(20):
        writer.write("x", COLUMN, n, np.zeros(1, "<i8"), 100)
    # From the 16th on, each chunk waits for one of those before it
    assert waits == [16, 17, 18, 19, 20]
    assert not writer.drain()
    writer.finish()
    assert [tag for _, tag, _ in comm.sent] == [30] * 20 + [31]
    assert len(waits) == 5 + 15
