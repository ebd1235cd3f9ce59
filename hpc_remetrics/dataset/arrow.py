"""Convert tables of a dataset to Arrow record batches of readable values, piece by piece.

Every table has its columns under the dataset's names, in the dataset's order, after the keys by
which tables are joined and which HDF5 readers have from the place of a row: `row`, in `/entries`
also `layer`, in `/image_layers` also `image`. Enums and notes are words, digests `sha256:…`,
fingerprints hexadecimal digits, times timestamps without a time zone (they are UTC), paths and
links strings (`text_values.path_text`). The missing value of a column is null; a column that has
none is not nullable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingComponentError
from .schema import CHUNK_ROWS, ENUMS, FLAGS, MISSING, Column
from .text_values import (
    DIGEST_CHARS,
    digest_chars,
    flag_texts,
    is_digest,
    is_plain,
    path_texts,
    utf8_texts,
)

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from .table import Table

BATCH_BYTES = 64 << 20
"""Bytes of each blob, such as the paths, that a batch holds unless one row alone has more."""


def import_pyarrow() -> Any:
    """Return the module pyarrow; `MissingComponentError` if it is not installed."""
    return _import("pyarrow", "Arrow, Parquet, CSV and JSON need")


def import_pandas() -> Any:
    """Return the module pandas; `MissingComponentError` if it is not installed."""
    return _import("pandas", "a frame needs")


def _import(package: str, who_needs: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        message = f"{who_needs} {package} ({error})"
        raise MissingComponentError(message, "pip install 'hpc-remetrics[analysis]'") from None


def check_names(columns: Sequence[str] | None) -> None:
    """Refuse a string in place of a list of columns, which would be taken for its letters.

    :raises TypeError: `columns` is a string.
    """
    if isinstance(columns, str):
        raise TypeError(f"columns are a list of names: write [{columns!r}]")


def schema_of(table: Table, columns: Sequence[str] | None = None) -> pyarrow.Schema:
    """Return the Arrow schema of a table's batches; units and descriptions are field metadata."""
    check_names(columns)
    pa = import_pyarrow()
    return pa.schema([_field(pa, table, name) for name in columns or table.keys + table.columns])


def batches(
    table: Table,
    columns: Sequence[str] | None = None,
    start: int = 0,
    stop: int | None = None,
    rows: int = CHUNK_ROWS,
) -> Iterator[pyarrow.RecordBatch]:
    """Yield record batches of the rows `start` to `stop`, of at most `rows` rows each.

    A batch has about `BATCH_BYTES` of each blob, such as the paths, at most.
    """
    pa = import_pyarrow()
    form = schema_of(table, columns)
    stop = len(table) if stop is None else min(stop, len(table))
    while start < stop:
        end = end_of_batch(table, form.names, start, min(start + rows, stop))
        arrays = [_array(pa, table, name, start, end) for name in form.names]
        yield pa.record_batch(arrays, schema=form)
        start = end


def whole(
    table: Table, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
) -> pyarrow.Table:
    """Return the rows `start` to `stop` as an Arrow table.

    Numbers are in one piece, which pandas takes over as it is; strings in pieces as in `batches`.
    """
    pa = import_pyarrow()
    form = schema_of(table, columns)
    start, stop, _ = slice(start, stop).indices(len(table))
    arrays = []
    for field in form:
        if pa.types.is_string(field.type):
            pieces = [one.column(0) for one in batches(table, [field.name], start, stop)]
        else:
            pieces = [_array(pa, table, field.name, start, stop)]
        arrays.append(pa.chunked_array(pieces, field.type))
    return pa.Table.from_arrays(arrays, schema=form)


def frame(table: pyarrow.Table, start: int, stop: int) -> pandas.DataFrame:
    """Return an Arrow table as a pandas frame of the rows `start` to `stop`.

    Integers of columns that may lack values get pandas' nullable types: floats would round them.
    """
    pa = import_pyarrow()
    pandas = import_pandas()
    nullable = {pa.int32(): pandas.Int32Dtype(), pa.int64(): pandas.Int64Dtype()}
    series = {}
    for field in table.schema:
        # A mapper of types would also take strings from pandas' own type to objects
        types = nullable.get if field.nullable and field.type in nullable else None
        series[field.name] = table.column(field.name).to_pandas(types_mapper=types)
    result = pandas.DataFrame(series, copy=False)
    result.index = pandas.RangeIndex(start, max(start, stop), name="row")
    return result


