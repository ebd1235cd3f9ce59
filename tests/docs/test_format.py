"""docs/format.md says what the program does, and its examples run."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from support.runs import Runs
from support.tools import need

import hpc_remetrics
from hpc_remetrics.dataset.schema import SCHEMA, SCHEMA_VERSION, TABLES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory with a dataset of the demo images by the name that the page uses."""
    runs = Runs(tmp_path_factory.mktemp("format"))
    runs.run(runs.analyze(f"demo:{runs.directory / 'images'}", "remetrics.h5", "--types", "none"))
    runs.run(runs.command("export", "remetrics.h5", "--format", "csv", "-o", "tables"))
    return runs.directory


def test_the_page_shows_the_schema():
    assert SCHEMA.strip() in PAGE
    assert f"`schema_version` is {SCHEMA_VERSION}." in PAGE


def test_the_page_draws_every_column_that_holds_rows():
    (drawing,) = re.findall(r"```\n(/images .*?)```", PAGE, re.DOTALL)
    pointing = [
        (name, column.name, column.target)
        for name, table in TABLES.items()
        for column in table.columns.values()
        if column.target
    ]
    words = set(re.findall(r"/?\w+", drawing))
    assert words == {word for one in pointing for word in (f"/{one[0]}", one[1], f"/{one[2]}")}
    assert len(re.findall("[▶◀▼]", drawing)) == len(pointing)


@pytest.mark.slow
@pytest.mark.parametrize(
    "example", EXAMPLES, ids=["take", "reader", "h5py", "duckdb", "xarray", "pandas", "csv"]
)
def test_an_example_runs(directory, example):
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=directory, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


@pytest.mark.slow
def test_the_listing_is_what_h5dump_prints(directory):
    command = [
        need("h5dump"),
        "-H",
        "-d",
        "/entries/kind",
        "-d",
        "/contents/digest",
        "remetrics.h5",
    ]
    printed = subprocess.run(
        command, cwd=directory, check=True, capture_output=True, text=True
    ).stdout
    (shown,) = re.findall(r"\$ h5dump -H .*?\n(.*?)```", PAGE, re.DOTALL)
    for line in shown.splitlines():
        if line.strip() != "…" and "DATASPACE" not in line:
            assert line in printed


@pytest.mark.slow
def test_commands_of_other_tools(directory):
    """The column's values and every name are in what h5dump prints, and DuckDB reads what export
    writes."""
    dumped = subprocess.run(
        [need("h5dump"), "-d", "/layers/CLS", "remetrics.h5"], cwd=directory, capture_output=True
    )
    names = subprocess.run(
        [need("h5dump"), "-n", "remetrics.h5"], cwd=directory, capture_output=True, text=True
    )
    assert "$ h5dump -d /layers/CLS remetrics.h5" in PAGE and "$ h5dump -n remetrics.h5" in PAGE
    (command,) = re.findall(r"^\$ hpc-remetrics (.*)$", PAGE, re.MULTILINE)
    (query,) = re.findall(r'^\$ duckdb -c "(.*)"$', PAGE, re.MULTILINE)
    subprocess.run(
        [sys.executable, "-m", "hpc_remetrics", *command.split()], cwd=directory, check=True
    )
    with hpc_remetrics.open(directory / "remetrics.h5") as data:
        numbers = [
            int(text)
            for text in re.findall(rb"\d+(?=[,\s])", dumped.stdout.partition(b"DATA {")[2])
        ]
        assert set(data.layers["CLS"].tolist()) <= set(numbers)
        assert all(f" /{name}/row\n" in names.stdout for name in data)
        kinds = data.entries.readable("kind").tolist()
    counts = dict(duckdb.sql(query.replace("tables/", f"{directory}/tables/")).fetchall())
    assert counts == {kind: kinds.count(kind) for kind in set(kinds)}
