"""Tables of a dataset as Arrow record batches of readable values, piece by piece.

Every table has its columns under the dataset's names, in the dataset's order, after the keys by
which tables are joined and which HDF5 readers have from the place of a row: `row`, in `/entries`
also `layer`, in `/image_layers` also `image`. Enums and notes are words, digests `sha256:…`,
fingerprints hexadecimal digits, paths and links text (`readable.path_text`); what is not there is
null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingComponentError
from .schema import CHUNK_ROWS, ENUMS, Column
from .text_values import DIGEST_CHARS, digest_chars, is_digest, is_plain, note_texts, path_texts

if TYPE_CHECKING:
    from .table import Table

BATCH_BYTES = 64 << 20
"""Bytes of paths and links that a batch holds unless one row alone has more."""


def import_pyarrow() -> Any:
    """Return the library; `MissingComponentError` where it isn't."""
    try:
        import pyarrow
    except ImportError as error:
        raise MissingComponentError(
            f"Arrow, Parquet, CSV and JSON need pyarrow ({error})",
            "pip install 'hpc-remetrics[export]'",
        ) from None
    return pyarrow


def schema_of(table: Table, columns: Sequence[str] | None = None) -> Any:
    """Return the Arrow schema of a table's batches, with units and descriptions as metadata of the
    fields."""
    pa = import_pyarrow()
    return pa.schema([_field(pa, table, name) for name in columns or table.keys + table.columns])


def batches(
    table: Table,
    columns: Sequence[str] | None = None,
    start: int = 0,
    stop: int | None = None,
    rows: int = CHUNK_ROWS,
) -> Iterator[Any]:
    """Yield record batches of the rows `start` to `stop`, of at most `rows` rows and some 64 MB of
    paths each."""
    pa = import_pyarrow()
    form = schema_of(table, columns)
    stop = len(table) if stop is None else min(stop, len(table))
    while start < stop:
        end = _end(table, form.names, start, min(start + rows, stop))
        yield pa.record_batch(
            [_array(pa, table, name, start, end) for name in form.names], schema=form
        )
        start = end


def _end(table: Table, names: Sequence[str], start: int, stop: int) -> int:
    """Return where a batch from `start` on ends, at most at `stop`."""
    for name in names:
        column = table.form.columns.get(name)
        if column is not None and column.type == "bytes":
            bounds = table.column(f"{name}_offset", start, stop + 1)
            stop = start + max(
                1, int(np.searchsorted(bounds - bounds[0], BATCH_BYTES, "right")) - 1
            )
    return stop


def _field(pa: Any, table: Table, name: str) -> Any:
    column = table.form.columns.get(name)
    if column is None:
        if name not in table.keys:
            raise KeyError(
                f"/{table.form.name} has no column {name!r}, it has {', '.join(table.keys + table.columns)}"
            )
        return pa.field(
            name, pa.int64(), metadata={"description": f"row in /{_keyed(table, name)}"}
        )
    about = {"unit": column.unit, "description": column.description}
    return pa.field(name, _type(pa, column), metadata=about)


def _keyed(table: Table, key: str) -> str:
    return table.form.name if key == "row" else f"{key}s"


def _type(pa: Any, column: Column) -> Any:
    if column.type == "enum":
        return pa.dictionary(pa.uint8(), pa.string())
    if column.type in ("text", "digest", "fingerprint", "bytes") or column.name == "notes":
        return pa.string()
    return pa.from_numpy_dtype(np.dtype(column.dtype))


def _array(pa: Any, table: Table, name: str, start: int, stop: int) -> Any:
    column = table.form.columns.get(name)
    if column is None:
        return pa.array(table.key(name, start, stop), pa.int64())
    if column.type == "bytes":
        return _paths(pa, *table.blob(name, start, stop))
    values = table.column(name, start, stop)
    if column.type == "enum":
        return pa.DictionaryArray.from_arrays(pa.array(values), list(ENUMS[column.argument]))
    if column.type == "digest":
        return _digests(pa, values)
    if column.type in ("text", "fingerprint"):
        return pa.array(table.readable(name, start, stop).tolist(), pa.string())
    if name == "notes":
        return pa.array(note_texts(values), pa.string())
    return _numbers(pa, values, column)


def _numbers(pa: Any, values: np.ndarray, column: Column) -> Any:
    """Return numbers; a row number that points nowhere is null, and so is NaN."""
    values = values.astype(column.dtype, copy=False)
    nothing = (
        values < 0 if column.type == "row" else np.isnan(values) if column.type == "f8" else None
    )
    return pa.array(values, mask=nothing)


def _paths(pa: Any, data: bytes, bounds: np.ndarray) -> Any:
    if is_plain(data):
        offsets = pa.py_buffer((bounds - bounds[0]).astype(np.int32).tobytes())
        return pa.StringArray.from_buffers(len(bounds) - 1, offsets, pa.py_buffer(data))
    return pa.array(path_texts(data, (bounds - bounds[0]).tolist()), pa.string())


def _digests(pa: Any, values: np.ndarray) -> Any:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * DIGEST_CHARS
    there = pa.py_buffer(np.packbits(is_digest(values), bitorder="little").tobytes())
    chars = pa.py_buffer(digest_chars(values).tobytes())
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets.tobytes()), chars, there)
