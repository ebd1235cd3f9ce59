"""`export`: write a dataset as files for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import directory_option, force_option
from ..errors import UsageError
from ..export import FORMATS
from ..options import (
    PATH,
    STRING,
    STRINGS,
    SWITCH,
    Options,
    argument,
    choice_of,
    option,
    suggestion,
)
from . import Command

if TYPE_CHECKING:
    from ..export.package import PackageInfo

_WHOLE = ("hdf5", "seed2017")
"""Formats that have no single tables."""

_EXAMPLES = """
formats:
  parquet    one file for each table, for DuckDB, pandas, polars, R and Spark
  csv        the same as text
  json       the same, one object on each line
  hdf5       the dataset itself, in one file again: with --anonymous, to publish it
  seed2017   the files of the 2017 tool: layer_db_json/, image_mapper.json, list_less_50m.json …

Tables and columns are named as in the dataset, enums are words, digests are `sha256:…`, and paths
have \\xNN for bytes that are not printable UTF-8. Row numbers in other tables refer to the column
`row`. Metrics are in a directory of their own.

examples:
  hpc-remetrics export hub.h5 --format parquet -o hub
  hpc-remetrics export hub.h5 --format csv --table layers --table images -o tables
  hpc-remetrics export hub.h5 --format hdf5 --anonymous -o public
  hpc-remetrics export hub.h5 --package --title "Docker Hub, 2026" --license CC-BY-4.0 -o public
  duckdb -c "SELECT kind, count(*) FROM 'hub/entries.parquet' GROUP BY kind"
"""


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """The options of `export`."""

    dataset: Path = argument("DATASET.h5", value=PATH, help="the dataset")
    format: str = option(
        "--format",
        value=choice_of(*FORMATS),
        default="parquet",
        key=False,
        help="format to write",
    )
    output: Path | None = directory_option("the dataset's name with the format")
    tables: tuple[str, ...] = option(
        "--table",
        value=STRINGS,
        default=(),
        key=False,
        metavar="NAME",
        help="write only this table, such as layers or metrics/growth",
        default_text="all",
    )
    anonymous: bool = option(
        "--anonymous",
        value=SWITCH,
        default=False,
        key=False,
        help="leave out host names, paths and command lines of those who made the dataset, and "
        "names of persons in configs",
    )
    package: bool = option(
        "--package",
        value=SWITCH,
        default=False,
        key=False,
        help="describe the files for a publication: datapackage.json, croissant.json, README.md, …",
    )
    title: str = option(
        "--title",
        value=STRING,
        default="",
        key=False,
        metavar="TEXT",
        help="title of the package",
        default_text="the dataset's name",
    )
    creators: tuple[str, ...] = option(
        "--creator",
        value=STRINGS,
        default=(),
        key=False,
        metavar="NAME",
        help="who made the package (repeat)",
    )
    license: str = option(
        "--license",
        value=STRING,
        default="",
        key=False,
        metavar="SPDX",
        help="licence of the package, as in SPDX: CC-BY-4.0, CC0-1.0, …",
    )
    force: bool = force_option("files that this program did not export")


def _run(options: ExportOptions) -> int:
    from ..dataset.metrics_schema import METRICS
    from ..dataset.schema import TABLES
    from ..export import METRICS as METRICS_DIRECTORY
    from ..export import export_command

    # Refuse what does not fit together.
    known = [*TABLES, *(f"{METRICS_DIRECTORY}{name}" for name in METRICS)]
    if unknown := [name for name in options.tables if name not in known]:
        raise UsageError(f"--table: unknown table {unknown[0]!r}", suggestion(unknown[0], known))
    if options.tables and options.format in _WHOLE:
        message = f"--table: {options.format} is always written whole"
        raise UsageError(message, "choose parquet, csv or json for single tables")
    if options.package and options.format in _WHOLE:
        message = f"--package describes tables, and {options.format} has none"
        raise UsageError(message, "choose parquet, csv or json")

    # Write it.
    directory = options.output or Path(f"{options.dataset.stem}-{options.format}")
    return export_command(
        options.dataset,
        options.format,
        directory,
        options.tables,
        options.force,
        is_anonymous=options.anonymous,
        package=_package_info(options),
    )


def _package_info(options: ExportOptions) -> PackageInfo | None:
    """Return what to say of the export in the files that describe it, None without `--package`."""
    from ..export.package import PackageInfo

    if not options.package:
        if options.title or options.creators or options.license:
            raise UsageError("--title, --creator and --license are for --package", "add --package")
        return None
    title = options.title or options.dataset.stem
    return PackageInfo(title, options.creators, options.license)


COMMAND = Command(
    "write a dataset as Parquet, CSV, JSON or HDF5, or as the 2017 tool's files",
    ExportOptions,
    _run,
    _EXAMPLES,
)
