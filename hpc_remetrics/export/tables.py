"""Write one table as a Parquet, CSV or JSON file, batch by batch."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..dataset.arrow import import_pyarrow, schema_of
from ..dataset.schema import MISSING, TableFormat
from ..dataset.table import Table
from ..dataset.text_values import csv_texts, time_texts
from ..files.publish import replacing
from ..records import LAST_SECOND

_FORMULA = r"^[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
_ODD_TEXT = rf"{_FORMULA}|[^ -\[\]-~]"
_ODD = {"bytes": _FORMULA, "text": _ODD_TEXT, "utf8": _ODD_TEXT}
"""Type of a column -> pattern of the strings that `csv_texts` changes for a CSV file."""

_TIMES_BESIDE = {"mtime": "mtime_utc"}
"""Column of seconds, which may be any -> the column of times that Parquet has beside it."""

TIMES = (-62_135_596_800, LAST_SECOND)
"""First and last second of the years 1 to 9999, which programs that read Parquet can show."""

_MAX_LINE_BYTES = 1 << 20
"""The most that is read of a CSV or JSON file to tell its columns."""

Write = Callable[[Any], None]
"""Writes one Arrow record batch to the file that is being written."""


def exported_schema(table: Table, form: str) -> Any:
    """Return the Arrow schema of an exported table; Parquet has times beside numbers of seconds."""
    schema = schema_of(table)
    for name, time in _TIMES_BESIDE.items():
        if form == "parquet" and name in schema.names:
            pa = import_pyarrow()
            about = f"{name} as a time, in UTC; missing outside of the years 1 to 9999"
            field = pa.field(time, pa.timestamp("s"), metadata={"description": about})
            schema = schema.insert(schema.get_field_index(name) + 1, field)
    return schema


def write_table(
    table: Table, target: Path, form: str, about: Mapping[str, str] | None = None
) -> int:
    """Write a table as a file and return its rows; memory holds one batch.

    Parquet has a row group for each batch, compressed with zstd, with row numbers as differences.
    CSV has a line of names first, and nothing between commas for null; strings are those of
    `text_values.csv_text`, so no name becomes a formula in a spreadsheet. JSON has one object on
    each line. Times are strings of RFC 3339 in both.

    :param form: `parquet`, `csv` or `json`.
    :param about: what the metadata of a Parquet file say of the dataset.
    """
    description = {"description": table.form.description}
    schema = exported_schema(table, form).with_metadata({**(about or {}), **description})
    with replacing(target) as file, _WRITERS[form](table.form, schema, file) as write:
        for batch in table.batches():
            write(batch)
    return len(table)


def is_table(table: Table, form: str, path: Path) -> bool:
    """Return whether a file has the columns of a table, as this version or another one wrote them.

    Another version may have more columns or fewer; the first one is the same.
    """
    found = _columns_in(path, form)
    known = exported_schema(table, form).names
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
    # Row numbers rise, or lie near each other; other numbers need more bytes as differences
    numbers = [
        field.name
        for field in schema
        if (column := form.columns.get(field.name)) is None or column.type in ("row", "first")
        if not _is_time(field)
    ]
    with parquet.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=enums,
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    ) as writer:
        yield lambda batch: writer.write_batch(_with_times(batch, schema))


def _with_times(batch: Any, schema: Any) -> Any:
    """Return a record batch with the times that a schema has beside numbers of seconds."""
    import pyarrow as pa

    for name, time in _TIMES_BESIDE.items():
        if time in schema.names:
            place = schema.get_field_index(time)
            seconds = batch.column(name).to_numpy()
            is_null = (seconds < TIMES[0]) | (seconds > TIMES[1])
            times = np.where(is_null, 0, seconds).astype("<M8[s]")
            column = pa.array(times, pa.timestamp("s"), mask=is_null)
            batch = batch.add_column(place, schema.field(place), column)
    return batch


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
