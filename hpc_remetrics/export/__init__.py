"""Datasets as files of other formats: what a dataset holds, handed out table by table in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError

if TYPE_CHECKING:
    from ..store.dataset import Dataset

FORMATS = ("parquet", "csv", "json", "seed2017")

METRICS = "metrics/"
"""How the names of tables of metrics begin, and the folder that they are written to."""


def export_command(path: Path, form: str, folder: Path, tables: Sequence[str]) -> int:
    """Write a dataset to a folder, a file a table, and say what was written; return the exit code.

    What is there already under the same names is replaced, each file when the new one is whole.

    :param form: one of :data:`FORMATS`.
    :param tables: names of the tables to write; all if there is none.
    """
    from ..store.dataset import Dataset
    from ..store.hdf5 import output_error

    with Dataset(path) as dataset:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(dataset, form, folder, tables)
        except FileExistsError:
            raise OutputError(f"{folder} is a file", "name a folder with -o") from None
        except OSError as error:
            raise output_error(error, folder, "the export") from error
    return 0


def _write(dataset: Dataset, form: str, folder: Path, tables: Sequence[str]) -> None:
    if form == "seed2017":
        from .seed2017 import write

        written = write(dataset, folder)
        print(f"{folder}: {written.layers:,} layers, {written.images:,} images", file=sys.stderr)
        return
    from .tables import write_table

    for name in tables or dataset.tables:
        target = folder / f"{name}.{form}"
        target.parent.mkdir(exist_ok=True)
        table = dataset.metrics[name.removeprefix(METRICS)] if name.startswith(METRICS) else dataset.table(name)
        print(f"{target}: {write_table(table, target, form):,} rows", file=sys.stderr)
    if dataset.has_metrics and not tables:
        (folder / METRICS).mkdir(exist_ok=True)
        for name in dataset.metrics.tables:
            write_table(dataset.metrics[name], folder / METRICS / f"{name}.{form}", form)
        print(f"{folder / METRICS}: {len(dataset.metrics.tables)} tables of metrics", file=sys.stderr)
