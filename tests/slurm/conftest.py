"""Jobs on a real SLURM that the tests bring up."""

import shutil
import tempfile
from pathlib import Path

import pytest
from support import small_images
from support.runs import Runs
from support.slurm import Slurm
from support.tools import need


@pytest.fixture(scope="session")
def slurm():
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Slurm(folder)
    yield cluster
    cluster.down()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    need("zstd")
    return small_images.build(tmp_path_factory.mktemp("layout"))


@pytest.fixture(scope="session")
def truth(tmp_path_factory, layout) -> Path:
    """The dataset of a run without SLURM and without MPI."""
    runs = Runs(tmp_path_factory.mktemp("truth"))
    runs.run(runs.analyze(f"oci:{layout}", runs.folder / "truth.h5"))
    return runs.folder / "truth.h5"
