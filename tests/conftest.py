"""What holds for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from support import small_images
from support.runs import Runs
from support.tools import need

# In CI the same examples each time: a change is judged by what it changed. Elsewhere new ones, to
# find more.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items):
    """Give the serial tests to one worker of pytest-xdist, so that none runs beside another."""
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    """An OCI layout of real files of this machine: three images that share layers, in gzip, zstd
    and plain tar."""
    need("zstd")
    return small_images.build(tmp_path_factory.mktemp("layout"))


@pytest.fixture(scope="session")
def truth(tmp_path_factory, layout) -> Path:
    """The dataset of an undisturbed run without MPI."""
    runs = Runs(tmp_path_factory.mktemp("truth"))
    runs.run(runs.analyze(f"oci:{layout}", runs.folder / "truth.h5"))
    return runs.folder / "truth.h5"
