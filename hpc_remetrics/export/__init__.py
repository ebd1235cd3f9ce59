"""Export a dataset to files of other formats, table by table, in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..errors import DatasetError
from ..wording import counted

if TYPE_CHECKING:
    from ..dataset.reader import Dataset
    from ..dataset.table import Table

FORMATS = ("parquet", "csv", "json", "hdf5", "seed2017")

METRICS = "metrics/"
"""Prefix of the names of tables of metrics, and the directory that they are written to."""


def export_command(
    path: Path,
    form: str,
    directory: Path,
    tables: Sequence[str],
    force: bool = False,
    *,
    is_anonymous: bool = False,
) -> int:
    """Write a dataset to a directory, one file for each table; return the exit code.

    A file of the same name is replaced when the new one is whole.

    :param form: one of :data:`FORMATS`.
    :param tables: names of the tables to write; all if there is none.
    :param force: replace files that this program did not export.
    :param is_anonymous: leave out names of hosts, paths and command lines.
    """
    from ..dataset.reader import Dataset, reading
    from ..files.disk_errors import output_error
    from ..files.outputs import check_output_directory
    from ..files.writing import make_directories

    # Check all outputs before the first one is written
    check_output_directory(directory)
    with Dataset(path) as dataset, reading(dataset):
        _check(dataset, form, directory, tables, force)
        try:
            make_directories(directory)
            _write(dataset, form, directory, tables, is_anonymous)
        except DatasetError:
            raise
        except OSError as error:
            raise output_error(error, directory, "the export") from error
    return 0


def _write(
    dataset: Dataset, form: str, directory: Path, tables: Sequence[str], is_anonymous: bool
) -> None:
    if form == "hdf5":
        from .dataset_file import write_dataset

        target = directory / dataset.path.name
        write_dataset(dataset, target, is_anonymous)
        print(target, file=sys.stderr)
        return
    if is_anonymous:
        # All other formats are written from a copy that names nobody
        with _anonymous_copy(dataset, directory) as copy:
            _write(copy, form, directory, tables, False)
        return
    if form == "seed2017":
        from .files_of_2017 import write

        written = write(dataset, directory)
        layers = counted(written.layers, "layer")
        images = counted(written.images, "image")
        print(f"{directory}: {layers}, {images}", file=sys.stderr)
        return
    from ..files.writing import make_directories
    from .tables import write_table

    for name in _names(dataset, tables):
        target = directory / f"{name}.{form}"
        make_directories(target.parent)
        rows = write_table(_table(dataset, name), target, form)
        if tables or not name.startswith(METRICS):
            print(f"{target}: {counted(rows, 'row')}", file=sys.stderr)
    if dataset.has_metrics and not tables:
        metrics = counted(len(dataset.metrics), "table")
        print(f"{directory / METRICS}: {metrics} of metrics", file=sys.stderr)


@contextmanager
def _anonymous_copy(dataset: Dataset, directory: Path) -> Iterator[Dataset]:
    """Yield an open copy of a dataset, in a temporary directory below another one."""
    from ..dataset.reader import Dataset
    from .dataset_file import write_dataset

    with TemporaryDirectory(dir=directory) as temporary:
        copy = Path(temporary, dataset.path.name)
        write_dataset(dataset, copy, is_anonymous=True)
        with Dataset(copy) as opened:
            yield opened


def _names(dataset: Dataset, tables: Sequence[str]) -> list[str]:
    """Return the names of the tables to write, those of metrics as `metrics/NAME`."""
    if tables:
        return list(tables)
    metrics = dataset.metrics.keys() if dataset.has_metrics else []
    return [*dataset, *(f"{METRICS}{name}" for name in metrics)]


def _table(dataset: Dataset, name: str) -> Table:
    if name.startswith(METRICS):
        return dataset.metrics[name.removeprefix(METRICS)]
    return dataset[name]


def _check(
    dataset: Dataset, form: str, directory: Path, tables: Sequence[str], force: bool
) -> None:
    """Check that all files may be written, before the first one is."""
    from ..files.outputs import check_replaceable

    if form == "seed2017":
        from .files_of_2017 import check

        check(directory, force)
        return
    if form == "hdf5":
        from ..dataset.reader import is_dataset

        target = directory / dataset.path.name
        check_replaceable(target, "dataset", is_dataset, force, [dataset.path])
        return
    from .tables import is_table

    for name in _names(dataset, tables):
        table = _table(dataset, name)
        target = directory / f"{name}.{form}"
        check_replaceable(target, "export", partial(is_table, table, form), force, [dataset.path])
