"""Tables as HDF5 has them: types, chunks, attributes, dimension scales, and `/run`."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import hpc_remetrics
from hpc_remetrics.dataset.chunk_writer import ChunkWriter, deflated
from hpc_remetrics.dataset.hdf5 import describe, new_column
from hpc_remetrics.dataset.schema import ENUMS, TABLES, Column, chunk_rows, row_dtype, rows_of_chunk
from hpc_remetrics.dataset.table_writer import (
    create_table,
    describe_file,
    write_run,
    write_table,
)
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import KINDS, NOTES, Digest, Failure


@pytest.fixture
def file():
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as opened:
        yield opened


def test_a_large_table_is_created_and_filled_chunk_by_chunk(file):
    rows = (1 << 17) + 3
    sizes = {"row": rows, "path_byte": 5, "link_byte": 0}
    create_table(file, "entries", sizes, {"contents": 1 << 31})
    group = file["entries"]
    assert group["content"].dtype == "<i8"
    assert group["uid"].shape == (rows,)
    assert group["path_offset"].shape == group["link_offset"].shape == (rows + 1,)
    assert (group["path"].shape, group["link"].shape) == ((5,), (0,))
    assert group["uid"].chunks == (1 << 17,)
    assert group["uid"].shuffle
    assert group["uid"].compression == "gzip"
    assert not group["kind"].shuffle
    assert h5py.check_enum_dtype(group["kind"].dtype) == KINDS
    writer = ChunkWriter(SerialComm(), file)
    values = np.arange(rows) * 7 - 5
    writer.write("entries/uid", TABLES["entries"].columns["uid"], 0, values, rows)
    writer.write_rows("entries", 0, 1 << 17, rows)
    writer.write_rows("entries", 1 << 17, rows, rows)
    writer.finish()
    assert group["uid"][:].tolist() == values.tolist()
    assert group["row"][:].tolist() == list(range(rows))


def dimensions_of(dataset):
    """Return the datasets that are the dimensions of a column, as netCDF finds them."""
    scales = {
        int(scale.attrs["_Netcdf4Dimid"]): scale
        for scale in dataset.parent.values()
        if scale.attrs.get("CLASS") == b"DIMENSION_SCALE"
    }
    return [scales[number] for number in dataset.attrs["_Netcdf4Coordinates"].tolist()]


def test_columns_name_their_dimensions_by_number(file):
    create_table(file, "entries", {"row": 3, "path_byte": 5, "link_byte": 0}, {"contents": 1})
    create_table(file, "contents", {"row": 2}, {"types": 0})
    numbers = set()
    for table in ("entries", "contents"):
        for name, column in TABLES[table].columns.items():
            dataset = file[table][name]
            found = dimensions_of(dataset)
            assert [one.name for one in found] == [f"/{table}/{one}" for one in column.dimensions]
            assert tuple(map(len, found)) == dataset.shape
            numbers |= {(one.name, int(one.attrs["_Netcdf4Dimid"])) for one in found}
    assert len(dict(numbers)) == len({number for _, number in numbers}) == len(numbers)
    row = file["entries/row"]
    assert row.attrs["NAME"] == b"row"
    assert row.chunks == (3,)
    assert b"not a netCDF variable" in file["entries/path_byte"].attrs["NAME"]
    assert file["entries/path_byte"].id.get_storage_size() == 0
    for item in (*file["entries"].values(), *file["contents"].values()):
        assert not {"DIMENSION_LIST", "REFERENCE_LIST"} & set(item.attrs)


@pytest.mark.parametrize(("rows", "chunks"), [(1024, None), (1025, (1025,))])
def test_small_columns_are_stored_in_one_piece(file, rows, chunks):
    """The index of the chunks of a column takes more than 4 kB of values."""
    columns = {"layer": np.arange(rows), "step": np.arange(rows)}
    write_table(file, "image_layers", columns, {"layers": rows, "history": rows})
    for name in ("layer", "step", "row"):
        assert file["image_layers"][name].chunks == chunks
        assert file["image_layers"][name][:].tolist() == list(range(rows))


def test_a_small_table_is_written_whole(file):
    columns = {"description": ["a", "ünï"], "mime": ["x" * 300, ""], "group": "ab", "class": "cd"}
    write_table(file, "types", columns, {})
    group = file["types"]
    assert group["description"][:].tolist() == [b"a", "ünï".encode()]
    assert group["mime"].dtype.itemsize == 255
    assert group["group"][:].tolist() == [b"a", b"b"]
    assert "units" not in group["mime"].attrs
    assert group["mime"].attrs["long_name"] == "media type"
    assert group.attrs["description"].startswith("the types that contents have")


def test_notes_say_what_their_bits_mean(file):
    create_table(file, "layers", {"row": 2}, {})
    notes = file["layers/notes"]
    assert notes.attrs["flag_masks"].tolist() == list(NOTES.values())
    assert notes.attrs["flag_meanings"].split() == list(NOTES)
    assert file["layers/digest"].compression is None
    assert "flag_masks" not in file["layers/images"].attrs


def test_enums_and_modes_say_what_their_values_mean(file):
    create_table(file, "entries", {"row": 2, "path_byte": 1, "link_byte": 1}, {"contents": 1})
    kind = file["entries/kind"].attrs
    assert kind["flag_values"].dtype == file["entries/kind"].dtype
    assert (
        dict(zip(kind["flag_meanings"].split(), kind["flag_values"].tolist(), strict=True)) == KINDS
    )
    mode = file["entries/mode"].attrs
    assert mode["flag_masks"].dtype == file["entries/mode"].dtype
    bits = dict(zip(mode["flag_meanings"].split(), mode["flag_masks"].tolist(), strict=True))
    assert (bits["set_user_id"], bits["others_execute"]) == (0o4000, 0o1)
    assert sum(bits.values()) == 0o7777
    assert all(" " not in word for words in ENUMS.values() for word in words)


def test_an_empty_table_has_no_chunks(file):
    create_table(file, "contents", {"row": 0}, {"types": 0})
    assert file["contents/size"].chunks is None


def test_a_file_says_what_it_is(file):
    describe_file(file, 60, "hpc-remetrics analyze demo:")
    assert (file.attrs["format"], file.attrs["schema_version"]) == ("hpc_remetrics dataset", 1)
    assert file.attrs["title"]
    assert file.attrs["Conventions"].startswith("CF-1.")
    assert file.attrs["source"] == f"hpc_remetrics {hpc_remetrics.__version__}"
    assert file.attrs["date_created"] == "1970-01-01T00:01:00Z"
    assert file.attrs["history"] == "1970-01-01T00:01:00Z hpc-remetrics analyze demo:"


def test_the_run_has_attributes_and_tables(file):
    failure = Failure(Digest(b"\1" * 32), "open", "missing", "x", rank=3, host="n1")
    run = {"by": "x" * 40_000, "count": 5, "ranks": {"rank": [0, 1], "host": ["a", "bc"], "no": []}}
    run["sources"] = {"source": ["oci:/a"]}
    write_run(file, run, [failure], np.array([0.5, 1.5]))
    group = file["run"]
    assert len(group.attrs["by"]) == 32_000
    assert group.attrs["count"] == 5
    assert group["ranks/host"][:].tolist() == [b"a", b"bc"]
    assert group["ranks/rank"][:].tolist() == [0, 1]
    assert group["sources/source"][:].tolist() == [b"oci:/a"]
    assert group["ranks/no"].shape == (0,)
    assert group["layers/cpu_seconds"][:].tolist() == [0.5, 1.5]
    assert group["layers/cpu_seconds"].dtype == "<f4"
    assert group["failures/digest"][:].tolist() == [[1] * 32]
    assert group["failures/row"][:].tolist() == [0]
    assert [one.name for one in dimensions_of(group["failures/digest"])] == [
        "/run/failures/row",
        "/run/failures/digest_byte",
    ]
    assert group["failures/rank"][:].tolist() == [3]
    assert group["failures/host"][:].tolist() == [b"n1"]


@pytest.mark.parametrize("compressible", [True, False])
@pytest.mark.parametrize("dtype", ["<u1", "<i4", "<i8"])
def test_a_chunk_is_what_hdf5_reads(file, compressible, dtype):
    values = np.arange(7).astype(dtype)
    options = {"compression": 1, "shuffle": values.itemsize > 1} if compressible else {}
    dataset = file.create_dataset("x", (10,), dtype, chunks=(10,), **options)
    dataset.id.write_direct_chunk((0,), deflated(values, 10, compressible))
    assert dataset[:].tolist() == [*range(7), 0, 0, 0]


def test_sizes_of_chunks():
    assert [chunk_rows(width) for width in (1, 8, 16, 32)] == [1 << 17, 1 << 17, 1 << 16, 1 << 15]
    blob, number = (Column("x", kind, "", "1", "none", "") for kind in ("bytes", "i8"))
    assert rows_of_chunk(blob, 1, 1 << 30) == 1 << 20
    assert rows_of_chunk(number, 8, 1 << 30) == 1 << 17
    assert rows_of_chunk(number, 8, 5) == 5
    assert (row_dtype((1 << 31) - 1), row_dtype(1 << 31)) == ("<i4", "<i8")


def test_columns_have_units_and_say_where_they_point(file):
    create_table(file, "contents", {"row": 2}, {"types": 1})
    create_table(file, "layers", {"row": 2}, {})
    assert file["contents/size"].attrs["units"] == "byte"
    assert file["contents/copies"].attrs["units"] == "1"
    assert "units" not in file["layers/notes"].attrs
    assert "units" not in file["layers/status"].attrs
    assert file["contents/type"].attrs["points_to"] == "/types"
    assert file["layers/first_entry"].attrs["points_to"] == "/entries"
    assert "points_to" not in file["contents/size"].attrs


def test_missing_values_are_attributes(file):
    create_table(file, "contents", {"row": 2}, {"types": 1})
    create_table(file, "layers", {"row": 2}, {})
    create_table(file, "entries", {"row": 2, "path_byte": 1, "link_byte": 1}, {"contents": 1 << 31})
    for name in ("contents/gzip", "contents/cdc_chunks", "entries/content"):
        fill = file[name].attrs["_FillValue"]
        assert (fill.tolist(), fill.dtype) == ([-1], file[name].dtype)
    assert file["layers/diff_id"].attrs["missing"] == "all bytes 0"
    assert file["entries/link"].attrs["missing"] == "empty"
    for name in ("layers/digest", "entries/path", "contents/size", "contents/type"):
        assert not {"_FillValue", "missing"} & set(file[name].attrs)


def test_a_column_is_what_h5py_itself_makes(file):
    kinds = h5py.enum_dtype(KINDS, "u1")
    for dtype in (np.dtype("<i8"), np.dtype("V32"), kinds):
        made = new_column(file, f"made {dtype}", dtype, 9, chunk_rows=5, deflate=True)
        options = {"compression": 1, "shuffle": dtype.kind != "V" and dtype.itemsize > 1}
        shape = (9,)
        chunks = (5,)
        plain = dtype
        if dtype.kind == "V":
            shape = (9, 32)
            chunks = (5, 32)
            plain = np.dtype("u1")
        expected = file.create_dataset(f"b {dtype}", shape, plain, chunks=chunks, **options).id
        assert made.get_create_plist().equal(expected.get_create_plist())
        assert made.get_type().equal(expected.get_type())
    plain = h5py.Dataset(new_column(file, "plain", np.dtype("<i4"), 3))
    assert (plain.chunks, plain.compression, plain.shuffle) == (None, None, False)


def test_texts_are_written_as_h5py_itself_writes_them(file):
    made = h5py.Dataset(new_column(file, "made", np.dtype("<i4"), 3))
    texts = {"unit": "B", "description": "ünï", "empty": ""}
    describe(made.id, **texts)
    other = file.create_dataset("other", (3,), "<i4")
    for name, text in texts.items():
        other.attrs[name] = text
        assert made.attrs[name] == text
        assert made.attrs.get_id(name).get_type().equal(other.attrs.get_id(name).get_type())
        assert made.attrs.get_id(name).shape == ()
