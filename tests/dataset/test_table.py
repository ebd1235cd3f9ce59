"""Tables as arrays and frames, against h5py."""

import sys

import numpy as np
import pytest
from support.tables_by_h5py import truth

import hpc_remetrics
from hpc_remetrics.dataset import table
from hpc_remetrics.dataset.schema import ENUMS, TABLES
from hpc_remetrics.dataset.table import AbsentColumn
from hpc_remetrics.dataset.text_values import path_text
from hpc_remetrics.errors import MissingComponentError

from .conftest import LAYERS, MADE


@pytest.fixture(scope="module")
def dataset(made):
    with hpc_remetrics.open(made) as opened:
        yield opened


@pytest.mark.parametrize("name", list(TABLES))
def test_readable_values(made, dataset, name):
    table = dataset[name]
    for column, values in truth(made, name).items():
        form = TABLES[name].columns[column]
        if form.type == "offset" or form.type == "flags":
            continue
        want = values
        if form.type == "bytes":
            want = [path_text(value or b"") for value in values]
        elif form.type == "digest" or form.missing == '""':
            want = [value or "" for value in values]
        elif form.type == "time":
            want = values
        elif form.missing == "-1":
            want = [-1 if value is None else value for value in values]
        elif form.missing == "NaN":
            assert [None if value != value else value for value in table.readable(column)] == values
            continue
        assert table.readable(column).tolist() == want, column
        for rows in ((3, 9), (0, 1), (2, 2), (5, 10**9)):
            assert table.readable(column, *rows).tolist() == want[slice(*rows)], column


def test_frames_have_keys_categories_and_texts(made, dataset):
    frame = dataset.entries.frame(start=2, stop=200)
    want = truth(made, "entries")
    assert frame.index.tolist() == list(range(2, 200)) and frame.index.name == "row"
    assert list(frame.columns) == ["layer", *dataset.entries.columns]
    assert frame["kind"].tolist() == want["kind"][2:200]
    assert frame["kind"].cat.categories.tolist() == list(ENUMS["kind"])
    assert frame["path"].tolist() == [path_text(path) for path in want["path"][2:200]]
    layers = dataset.layers.frame(["digest", "diff_id", "status", "notes"])
    want = truth(made, "layers")
    assert layers["digest"].tolist() == want["digest"]
    diff_ids = layers["diff_id"]
    assert diff_ids.astype(object).where(diff_ids.notna(), None).tolist() == want["diff_id"]
    assert diff_ids.dtype == layers["digest"].dtype  # with missing values or without
    assert layers["notes"].tolist() == want["notes"]
    assert list(dataset.image_layers.frame().columns) == ["image", "layer", "step"]
    assert dataset.entries.frame(["layer"], 0, 3).columns.tolist() == ["layer"]


def test_a_frame_without_pandas_says_what_to_install(dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingComponentError, match=r"pip install 'hpc-remetrics\[analysis\]'"):
        dataset.layers.frame(["CLS"])


def test_missing_numbers_are_masked(made, dataset):
    for name in TABLES:
        table = dataset[name]
        for column, values in truth(made, name).items():
            form = TABLES[name].columns[column]
            if form.type == "time":
                assert table[column].mask.tolist() == [value is None for value in values]
                assert table[column].filled().tolist() == table.column(column).tolist()
            elif form.missing == "-1":
                assert table[column].tolist() == values
                assert table[column].filled().tolist() == table.column(column).tolist()
            else:
                assert not isinstance(table[column], np.ma.MaskedArray)
    gzip = dataset.contents["gzip"]
    assert 0 < gzip.count() < len(gzip)
    assert gzip.mean() == np.mean([size for size in gzip.tolist() if size is not None])


def test_a_missing_row_number_is_no_index(dataset):
    """As an index -1 is the last row, which has nothing to do with it."""
    content = dataset.entries["content"]
    with pytest.raises(IndexError):
        dataset.contents["size"][content]
    known = content[content >= 0]
    assert known.tolist() == [row for row in content.tolist() if row is not None]
    assert dataset.contents["size"][known].min() >= 0


