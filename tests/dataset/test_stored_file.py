"""A dataset that nobody vouches for: what it may make the program read, and how much of it."""

from __future__ import annotations

import os
import re
import struct
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hpc_remetrics.dataset.byte_source import LocalBytes
from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.dataset.stored_file import StoredColumn, StoredFile, library_errors
from hpc_remetrics.errors import DatasetError

SECRET = b"only its owner may read this"


@pytest.fixture
def secret(tmp_path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = np.frombuffer(SECRET, "u1")
    return tmp_path / "secret"


def refused(path: Path, words: str) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def read_all(path: Path) -> None:
    with Dataset(path) as dataset:
        dataset.check_all()
        assert dataset.metrics
        assert dataset.run


def test_values_are_those_that_h5py_reads(made):
    """Of every dataset of a file, in groups of all kinds, as the library itself reads them."""
    stored, compared = StoredFile(LocalBytes(made)), 0
    with h5py.File(made) as file:
        for group in (
            "entries",
            "contents",
            "layers",
            "images",
            "metrics/totals",
            "metrics/growth",
            "image_layers",
        ):
            found = stored.root
            for part in group.split("/"):
                found = found.group(part)
            for name in found.names:
                column, values = found.column(name), file[group][name]
                assert column.rows == len(values)
                if column.is_there:
                    assert column[:].tobytes() == values[:].tobytes(), f"{group}/{name}"
                    compared += 1
    stored.close()
    assert compared > 60


@pytest.mark.parametrize(
    "options", [{}, {"compression": 9}, {"compression": 4, "shuffle": True}, {"shuffle": True}]
)
@pytest.mark.parametrize("rows", [1, 7, 1000, 1001])
def test_every_way_of_storing_that_is_read(tmp_path, options, rows):
    values = np.random.default_rng(rows).integers(0, 50, rows).astype("<i8")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("chunked", data=values, chunks=(min(100, rows),), **options)
        file.create_dataset("whole", data=values)
    stored = StoredFile(LocalBytes(tmp_path / "a.h5"))
    for name in ("chunked", "whole"):
        column = stored.root.column(name)
        for start, stop in (
            (0, rows),
            (0, 1),
            (rows // 2, rows),
            (rows - 1, rows),
            (rows, rows),
            (3, 2),
        ):
            assert column[start:stop].tolist() == values[start:stop].tolist()
    stored.close()


def test_a_chunk_that_a_filter_was_left_out_of(tmp_path):
    """HDF5 says so in a mask, a bit a filter."""
    values = np.arange(64, dtype="<i4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", (64,), "<i4", chunks=(64,), compression=1, shuffle=True)
        made.id.write_direct_chunk((0,), values.tobytes(), 0b11)
    stored = StoredFile(LocalBytes(tmp_path / "a.h5"))
    assert stored.root.column("x")[:].tolist() == values.tolist()
    stored.close()


def test_external_storage_is_refused(changed, secret):
    with h5py.File(changed, "r+") as file:
        size = file["entries/path"].shape[0]
        del file["entries/path"]
        file.create_dataset(
            "entries/path", (size,), "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )
        assert file["entries/path"][: len(SECRET)].tobytes() == SECRET  # HDF5 reads it
    refused(changed, "external storage")


def test_virtual_datasets_are_refused(changed, secret):
    with h5py.File(changed, "r+") as file:
        size = file["entries/path"].shape[0]
        del file["entries/path"]
        layout = h5py.VirtualLayout((size,), "u1")
        layout[: len(SECRET)] = h5py.VirtualSource(
            str(secret.with_suffix(".h5")), "data", (len(SECRET),)
        )
        file.create_virtual_dataset("entries/path", layout)
    refused(changed, "virtual dataset")


@pytest.mark.parametrize(
    "name", ["entries", "entries/path", "metrics", "metrics/totals", "run", "types", "unknown"]
)
@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/contents"), h5py.ExternalLink("secret.h5", "/data")]
)
def test_links_are_refused(changed, secret, name, link):
    with h5py.File(changed, "r+") as file:
        if name in file:
            del file[name]
        file[name] = link
    refused(changed, "is a link to somewhere else")


@pytest.mark.parametrize("options", [{"compression": "lzf"}, {"fletcher32": True}])
def test_other_filters_are_refused(changed, options):
    with h5py.File(changed, "r+") as file:
        values = file["entries/uid"][:]
        del file["entries/uid"]
        file.create_dataset("entries/uid", data=values, chunks=(100,), **options)
    refused(changed, "filters other than")


def test_a_chunk_inflates_to_what_it_must_and_no_further(changed):
    with h5py.File(changed, "r+") as file:
        size = file["entries/kind"].chunks[0]
        file["entries/kind"].id.write_direct_chunk((0,), zlib.compress(bytes(size + 1)))
    refused(changed, re.escape(f"has {size + 1:,} bytes, not {size:,}"))


@pytest.mark.parametrize("rows", [1 << 20, 1 << 60])
def test_declared_rows_must_have_their_chunks(changed, rows):
    with h5py.File(changed, "r+") as file:
        del file["contents/size"]
        file.create_dataset("contents/size", (rows,), "<i8", chunks=(1 << 17,), compression=1)
    refused(changed, "of the .* chunks that it should have")


def test_chunks_that_share_bytes_are_refused(tmp_path):
    """Or a file of a few kilobytes would declare any number of values: here two datasets are
    one."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros(1 << 16, "u1")
        for number in range(3):
            file[f"b{number}"] = file["a"]
    stored = StoredFile(LocalBytes(tmp_path / "a.h5"))
    stored.root.column("a")
    with pytest.raises(DatasetError, match="on top of each other"):
        stored.root.column("b0")
    stored.close()


@pytest.mark.parametrize(
    ("name", "row", "value", "words"),
    [
        ("entries/path_offset", -1, 1 << 40, "allowed are"),
        ("entries/path_offset", 1, -1, "allowed are"),
        ("entries/path_offset", 1, 0, "does not rise|does not say|allowed"),
        ("entries/content", 0, 1 << 30, "allowed are -1 to"),
        ("entries/content", 0, -2, "allowed are -1 to"),
        ("contents/type", 0, -1, "allowed are 0 to"),
        ("contents/size", 0, -1, "allowed are 0 to"),
        ("entries/kind", 0, 99, "stands for no word"),
        ("layers/first_entry", 1, 1 << 50, "which rows of /entries|allowed"),
        ("layers/entries", 0, 1 << 61, "which rows of /entries"),
        ("images/layers", 0, 1 << 30, "which rows of /image_layers"),
        ("image_layers/layer", 0, 10_000, "allowed are 0 to"),
        ("metrics/distributions/first_bin", 0, 1 << 40, "points beyond"),
    ],
)
def test_values_that_point_elsewhere_are_refused(changed, name, row, value, words):
    with h5py.File(changed, "r+") as file:
        values = file[name][:]
        if name == "entries/path_offset" and value == 0:
            values[2] = values[1] - 1  # it falls by one
        else:
            values[row] = value
        file[name][...] = values
    refused(changed, words)


@pytest.mark.parametrize("table", ["layers", "contents"])
def test_digests_must_be_sorted(changed, table):
    """Comparing two datasets goes through both side by side, and would never end."""
    with h5py.File(changed, "r+") as file:
        values = file[table]["digest"][:]
        values[[0, 1]] = values[[1, 0]]
        file[table]["digest"][...] = values
    refused(changed, f"digests in /{table} are not sorted")


@pytest.mark.parametrize("kind", ["<i4", ">i8", "<f8", "S8", "V8"])
def test_another_type_is_refused(changed, kind):
    with h5py.File(changed, "r+") as file:
        rows = file["contents/size"].shape[0]
        del file["contents/size"]
        file["contents/size"] = np.zeros(rows, kind)
    refused(changed, "/contents/size is of the type")


def test_strings_in_attributes_are_bounded(changed):
    """Many references to one string take as many times its bytes once they are read."""
    long, count = 3_000_017, 1000
    with h5py.File(changed, "r+") as file:
        file["run"].attrs["sources"] = np.array(
            ["x" * long] + ["y"] * (count - 1), h5py.string_dtype()
        )
    data = bytearray(changed.read_bytes())
    # A reference is the string's length, where its heap begins, and its number there.
    at = data.index(struct.pack("<I", long))
    while data[at + 16 : at + 20] != struct.pack("<I", 1):
        at = data.index(struct.pack("<I", long), at + 1)
    data[at : at + 16 * count] = data[at : at + 16] * count
    changed.write_bytes(data)
    tracemalloc.start()
    with Dataset(changed) as dataset, pytest.raises(DatasetError, match="sources"):
        assert dataset.run
    assert tracemalloc.get_traced_memory()[1] < 1 << 28
    tracemalloc.stop()


@pytest.mark.parametrize("value", ["1e999999999", "1/0", "nan", "-1", "2", "half"])
def test_samples_are_fractions(changed, value):
    with h5py.File(changed, "r+") as file:
        file["run"].attrs["compress_sample"] = value
    with Dataset(changed) as dataset, pytest.raises(DatasetError, match="not a fraction from 0 to"):
        assert dataset.run


def test_what_is_no_regular_file_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, words in (
        ("fifo", "a FIFO"),
        ("link", "a FIFO"),
        ("zero", "a device"),
        (".", "a directory"),
    ):
        with pytest.raises(DatasetError, match=words):
            Dataset(tmp_path / name)


def test_a_file_that_becomes_shorter_is_an_error_and_no_crash(changed):
    with Dataset(changed) as dataset:
        os.truncate(changed, 4096)
        with pytest.raises(DatasetError, match="became shorter"):
            dataset.entries.column("uid")


def test_a_dataset_behind_a_link_is_read(made, tmp_path):
    (tmp_path / "hub.h5").symlink_to(made)
    with Dataset(tmp_path / "hub.h5") as dataset:
        dataset.check_all()


def test_a_file_that_can_be_read_and_not_changed_is_said_to_be_damaged(tmp_path):
    """The library finds faults when it changes a file that it does not find when it reads: the file
    is to blame."""
    with pytest.raises(DatasetError, match="can't be changed"), library_errors(tmp_path / "a.h5"):
        raise RuntimeError("Can't unlink object (address of object past end of allocation)")
    with pytest.raises(OSError, match="No space"), library_errors(tmp_path / "a.h5"):
        raise OSError(28, "No space left on device")


def located(*offsets: int) -> StoredColumn:
    """Return a column of 15 values in chunks of 10, whose index names chunks at these rows."""

    def chunk_iter(add):
        for offset in offsets:
            chunk = SimpleNamespace(
                chunk_offset=(offset,), byte_offset=1000 + offset, size=10, filter_mask=0
            )
            if add(chunk):
                break

    column = object.__new__(StoredColumn)
    column.file = SimpleNamespace(path=Path("d.h5"), size=2000, count=lambda size: None)
    column.name = "/contents/size"
    column.dtype = np.dtype(np.uint8)
    column.filters = ()
    column.rows = 15
    column.chunk_rows = 10
    column._locate_chunks(SimpleNamespace(chunk_iter=chunk_iter))
    return column


def test_chunks_are_put_in_order():
    assert located(10, 0)._places.tolist() == [1000, 1010]


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ((0,), "has 1 of the 2 chunks"),
        ((0, 20), "has a chunk that does not belong to it"),
        ((0, 5), "has a chunk that does not belong to it"),
        ((0, 0, 10), "has a chunk that does not belong to it"),
        ((20, 0, 10), "has a chunk that does not belong to it"),  # it is seen at once
    ],
)
def test_chunks_that_do_not_belong_to_a_column(offsets, message):
    with pytest.raises(DatasetError, match=message):
        located(*offsets)
