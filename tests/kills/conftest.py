"""Runs on small real images that are killed, stopped and starved; `REMETRICS_SWEEP=200` makes the sweeps long."""

import os
from pathlib import Path

import pytest
from support import small_images
from support.runs import Runs
from support.tools import need


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    need("zstd")
    return small_images.build(tmp_path_factory.mktemp("layout"))


@pytest.fixture(scope="session")
def truth(tmp_path_factory, layout) -> Path:
    """The dataset of an undisturbed run without MPI."""
    runs = Runs(tmp_path_factory.mktemp("truth"))
    runs.run(runs.analyze(f"oci:{layout}", runs.folder / "truth.h5"))
    return runs.folder / "truth.h5"


@pytest.fixture
def sweep():
    """Return how many disturbances a sweep has, of a few by default."""
    return lambda few: int(os.environ.get("REMETRICS_SWEEP", few))
