"""Tables whose rows are collected on scratch, against tables that are written whole."""

from __future__ import annotations

import os
import random

import h5py
import numpy as np
import pytest
from support.made_configs import TEXTS

from hpc_remetrics.dataset.growing_table import GrowingTable
from hpc_remetrics.dataset.schema import ROW, TABLES

ROWS = {"configs": 1 << 31, "images": 5, "contents": 7}


@pytest.fixture
def file():
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as opened:
        yield opened


def grown(file, scratch, name, pieces, rows=ROWS):
    with GrowingTable(name, scratch) as table:
        for piece in pieces:
            table.append(piece)
        table.write(file, rows)
        # Its file has no name
        assert list(scratch.iterdir()) == []
        count = table.rows
    assert file[name][ROW.name][:].tolist() == list(range(count))
    return file[name]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 5000])
def test_all_values_in_their_order(file, tmp_path, small_chunks, count):
    """Chunks of 64 rows and 512 bytes, from pieces that end with one, and others that don't."""
    rng = random.Random(count)
    rows = [(rng.randrange(99), rng.choice(TEXTS), rng.choice(TEXTS)) for _ in range(count)]
    pieces, at = [], 0
    while at < count or not pieces:
        some = rows[at : at + rng.choice([0, 1, 64, 100, 1000])]
        pieces.append(dict(zip(("config", "key", "value"), zip(*some, strict=True), strict=False)))
        at += len(some)
    pieces = [piece or {"config": [], "key": [], "value": []} for piece in pieces]
    group = grown(file, tmp_path, "labels", pieces)
    assert group["config"].dtype == "<i8"
    assert group["config"][:].tolist() == [row for row, _, _ in rows]
    for place, name in ((1, "key"), (2, "value")):
        encoded = [row[place].encode() for row in rows]
        assert group[name][:].tobytes() == b"".join(encoded)
        ends = np.cumsum([0, *map(len, encoded)])
        assert group[f"{name}_offset"][:].tolist() == ends.tolist()
    for dataset in group.values():
        is_large = dataset.size * dataset.dtype.itemsize > 4096
        is_dimension = dataset.name.endswith(("_byte", "row_bound"))
        assert (dataset.chunks is not None) == (is_large and not is_dimension)


def test_paths_are_bytes_and_digests_rows_of_bytes(file, tmp_path, small_chunks):
    digests = np.array([bytes([n % 251] * 32) for n in range(300)], "V32")
    columns = {name: np.arange(300) % 3 for name, column in TABLES["contents"].columns.items()}
    group = grown(file, tmp_path, "contents", [{**columns, "digest": digests}], {"types": 3})
    assert group["digest"][:].tobytes() == digests.tobytes()
    assert group["digest"].chunks == (16, 32) and group["digest"].compression is None
    assert group["type"].dtype == "<i4"
    entries = {name: [0] for name in TABLES["entries"].columns}
    group = grown(file, tmp_path, "entries", [{**entries, "path": [b"\xff"], "link": [b""]}])
    assert group["path"][:].tobytes() == b"\xff"
    assert group["link_offset"][:].tolist() == [0, 0]


def test_the_file_on_scratch_goes_with_an_error(tmp_path):
    open_files = len(os.listdir("/proc/self/fd"))
    table = GrowingTable("labels", tmp_path)
    assert len(os.listdir("/proc/self/fd")) == open_files + 1
    with pytest.raises(UnicodeEncodeError), table:
        table.append({"config": [0], "key": ["\udcff"], "value": [""]})
    assert len(os.listdir("/proc/self/fd")) == open_files
