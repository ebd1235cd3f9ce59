"""docs/format.md says what the program does, and its examples run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import Runs
from support.tools import need

from hpc_remetrics.store.schema import SCHEMA, SCHEMA_VERSION

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a dataset of the demo images by the name that the page uses."""
    runs = Runs(tmp_path_factory.mktemp("format"))
    runs.run(runs.analyze(f"demo:{runs.folder / 'images'}", "remetrics.h5", "--types", "none"))
    return runs.folder


def test_the_page_shows_the_schema():
    assert SCHEMA.strip() in PAGE
    assert f"`schema_version` is {SCHEMA_VERSION}." in PAGE


@pytest.mark.parametrize("example", EXAMPLES, ids=["reader", "h5py", "duckdb"])
def test_an_example_runs(folder, example):
    result = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_the_listing_is_what_h5dump_prints(folder):
    command = [need("h5dump"), "-H", "-d", "/entries/kind", "-d", "/contents/digest", "remetrics.h5"]
    printed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    (shown,) = re.findall(r"\$ h5dump .*?\n(.*?)```", PAGE, re.DOTALL)
    for line in shown.splitlines():
        if line.strip() != "…" and "DATASPACE" not in line:
            assert line in printed