@pytest.mark.parametrize("name", ["size", "type", "digest", "gzip", "cdc_chunks"])
def test_rows_that_another_table_points_at_are_taken(made, dataset, name):
    values = truth(made, "contents")[name]
    content = truth(made, "entries")["content"]
    want = [None if row is None else values[row] for row in content]
    found = dataset.contents.take(dataset.entries["content"], name)
    assert found.tolist() == want
    assert found.mask.tolist() == [value is None for value in want]


def test_rows_may_be_arrays_of_any_library(dataset):
    content = dataset.entries["content"]
    want = dataset.contents.take(content, "size").tolist()
    frame = dataset.entries.frame(["content"])["content"]
    arrow = dataset.entries.arrow(["content"])["content"]
    raw = dataset.entries.column("content")
    for rows in (frame, frame.astype(float), arrow, arrow.combine_chunks(), raw, raw.tolist()):
        assert dataset.contents.take(rows, "size").tolist() == want
    # A lookup of a lookup
    types = dataset.contents.take(content, "type")
    texts = dataset.types.take(types, "description").tolist()
    assert [text is None for text in texts] == [row is None for row in content.tolist()]


def test_take_of_texts_and_paths_and_nothing(made, dataset):
    every = dataset.entries.key("row")
    want = truth(made, "entries")["link"]
    links = dataset.entries.take(every, "link").tolist()
    assert links == [None if link is None else path_text(link) for link in want]
    strata = dataset.repositories.take(np.array([0, -1]), "stratum")
    assert strata.tolist() == ["stratum", None]
    weights = dataset.repositories.take(np.arange(len(dataset.repositories)), "weight")
    assert weights.tolist() == truth(made, "repositories")["weight"]
    diff_ids = dataset.layers.take(dataset.layers.key("row"), "diff_id")
    assert [one is None for one in diff_ids.tolist()] == [
        one is None for one in truth(made, "layers")["diff_id"]
    ]
    nothing = dataset.contents.take(np.array([-1, -1]), "gzip")
    assert nothing.tolist() == [None, None]
    assert nothing.filled().tolist() == [-1, -1]
    assert dataset.contents.take([], "size").tolist() == []


def test_rows_that_a_table_does_not_have_are_refused(dataset):
    rows = len(dataset.contents)
    for wrong in (rows, -2):
        with pytest.raises(IndexError, match=f"/contents has {rows} rows, no row {wrong}"):
            dataset.contents.take([0, wrong], "size")
    with pytest.raises(KeyError, match="/contents has no column 'color'"):
        dataset.contents.take([0], "color")


def test_keys_join_rows_with_their_layer_and_image(dataset):
    sizes = dataset.layers["entries"].tolist()
    layers = [row for row, size in enumerate(sizes) for _ in range(size)]
    assert dataset.entries.key("layer").tolist() == layers
    assert dataset.entries.key("layer", 3, 250).tolist() == layers[3:250]
    assert dataset.entries.key("row", 3, 5).tolist() == [3, 4]
    images = [number for number, image in enumerate(MADE.images) for _ in image]
    assert dataset.image_layers.key("image").tolist() == images
    assert dataset.entries.keys == ["row", "layer"]
    assert dataset.layers.keys == ["row"]


def test_blobs(dataset):
    paths = dataset.paths()
    for start, stop in ((0, None), (2, 5), (4, 4), (5, 2), (200, 10**9)):
        data, bounds = dataset.entries.blob("path", start, stop)
        want = paths[start:stop]
        assert data == b"".join(want)
        assert np.diff(bounds).tolist() == [len(path) for path in want]
    assert sorted(paths) == sorted(entry.path for layer in LAYERS for entry in layer)


def test_names(dataset):
    assert "path_offset" not in dataset.entries.columns and "path" in dataset.entries.columns
    assert dataset.entries.words("kind")[ENUMS["kind"]["file"]] == "file"
    with pytest.raises(KeyError, match="/layers has no column 'color', it has digest, "):
        dataset.layers["color"]


def test_a_column_that_the_file_lacks():
    column = AbsentColumn(-1, 5)
    assert column[0:3].tolist() == [-1] * 3
    assert column[3:9].tolist() == [-1] * 2
    assert column[:].tolist() == [-1] * 5


