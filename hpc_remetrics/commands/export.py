"""`export`: a dataset as files of other formats."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_force_option, add_verb

_EXAMPLES = """
formats:
  parquet    a file a table, for DuckDB, pandas, polars, R and Spark
  csv        the same as text
  json       the same, an object a line
  seed2017   the files of the 2017 tool: layer_db_json/, image_mapper.json, list_less_50m.json …

Tables and columns have the dataset's names, enums are words, digests `sha256:…`, paths text with \\xNN for
what is no printable UTF-8. `row` is what other tables' row numbers mean. Metrics are in a folder of their own.

examples:
  hpc-remetrics export hub.h5 --format parquet -o hub
  hpc-remetrics export hub.h5 --format csv --table layers --table images -o tables
  duckdb -c "SELECT kind, count(*) FROM 'hub/entries.parquet' GROUP BY kind"
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    from ..dataset.metrics_schema import METRICS
    from ..dataset.schema import TABLES
    from ..export import FORMATS
    from ..export import METRICS as FOLDER

    text = "write a dataset as Parquet, CSV or JSON, or as the 2017 tool's files"
    parser = add_verb(verbs, "export", text, _EXAMPLES, _run)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    parser.add_argument(
        "--format", choices=FORMATS, default="parquet", help="what to write (default: parquet)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="the folder (default: the dataset's name and format)",
    )
    parser.add_argument(
        "--table",
        action="append",
        choices=[*TABLES, *(f"{FOLDER}{name}" for name in METRICS)],
        metavar="NAME",
        help="only this table, such as layers or metrics/growth (repeat; default: all)",
    )
    add_force_option(parser, "files that this program did not export")


def _run(arguments: argparse.Namespace) -> int:
    from ..export import export_command

    folder = arguments.output or Path(f"{arguments.dataset.stem}-{arguments.format}")
    return export_command(
        arguments.dataset, arguments.format, folder, arguments.table or (), arguments.force
    )
