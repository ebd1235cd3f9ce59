"""The files of the made-up datasets."""

import shutil
from pathlib import Path

import h5py
import pytest

from .made_datasets import FIRST, SECOND


@pytest.fixture(scope="session")
def first(tmp_path_factory) -> Path:
    return FIRST.write(tmp_path_factory.mktemp("first") / "made")


@pytest.fixture(scope="session")
def second(tmp_path_factory) -> Path:
    return SECOND.write(tmp_path_factory.mktemp("second") / "made")


@pytest.fixture
def without_metrics(first, tmp_path) -> Path:
    path = shutil.copy(first, tmp_path / "without.h5")
    with h5py.File(path, "a") as file:
        del file["metrics"]
    return path
