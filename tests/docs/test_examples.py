"""Every example in docs/examples.md and in docstrings runs, on the demo images."""

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
from pathlib import Path

import pytest
from support.runs import Runs

import hpc_remetrics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "examples.md").read_text()
PARTS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
MODULES = [
    "hpc_remetrics",
    *(one.name for one in pkgutil.walk_packages(hpc_remetrics.__path__, "hpc_remetrics.")),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with a dataset of the demo images by the name that the examples use."""
    runs = Runs(tmp_path_factory.mktemp("examples"))
    runs.run(runs.analyze(f"demo:{runs.folder / 'images'}", "remetrics.h5"))
    return runs.folder


@pytest.fixture
def here(demo, monkeypatch):
    monkeypatch.chdir(demo)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS, ids=[part.split("\n")[0] for part in PARTS])
def test_a_notebook_runs_and_every_cell_says_something(here, part):
    cells, names = re.findall(r"```python\n(.*?)```", part, re.DOTALL), {}
    assert len(cells) >= 5
    for cell in cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(cell, names)
        said = printed.getvalue().strip()
        assert said and "nan" not in said.lower().split() and "Empty DataFrame" not in said, cell
    names["data"].close()


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstrings(here, name):
    module = importlib.import_module(name)
    if ">>> " in Path(module.__file__).read_text():
        result = doctest.testmod(
            module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        )
        assert result.attempted and not result.failed
    assert os.path.exists("remetrics.h5")
