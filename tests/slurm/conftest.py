"""Jobs on a real SLURM that the tests bring up."""

import shutil
import tempfile
from pathlib import Path

import pytest
from support.slurm import Slurm


@pytest.fixture(scope="session")
def slurm():
    directory = Path(tempfile.mkdtemp(prefix="slurm-"))
    directory.chmod(0o755)
    cluster = Slurm(directory)
    yield cluster
    cluster.down()
    shutil.rmtree(directory)
