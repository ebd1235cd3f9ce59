"""Every example in docs/examples.md and in docstrings runs, on the demo images."""

import contextlib
import doctest
import importlib
import io
import re

import pytest
from support.package import PACKAGE, ROOT
from support.runs import Runs

PAGE = (ROOT / "docs" / "examples.md").read_text()
PARTS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A directory with a dataset of the demo images by the name that the examples use."""
    runs = Runs(tmp_path_factory.mktemp("examples"))
    runs.run(runs.analyze(f"demo:{runs.directory / 'images'}", "remetrics.h5"))
    return runs.directory


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


def examine(name: str) -> None:
    """Run the examples in the docstrings of a module."""
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.attempted and not result.failed


@pytest.mark.parametrize(
    "module",
    [
        str(path.relative_to(ROOT))
        for path in sorted(PACKAGE.rglob("*.py"))
        if ">>> " in path.read_text() and path != PACKAGE / "__init__.py"
    ],
)
def test_docstrings(module):
    examine(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


@pytest.mark.slow
def test_the_docstring_of_the_package_opens_a_dataset(here):
    examine("hpc_remetrics")
