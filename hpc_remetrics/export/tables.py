"""Write one table as a Parquet, CSV or JSON file, batch by batch."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..dataset.arrow import import_pyarrow, schema_of
from ..dataset.schema import TableFormat
from ..dataset.table import Table
from ..dataset.text_values import csv_texts
from ..files.publish import replacing

_FORMULA = r"^[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
_ODD = {"bytes": _FORMULA, "text": rf"{_FORMULA}|[^ -\[\]-~]"}
"""Type of a column -> pattern of the strings that a CSV file has in another form."""

_MOST_LINE_BYTES = 1 << 20

Write = Callable[[Any], None]


def write_table(table: Table, target: Path, form: str) -> int:
    r"""Write a table as `target` and return its rows; memory holds one batch.

    Parquet: a row group a batch, packed with zstd. CSV: a line of names first, nothing between
    commas for null; strings as `readable.csv_text` has them, so that a spreadsheet finds no formula
    in a name. JSON: one object a line.
    """
    schema = schema_of(table)
    with replacing(target) as file, _WRITERS[form](table.form, schema, file) as write:
        for batch in table.batches():
            write(batch)
    return len(table)


def is_table(table: Table, form: str, path: Path) -> bool:
    """Return whether a file has the columns of a table, in this version or another."""
    found, known = _columns_in(path, form), schema_of(table).names
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
            line = file.readline(_MOST_LINE_BYTES).decode()
        return list(json.loads(line)) if form == "json" else next(csv.reader([line]), [])
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return []


@contextmanager
def _parquet(form: TableFormat, schema: Any, file: BinaryIO) -> Iterator[Write]:
    import_pyarrow()
    from pyarrow import parquet

    words = [field.name for field in schema if _is_words(field)]
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=words) as writer:
        yield writer.write_batch


@contextmanager
def _csv(form: TableFormat, schema: Any, file: BinaryIO) -> Iterator[Write]:
    pa = import_pyarrow()
    from pyarrow import compute
    from pyarrow import csv as arrow_csv

    plain = pa.schema(
        [field.with_type(pa.string()) if _is_words(field) else field for field in schema]
    )

    def write(batch: Any) -> None:
        table = pa.Table.from_batches([batch]).cast(plain)
        for number, name in enumerate(plain.names):
            kind = form.columns[name].type if name in form.columns else ""
            # Most columns hold nothing odd, which Arrow finds out a hundred times as fast as
            # Python.
            if (
                kind in _ODD
                and compute.any(
                    compute.match_substring_regex(table.column(number), _ODD[kind])
                ).as_py()
            ):
                cells = csv_texts(table.column(number).to_pylist(), is_path=kind == "bytes")
                table = table.set_column(number, plain.field(number), pa.array(cells, pa.string()))
        writer.write_table(table)

    with arrow_csv.CSVWriter(file, plain) as writer:
        yield write


@contextmanager
def _json(form: TableFormat, schema: Any, file: BinaryIO) -> Iterator[Write]:
    names = schema.names
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def write(batch: Any) -> None:
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        file.write(
            "".join(f"{encode(dict(zip(names, row, strict=True)))}\n" for row in rows).encode()
        )

    yield write


def _is_words(field: Any) -> bool:
    return import_pyarrow().types.is_dictionary(field.type)


_WRITERS = {"parquet": _parquet, "csv": _csv, "json": _json}
