"""Profile every layer and every file of many container images, in parallel, into one HDF5 dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .store.dataset import Dataset

__version__ = "0.1.0"


def open(path: str | Path) -> Dataset:
    """Open a dataset for reading: tables as numpy, pandas or Arrow, lazily.

    Use it as `with hpc_remetrics.open("hub.h5") as data: data.layers["CLS"].sum()`.

    :raises DatasetError: the file is missing, damaged, or no dataset of this version.
    """
    from .store.dataset import Dataset

    return Dataset(path)
