"""Jobs on a real SLURM that the tests bring up."""

import shutil
import tempfile
from pathlib import Path

import pytest
from support.slurm import Slurm


@pytest.fixture(scope="session")
def slurm():
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Slurm(folder)
    yield cluster
    cluster.down()
    shutil.rmtree(folder)
