"""Every command and every Python block of the pages works in a fresh clone after the quick start
alone.

Left out is what needs a network, a cluster or another program, by the words in it.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clone")]

ELSEWHERE = (
    *(
        "docker://",
        "localhost:5000",
        "repos:",
        "repos.csv",
        " crawl ",
        " download ",
        " fetch ",
        "oci:mirror",
        "oci:/data/mirror",
    ),
    *("srun", "sbatch", "apptainer", "pip ", "…", "DATASET.h5", "SOURCE", "/gpfs"),
)
RECIPES = ("spack_repo", "easyblock")
"""What a Python block of a recipe for another installer holds."""


def commands(page: Path) -> list[str]:
    """Return the lines of a page that call the program, or one that reads its files."""
    called = []
    for line in page.read_text().splitlines():
        line = re.sub(r"\s{2,}[#(].*$", "", line.strip().removeprefix("$ "))
        is_call = re.match(
            r"((mpirun -n \d+ )?(hpc-remetrics|python -m hpc_remetrics)|duckdb|h5dump) ", line
        )
        if is_call and not any(word in line for word in ELSEWHERE):
            called.append(line)
    return called


def blocks(page: Path) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [block for block in found if not any(word in block for word in RECIPES)]


@pytest.fixture(scope="session")
def images(tmp_path_factory, clone, layout) -> Path:
    """A directory with what the pages call a user's own: a layout, a dataset, and an earlier
    one."""
    directory = tmp_path_factory.mktemp("own")
    shutil.copytree(layout, directory / "layout")
    give_datasets(clone, directory)
    return directory


def give_datasets(clone, directory: Path) -> None:
    """Put the datasets there that the pages begin with, whatever another page left of them."""
    for name in ("hub", "remetrics", "monday", "tuesday", "sample", "week-01", "week-02"):
        shutil.copy(clone.root / "remetrics.h5", directory / f"{name}.h5")
    (directory / "pairs.csv").write_text("old,new\ndemo/python:core,demo/python:latest\n")


def test_the_pages_have_something_to_run():
    assert sum(len(commands(page)) for page in PAGES) >= 12
    assert sum(len(blocks(page)) for page in PAGES) >= 15


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if commands(page) or blocks(page)],
    ids=lambda page: page.name,
)
def test_a_page(clone, images, page, tmp_path):
    """Its commands in their order, then its Python blocks, which follow each other as in a
    notebook. A page begins with the same files whatever another one left."""
    give_datasets(clone, images)
    for command in commands(page):
        own = re.sub(r"mpirun -n \d+", "mpirun -n 2", command).replace(
            "/data/layout", str(images / "layout")
        )
        own = own.replace("/local/scratch", "/tmp")
        words = shlex.split(own)
        if "analyze" in words and "-o" in words:  # another dataset than the one that is there
            output = images / words[words.index("-o") + 1]
            output.unlink(missing_ok=True)
        result = clone.shell(own, images)
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"

    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page)))
    result = clone.shell(f"python {script}", images)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() or "print(" not in script.read_text()
