"""docs/r.md: what R reads from the HDF5 file is what the reader gives."""

import re
import shutil
import subprocess

import pytest
from support.package import ROOT
from support.tools import need

import hpc_remetrics

PAGE = (ROOT / "docs" / "r.md").read_text()
BLOCKS = {
    re.search(r"library\((\w+)\)", block)[1]: block
    for block in re.findall(r"```r\n(.*?)```", PAGE, re.DOTALL)
}


@pytest.fixture
def printed(truth, tmp_path):
    """Return what R prints for the block of a package."""
    shutil.copy(truth, tmp_path / "remetrics.h5")

    def run(package: str) -> str:
        command = [need("Rscript"), "--vanilla", "-e", BLOCKS[package]]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.mark.slow
def test_rhdf5(printed, truth):
    said = printed("rhdf5")
    with hpc_remetrics.open(truth) as data:
        size, copies = data.contents["size"], data.contents["copies"]
        rows = data.entries["content"]
    assert f"{copies.sum() / len(size):.4f}"[:5] in said
    known = rows[rows >= 0]
    found = re.search(r"([\d.e+]+) bytes in (\d+) entries", said)
    assert float(found[1]) == pytest.approx(size[known].sum(), rel=1e-6)
    assert int(found[2]) == len(known)


@pytest.mark.slow
def test_hdf5r(printed, truth):
    said = printed("hdf5r")
    with hpc_remetrics.open(truth) as data:
        kinds = data.entries.readable("kind").tolist()
        compressed = data.layers["CLS"].sum()
    words, counts = re.search(r"^ *(.*)\n *([\d ]+)\n", said.strip() + "\n", re.MULTILINE).groups()
    assert dict(zip(words.split(), map(int, counts.split()), strict=True)) == {
        kind: kinds.count(kind) for kind in set(kinds)
    }
    found = re.search(r"([\d.e+]+) compressed bytes", said)
    assert float(found[1]) == pytest.approx(compressed, rel=1e-6)
