"""Tables as Arrow has them, against h5py."""

import sys

import numpy as np
import pyarrow
import pytest
from support.tables_by_h5py import truth

import hpc_remetrics
from hpc_remetrics.dataset import arrow
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.dataset.text_values import path_text
from hpc_remetrics.errors import MissingComponentError

from .conftest import LAYERS


@pytest.fixture(scope="module")
def dataset(made):
    with hpc_remetrics.open(made) as opened:
        yield opened


@pytest.mark.parametrize("name", list(TABLES))
def test_every_value(made, dataset, name):
    table = dataset[name]
    got = table.arrow().to_pydict()
    assert list(got) == [*table.keys, *table.columns]
    for key in table.keys:
        assert got[key] == table.key(key).tolist()
    for column, values in truth(made, name).items():
        if TABLES[name].columns[column].type == "bytes":
            values = [None if value is None else path_text(value) for value in values]
        if TABLES[name].columns[column].type != "offset":
            assert got[column] == values, column


def test_rows_and_columns_may_be_chosen(dataset):
    whole = dataset.entries.arrow()
    for start, stop in ((0, 5), (7, 7), (100, 10**9)):
        part = dataset.entries.arrow(["path", "row"], start, stop)
        assert part.column_names == ["path", "row"]
        assert part["path"].to_pylist() == whole["path"].to_pylist()[start:stop]
    with pytest.raises(KeyError, match="/layers has no column 'color', it has row, digest, "):
        dataset.layers.arrow(["color"])
    # A key of another table is none of this one
    with pytest.raises(KeyError, match="has no column 'image'"):
        dataset.layers.arrow(["image"])


def test_types_and_metadata(dataset):
    schema = arrow.schema_of(dataset.entries)
    assert schema.field("layer").metadata == {b"description": b"row in /layers"}
    assert schema.field("row").metadata == {b"description": b"row in /entries"}
    assert schema.field("kind").type == pyarrow.dictionary(pyarrow.uint8(), pyarrow.string())
    assert schema.field("uid").type == pyarrow.int64()
    assert schema.field("mtime_ns").type == pyarrow.uint32()
    assert schema.field("path").type == pyarrow.string()
    assert schema.field("mtime").metadata[b"unit"] == b"s"
    assert schema.field("mtime").metadata[b"description"].startswith(b"modification time")


def test_what_can_lack_no_value_is_not_nullable(dataset):
    for name, form in TABLES.items():
        schema = arrow.schema_of(dataset[name])
        for field in schema:
            column = form.columns.get(field.name)
            assert field.nullable == (column is not None and column.is_nullable), field


def test_frames_keep_integers_and_nulls(made, dataset):
    for name in TABLES:
        frame = dataset[name].frame()
        for column, values in truth(made, name).items():
            form = TABLES[name].columns[column]
            if form.missing == "-1":
                assert str(frame[column].dtype) in ("Int32", "Int64")
                assert frame[column].isna().tolist() == [value is None for value in values]
                assert frame[column].dropna().tolist() == [
                    value for value in values if value is not None
                ]
            elif form.missing == "none" and form.dtype[1:2] in ("i", "u") and form.type != "flags":
                assert (
                    column.endswith("_offset")
                    or form.is_blob
                    or form.type == "enum"
                    or (frame[column].dtype == np.dtype(form.dtype))
                )


def test_batches_are_bounded_by_rows_and_by_bytes_of_paths(dataset, monkeypatch):
    rows = sum(map(len, LAYERS))
    sizes = [len(batch) for batch in dataset.entries.batches(rows=100)]
    assert sizes == [100] * (rows // 100) + [rows % 100]
    monkeypatch.setattr(arrow, "BATCH_BYTES", 16)
    batches = list(dataset.entries.batches())
    paths = dataset.paths()
    links = dataset.links()
    assert sum(map(len, batches)) == rows
    start = 0
    for batch in batches:
        stop = start + len(batch)
        for values in (paths, links):
            assert sum(map(len, values[start:stop])) <= 16 or len(batch) == 1
        # One row more would have been too many
        more = [sum(map(len, values[start : stop + 1])) for values in (paths, links)]
        assert stop == rows or max(more) > 16
        start = stop


def test_without_pyarrow_the_message_says_how_to_install_it(dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingComponentError, match="need pyarrow"):
        dataset.layers.arrow()