def end_of_batch(table: Table, names: Sequence[str], start: int, stop: int) -> int:
    """Return the row at which a batch from `start` on ends, at most `stop`."""
    # Take as many rows as have `BATCH_BYTES` of each blob, but at least one
    for name in names:
        column = table.form.columns.get(name)
        if column is not None and column.is_blob:
            bounds = table.column(f"{name}_offset", start, stop + 1)
            fitting = int(np.searchsorted(bounds - bounds[0], BATCH_BYTES, "right")) - 1
            stop = start + max(1, fitting)
    return stop


def _field(pa: Any, table: Table, name: str) -> Any:
    column = table.form.columns.get(name)
    if column is None:
        if name not in table.keys:
            names = ", ".join(table.keys + table.columns)
            raise KeyError(f"/{table.form.name} has no column {name!r}, it has {names}")
        target = table.form.name if name == "row" else f"{name}s"
        about = {"description": f"row in /{target}"}
        return pa.field(name, pa.int64(), nullable=False, metadata=about)
    about = {"unit": column.unit, "description": column.description}
    return pa.field(name, _type(pa, column), nullable=column.is_nullable, metadata=about)


def _type(pa: Any, column: Column) -> Any:
    if column.type == "enum":
        return pa.dictionary(pa.uint8(), pa.string())
    if column.type in ("text", "digest", "fingerprint", "bytes", "utf8", "flags"):
        return pa.string()
    if column.type == "time":
        return pa.timestamp("s")
    return pa.from_numpy_dtype(np.dtype(column.dtype))


def _array(pa: Any, table: Table, name: str, start: int, stop: int) -> Any:
    column = table.form.columns.get(name)
    if column is None:
        return pa.array(table.key(name, start, stop), pa.int64())
    if column.is_blob:
        return _blob(pa, *table.blob(name, start, stop), column)
    values = table.column(name, start, stop)
    if column.type == "enum":
        return pa.DictionaryArray.from_arrays(pa.array(values), list(ENUMS[column.argument]))
    if column.type == "digest":
        return _digests(pa, values, column.is_nullable)
    if column.type in ("text", "fingerprint"):
        texts = table.readable(name, start, stop).tolist()
        if column.is_nullable:
            texts = [text or None for text in texts]
        return pa.array(texts, pa.string())
    if column.type == "flags":
        return pa.array(flag_texts(values, FLAGS[column.argument]), pa.string())
    if column.type == "time":
        is_null = values == MISSING["NaT"]
        return pa.array(values.astype("<M8[s]"), pa.timestamp("s"), mask=is_null)
    return _numbers(pa, values, column)


def _numbers(pa: Any, values: np.ndarray, column: Column) -> Any:
    """Return an array of numbers; -1 is null where it is the missing value, and NaN always is."""
    values = values.astype(column.dtype, copy=False)
    is_null = None
    if column.missing == "-1":
        is_null = values == -1
    elif column.type == "f8":
        is_null = np.isnan(values)
    return pa.array(values, mask=is_null)


def _blob(pa: Any, data: bytes, bounds: np.ndarray, column: Column) -> Any:
    """Return an array of the strings of a blob; plain ASCII is taken over as it is.

    :param column: decides whether an empty one is null, and whether bytes are escaped.
    """
    is_path = column.type == "bytes"
    if is_plain(data) if is_path else data.isascii():
        offsets = pa.py_buffer((bounds - bounds[0]).astype(np.int32).tobytes())
        validity = _validity(pa, np.diff(bounds) > 0) if column.is_nullable else None
        return pa.StringArray.from_buffers(len(bounds) - 1, offsets, pa.py_buffer(data), validity)
    read = path_texts if is_path else utf8_texts
    texts: list[str | None] = [*read(data, (bounds - bounds[0]).tolist())]
    if column.is_nullable:
        texts = [text or None for text in texts]
    return pa.array(texts, pa.string())


def _validity(pa: Any, is_known: np.ndarray) -> Any:
    """Return the bitmap of an array that has a value where (n,) `is_known` is true."""
    return pa.py_buffer(np.packbits(is_known, bitorder="little").tobytes())


def _digests(pa: Any, values: np.ndarray, is_nullable: bool) -> Any:
    """Return an array of `sha256:…`, built from its buffers; unknown digests are null."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * DIGEST_CHARS
    validity = _validity(pa, is_digest(values)) if is_nullable else None
    chars = pa.py_buffer(digest_chars(values).tobytes())
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer(offsets.tobytes()), chars, validity
    )
