"""Export a dataset to files of other formats, table by table, in bounded memory."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DatasetError
from ..wording import counted

if TYPE_CHECKING:
    from ..dataset.reader import Dataset
    from ..dataset.table import Table
    from .package import PackageInfo

FORMATS = ("parquet", "csv", "json", "hdf5", "seed2017")

ENDINGS = {"parquet": "parquet", "csv": "csv", "json": "jsonl"}
"""Format with a file for each table -> how the names of its files end."""

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
    package: PackageInfo | None = None,
) -> int:
    """Write a dataset to a directory, one file for each table; return the exit code.

    A file of the same name is replaced when the new one is whole.

    :param form: one of :data:`FORMATS`.
    :param tables: names of the tables to write; all if there is none.
    :param force: replace files that this program did not export.
    :param is_anonymous: leave out names of hosts, paths and command lines.
    :param package: what to say of the export in files that describe it; None: no such files.
    """
    from ..dataset.reader import Dataset, reading
    from ..files.disk_errors import output_error
    from ..files.outputs import check_output_directory
    from ..files.writing import make_directories

    # Check all outputs before the first one is written
    check_output_directory(directory)
    with Dataset(path) as dataset, reading(dataset):
        _check(dataset, form, directory, tables, force)
        if package is not None:
            _check_package(directory, force)
        try:
            make_directories(directory)
            with _published(dataset, directory, is_anonymous and form != "hdf5") as published:
                _write(published, form, directory, tables, is_anonymous)
                if package is not None:
                    _describe(published, form, directory, tables, package)
        except DatasetError:
            raise
        except OSError as error:
            raise output_error(error, directory, "the export") from error
    return 0


def _write(
    dataset: Dataset, form: str, directory: Path, tables: Sequence[str], is_anonymous: bool
) -> None:
    # Two forms are written whole.
    if form == "hdf5":
        from .dataset_file import write_dataset

        target = directory / dataset.path.name
        write_dataset(dataset, target, is_anonymous)
        print(target, file=sys.stderr)
        return
    if form == "seed2017":
        from .files_of_2017 import write

        written = write(dataset, directory)
        layers = counted(written.layers, "layer")
        images = counted(written.images, "image")
        print(f"{directory}: {layers}, {images}", file=sys.stderr)
        return

    # The others have a file for each table; name those of the metrics in one line.
    from ..files.writing import make_directories
    from .tables import write_table

    for name in _names(dataset, tables):
        target = directory / f"{name}.{ENDINGS[form]}"
        make_directories(target.parent)
        rows = write_table(_table(dataset, name), target, form, _about(dataset))
        if tables or not name.startswith(METRICS):
            print(f"{target}: {counted(rows, 'row')}", file=sys.stderr)
    if dataset.has_metrics and not tables:
        metrics = counted(len(dataset.metrics), "table")
        print(f"{directory / METRICS}: {metrics} of metrics", file=sys.stderr)


def _about(dataset: Dataset) -> dict[str, str]:
    """Return what the metadata of a Parquet file say of the dataset that it is of."""
    names = ("title", "source", "schema_version", "date_created")
    about = {name: str(dataset.attributes.get(name, "")) for name in names}
    about["fingerprint"] = dataset.fingerprint
    return {name: text for name, text in about.items() if text}


def _describe(
    dataset: Dataset, form: str, directory: Path, tables: Sequence[str], info: PackageInfo
) -> None:
    """Write the files that describe an export."""
    from .package import facts_of, write_package

    exported = {name: _table(dataset, name) for name in _names(dataset, tables)}
    written = write_package(directory, exported, ENDINGS[form], info, facts_of(dataset))
    print(f"{directory}: {', '.join(written)}", file=sys.stderr)


@contextmanager
def _published(dataset: Dataset, directory: Path, is_anonymous: bool) -> Iterator[Dataset]:
    """Yield what is exported: the dataset, or an open copy that names nobody.

    :param directory: gets a temporary directory for the copy.
    """
    from ..dataset.reader import Dataset
    from .dataset_file import write_dataset

    if not is_anonymous:
        yield dataset
        return
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
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
        target = directory / f"{name}.{ENDINGS[form]}"
        check_replaceable(target, "export", partial(is_table, table, form), force, [dataset.path])


def _check_package(directory: Path, force: bool) -> None:
    """Check that the files that describe the export may be written."""
    from ..files.outputs import check_replaceable
    from .package import PACKAGE_FILES, is_package_file

    for name in PACKAGE_FILES:
        check_replaceable(directory / name, "package", is_package_file, force, [])