def test_a_table_as_text_and_html(dataset):
    text = repr(dataset.layers).splitlines()
    assert text[0] == f"<hpc_remetrics table /layers, {len(dataset.layers)} rows>"
    assert [line.split()[0] for line in text[1:]] == dataset.layers.columns
    described = dataset.layers.form.columns["CLS"].description
    assert next(line for line in text if " CLS " in line).split() == [
        *("CLS", "i8", "byte"),
        *described.split(),
    ]
    assert f"<th>CLS</th><td>i8</td><td>byte</td><td>{described}</td>" in (
        dataset.layers._repr_html_()
    )
    assert dataset.layers._ipython_key_completions_() == dataset.layers.columns


def test_units_and_first_rows(dataset):
    assert dataset.layers.units["CLS"] == "byte"
    assert dataset.layers.units["files"] == "1"
    assert list(dataset.layers.units) == dataset.layers.columns
    assert dataset.entries.head().equals(dataset.entries.frame(stop=5))
    assert len(dataset.entries.head(3)) == 3


def test_several_columns_are_a_frame(dataset):
    wanted = dataset.entries.frame(["layer", "kind"])
    assert dataset.entries[["layer", "kind"]].equals(wanted)


def test_a_string_is_no_list_of_columns(dataset):
    for read in (dataset.layers.frame, dataset.layers.arrow):
        with pytest.raises(TypeError, match=r"columns are a list of names: write \['CLS'\]"):
            read("CLS")


def test_others_read_a_table_as_an_arrow_stream(dataset):
    import duckdb
    import pyarrow

    read = pyarrow.RecordBatchReader.from_stream(dataset.entries).read_all()
    assert read.equals(dataset.entries.arrow())
    entries = dataset.entries
    ((count,),) = duckdb.sql("SELECT count(*) FROM entries WHERE kind = 'file'").fetchall()
    assert count == (dataset.entries.readable("kind") == "file").sum()
    assert entries is dataset.entries


def test_rows_are_dictionaries_of_what_frames_have(made):
    with hpc_remetrics.open(made) as data:
        rows = list(data.entries)
        assert len(rows) == len(data.entries)
        assert rows == data.entries.arrow().to_pylist()
        assert rows[3] == next(data.entries.iter_rows(start=3))
        assert {row["content"] is None for row in rows} == {True, False}
        some = list(data.entries.iter_rows(["path"], 1, 3))
        assert some == [{"path": row["path"]} for row in rows[1:3]]
        assert list(data.entries.iter_rows(stop=0)) == []
        assert "path" in data.entries
        assert "row" not in data.entries
        with pytest.raises(TypeError, match=r"write \['path'\]"):
            list(data.entries.iter_rows("path"))


def test_rows_are_read_in_pieces(made, monkeypatch):
    monkeypatch.setattr(table, "_ROWS_AT_ONCE", 7)
    with hpc_remetrics.open(made) as data:
        assert [row["row"] for row in data.contents] == list(range(len(data.contents)))


@pytest.mark.parametrize("name", ["path", "link", "content", "kind", "mtime", "uid"])
def test_few_rows_are_taken_as_many_are(made, monkeypatch, name):
    """Far apart, in any order, and more than once: each chunk that holds some is read."""
    monkeypatch.setattr(table, "CHUNK_ROWS", 16)
    with hpc_remetrics.open(made) as data:
        entries = data.entries
        last = len(entries) - 1
        rows = np.array([last, 3, -1, 250, 3, 0, 17, last])
        found = entries.take(rows, name)
        every = entries.take(np.arange(len(entries)), name)
        assert found.mask[2]
        present = rows >= 0
        assert found[present].tolist() == every[rows[present]].tolist()
        assert found.dtype == every.dtype


def test_paths_can_be_cleaned(dataset):
    paths = dataset.paths()
    cleaned = dataset.paths(clean=True)
    changed = {(one, other) for one, other in zip(paths, cleaned, strict=True) if one != other}
    assert changed == {(b"./plain/name", b"plain/name")}
    assert dataset.paths(5, 9, clean=True) == cleaned[5:9]
