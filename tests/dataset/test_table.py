"""Tables as arrays and frames, against h5py."""

import sys

import numpy as np
import pytest
from support.tables_by_h5py import truth

import hpc_remetrics
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
        kind = TABLES[name].columns[column].type
        if kind == "offset" or column == "notes":
            continue
        want = values
        if kind == "bytes":
            want = [path_text(value) for value in values]
        elif kind == "digest":
            want = [(value or "sha256:" + "0" * 64)[7:] for value in values]
        elif kind == "row":
            want = [-1 if value is None else value for value in values]
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
    assert layers["diff_id"].tolist() == [value or "" for value in want["diff_id"]]
    assert layers["notes"].tolist() == want["notes"]
    assert list(dataset.image_layers.frame().columns) == ["image", "layer"]
    assert dataset.entries.frame(["layer"], 0, 3).columns.tolist() == ["layer"]


def test_a_frame_without_pandas_says_what_to_install(dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingComponentError, match=r"pip install 'hpc-remetrics\[analysis\]'"):
        dataset.layers.frame(["CLS"])


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
    assert repr(dataset.layers).startswith("</layers: 4 rows of digest, diff_id, media_type,")
    assert dataset.entries.words("kind")[ENUMS["kind"]["file"]] == "file"
    assert {"gzip", "size"} <= dataset.contents.stored
    with pytest.raises(KeyError, match="/layers has no column 'color', it has digest, "):
        dataset.layers["color"]


def test_a_column_that_the_file_lacks():
    column = AbsentColumn(-1, 5)
    assert column[0:3].tolist() == [-1] * 3
    assert column[3:9].tolist() == [-1] * 2
    assert column[:].tolist() == [-1] * 5
