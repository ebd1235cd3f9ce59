"""Whole runs of the command on small real images."""

import subprocess
from pathlib import Path

import pytest
from support import small_images
from support.runs import Runs
from support.tools import need


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


@pytest.fixture(scope="session")
def truth(tmp_path_factory, layout) -> Path:
    """The dataset of an undisturbed run without MPI."""
    runs = Runs(tmp_path_factory.mktemp("truth"))
    runs.run(runs.analyze(f"oci:{layout}", runs.folder / "truth.h5"))
    return runs.folder / "truth.h5"


@pytest.fixture
def same():
    """Return a function that fails unless two datasets are equal in every table outside /run."""

    def compare(one: Path, other: Path) -> None:
        command = [need("h5diff"), "-v", "--exclude-path", "/run", str(one), str(other)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr

    return compare


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    """An OCI layout of real files of this machine: three images that share layers, in gzip, zstd and plain tar."""
    need("zstd")
    return small_images.build(tmp_path_factory.mktemp("layout"))
