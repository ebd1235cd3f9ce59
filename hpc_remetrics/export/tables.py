"""Write one table as a Parquet, CSV or JSON file, batch by batch."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..dataset.arrow import import_pyarrow, schema_of
from ..dataset.schema import MISSING, TableFormat
from ..dataset.table import Table
from ..dataset.text_values import csv_texts, time_texts
from ..files.publish import replacing

_FORMULA = r"^[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
_ODD_TEXT = rf"{_FORMULA}|[^ -\[\]-~]"
_ODD = {"bytes": _FORMULA, "text": _ODD_TEXT, "utf8": _ODD_TEXT}
"""Type of a column -> pattern of the strings that `csv_texts` changes for a CSV file."""

_MAX_LINE_BYTES = 1 << 20
"""The most that is read of a CSV or JSON file to tell its columns."""

Write = Callable[[Any], None]
"""Writes one Arrow record batch to the file that is being written."""


def write_table(table: Table, target: Path, form: str) -> int:
    """Write a table as a file and return its rows; memory holds one batch.

    Parquet has a row group for each batch, compressed with zstd. CSV has a line of names first, and
    nothing between commas for null; strings are those of `text_values.csv_text`, so no name becomes
    a formula in a spreadsheet. JSON has one object on each line. Times are strings of RFC 3339 in
    both.

    :param form: `parquet`, `csv` or `json`.
    """
    schema = schema_of(table)
    with replacing(target) as file, _WRITERS[form](table.form, schema, file) as write:
        for batch in table.batches():
            write(batch)
    return len(table)


def is_table(table: Table, form: str, path: Path) -> bool:
    """Return whether a file has the columns of a table, as this version or another one wrote them.

    Another version may have more columns or fewer; the first one is the same.
    """
    found = _columns_in(path, form)
    known = schema_of(table).names
    return found[:1] == known[:1] and (set(found) <= set(known) or set(known) <= set(found))


def _columns_in(path: Path, form: str) -> list[str]:
    """Return the names of the columns of an exported file; none if it is of another format."""
    pa = import_pyarrow()
    try:
        with open(path, "rb") as file:
            if form == "parquet":
                from pyarrow import parquet

                # By the file, since Arrow takes no path that is not UTF-8.
                return parquet.ParquetFile(file).schema_arrow.names
            line = file.readline(_MAX_LINE_BYTES).decode()
        if form == "json":
            return list(json.loads(line))
        return next(csv.reader([line]), [])
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return []


@contextmanager
def _parquet(form: TableFormat, schema: Any, file: BinaryIO) -> Iterator[Write]:
    from pyarrow import parquet

    enums = [field.name for field in schema if _is_enum(field)]
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=enums) as writer:
        yield writer.write_batch


@contextmanager
def _csv(form: TableFormat, schema: Any, file: BinaryIO) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    # Enums and times become strings
    is_string = [_is_enum(field) or _is_time(field) for field in schema]
    pairs = zip(schema, is_string, strict=True)
    plain = pa.schema([field.with_type(pa.string()) if text else field for field, text in pairs])

    def write(batch: Any) -> None:
        table = pa.Table.from_batches([_with_time_texts(batch)]).cast(plain)
        for number, field in enumerate(plain):
            kind = form.columns[field.name].type if field.name in form.columns else ""
            column = table.column(number)
            if _is_odd(column, kind):
                cells = csv_texts(column.to_pylist(), is_path=kind == "bytes")
                table = table.set_column(number, field, pa.array(cells, pa.string()))
        writer.write_table(table)

    with arrow_csv.CSVWriter(file, plain) as writer:
        yield write


def _is_odd(column: Any, kind: str) -> bool:
    """Return whether a column has strings that `csv_texts` changes.

    Most have none, and Arrow finds that out a hundred times as fast as Python.

    :param kind: type of the column in the schema.
    """
    from pyarrow import compute

    if kind not in _ODD:
        return False
    return bool(compute.any(compute.match_substring_regex(column, _ODD[kind])).as_py())


@contextmanager
def _json(form: TableFormat, schema: Any, file: BinaryIO) -> Iterator[Write]:
    names = schema.names
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def write(batch: Any) -> None:
        batch = _with_time_texts(batch)
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        lines = [f"{encode(dict(zip(names, row, strict=True)))}\n" for row in rows]
        file.write("".join(lines).encode())

    yield write


def _with_time_texts(batch: Any) -> Any:
    """Return a record batch with strings of RFC 3339 in place of times."""
    import pyarrow as pa

    for number, field in enumerate(batch.schema):
        if _is_time(field):
            seconds = batch.column(number).cast(pa.int64()).fill_null(MISSING["NaT"])
            texts = [text or None for text in time_texts(seconds.to_numpy())]
            batch = batch.set_column(
                number, field.with_type(pa.string()), pa.array(texts, pa.string())
            )
    return batch


def _is_time(field: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(field.type))


def _is_enum(field: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(field.type))


_WRITERS = {"parquet": _parquet, "csv": _csv, "json": _json}
