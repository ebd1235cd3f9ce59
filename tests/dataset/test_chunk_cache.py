"""The chunk cache: slices as the table itself gives them, and a bounded number of chunks."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hpc_remetrics.dataset import chunk_cache
from hpc_remetrics.dataset.byte_source import LocalBytes
from hpc_remetrics.dataset.chunk_cache import ChunkReader
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.dataset.stored_file import StoredColumn, StoredFile
from hpc_remetrics.dataset.table import Table, stored_columns
from hpc_remetrics.errors import DatasetError

ROWS = 25


@pytest.fixture
def table(tmp_path):
    """A table of contents in chunks of ten rows, without the columns that may lack."""
    digests = np.array([bytes([number]) * 32 for number in range(ROWS)], "V32")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("contents")
        for name in ("row", "size", "type", "copies", "layers", "images"):
            group.create_dataset(name, data=np.arange(ROWS) * 3, chunks=(10,), compression=1)
        group.create_dataset("digest", data=digests, chunks=(10,))
    file = StoredFile(LocalBytes(tmp_path / "a.h5"))
    form = TABLES["contents"]
    group = file.root.group("contents")
    yield Table(tmp_path / "a.h5", form, ROWS, stored_columns(group, form), {})
    file.close()


@pytest.mark.parametrize("kept", [1, 2, 32])
def test_slices_are_those_of_the_table(table, monkeypatch, kept):
    monkeypatch.setattr(chunk_cache, "_KEPT", kept)
    reader = ChunkReader(table)
    for start in range(ROWS + 2):
        for stop in (0, start, start + 1, 10, 20, 21, ROWS, ROWS + 9):
            for name in ("size", "digest", "gzip"):
                got = reader.column(name, start, stop)
                assert got.tolist() == table.column(name, start, stop).tolist(), (name, start, stop)
    assert len(reader._kept) <= kept


def test_the_chunk_that_was_used_longest_ago_is_dropped(table, monkeypatch):
    monkeypatch.setattr(chunk_cache, "_KEPT", 2)
    read: list[int] = []
    chunk = StoredColumn.chunk
    monkeypatch.setattr(
        StoredColumn, "chunk", lambda self, number: read.append(number) or chunk(self, number)
    )
    reader = ChunkReader(table)
    for row in (0, 15, 0, 25 - 1, 5, 15):
        reader.column("size", row, row + 1)
    assert read == [0, 1, 2, 1]


def test_no_more_is_read_at_once_than_a_file_of_this_size_needs(table):
    table.stored_column("size").file.at_once = 8 * 20
    assert len(ChunkReader(table).column("size", 0, 20)) == 20
    with pytest.raises(DatasetError, match="are more than a file of its size can need"):
        ChunkReader(table).column("size", 0, 21)


def test_digests_become_objects_which_take_more_than_their_bytes(table):
    file = table.stored_column("digest").file
    file.at_once = (32 + 64) * 20
    assert len(ChunkReader(table).column("digest", 0, 20)) == 20
    file.at_once -= 1
    with pytest.raises(DatasetError, match="are more than a file of its size can need"):
        ChunkReader(table).column("digest", 0, 20)


def test_columns_that_the_file_lacks_have_one_value(table):
    assert table.column("gzip", 20).tolist() == [-1] * 5
    assert table.column("cdc_chunks", 0, 2).tolist() == [-1, -1]


def test_the_order_is_checked_across_chunks(table, tmp_path):
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["contents/digest"][10] = np.void(bytes([9]) * 32)
    with pytest.raises(DatasetError, match="the digests in /contents are not sorted"):
        ChunkReader(table).column("digest", 9, 11)
