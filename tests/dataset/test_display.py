"""Representation of a dataset in an interpreter and in a notebook: all tables, no tag."""

from html.parser import HTMLParser

import pytest

from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.dataset.schema import TABLES


class Cells(HTMLParser):
    """Collects the text of the cells of each row, and checks that tags are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.rows = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.rows:
            self.rows[-1].append(data)


@pytest.fixture
def dataset(made):
    with Dataset(made) as dataset:
        yield dataset


def test_a_dataset_as_text(dataset):
    text = repr(dataset)
    assert text.startswith(f"<hpc_remetrics dataset '{dataset.path}'>\n")
    assert max(map(len, text.splitlines()[1:])) <= 100
    for name, table in dataset.items():
        line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert line.split()[1] == f"{len(table):,}"
        assert line.split()[2].rstrip(",") == table.columns[0]
    assert "no metrics" not in text


def test_a_dataset_as_html(dataset):
    rows = Cells(dataset._repr_html_()).rows
    assert rows[0] == ["table", "rows", "columns"]
    heads = [row for row in rows[1:] if row[0] in TABLES and row[-1].isdigit()]
    assert heads == [
        [name, f"{len(table):,}", str(len(table.columns))] for name, table in dataset.items()
    ]
    columns = [row[0] for row in rows[1:] if row not in heads]
    assert columns == [name for table in dataset for name in dataset[table].columns]


def test_a_path_is_no_markup(tmp_path, made):
    path = tmp_path / "<b>&.h5"
    path.write_bytes(made.read_bytes())
    with Dataset(path) as dataset:
        assert "<b>&.h5" not in dataset._repr_html_()
        assert "&lt;b&gt;&amp;.h5" in dataset._repr_html_()


def test_a_dataset_is_a_mapping_of_its_tables(dataset):
    assert len(dataset) == len(TABLES)
    assert "layers" in dataset and "layer" not in dataset
    assert dict(dataset) == dict(dataset.items())
    assert dataset._ipython_key_completions_() == list(TABLES)
    assert "totals" in dataset.metrics and len(dataset.metrics) == len(list(dataset.metrics))
    assert dataset.metrics._ipython_key_completions_() == dataset.metrics.keys()
