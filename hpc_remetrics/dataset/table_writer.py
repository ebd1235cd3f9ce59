"""Write HDF5 tables as the schema describes them, with attributes and netCDF dimensions.

The dimensions of a table are datasets in its group, as netCDF-4 has them. `row` has the row
numbers as its values. Each has a number that is its own in the file, by which columns name their
dimensions:

    row                 CLASS=DIMENSION_SCALE  NAME=row  _Netcdf4Dimid=4
    digest_byte         CLASS=DIMENSION_SCALE  …         _Netcdf4Dimid=5
    digest (rows, 32)                                    _Netcdf4Coordinates=[4, 5]

The usual way, references to the dimension in each column and back (`DIMENSION_LIST`,
`REFERENCE_LIST`), makes PyTables warn at every column and fail at every dimension.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from .. import __version__
from .file_history import extended, utc_time
from .hdf5 import add_array, attribute, describe, new_column, text_array
from .metrics_schema import METRICS, METRICS_VERSION
from .schema import (
    ENUMS,
    FLAGS,
    FORMAT,
    MODE_BITS,
    ROW,
    SCHEMA_VERSION,
    TABLES,
    TITLE,
    Column,
    TableFormat,
    row_dtype,
    rows_of_chunk,
)

_DIMENSION = "This is a netCDF dimension but not a netCDF variable. %9d"
"""What netCDF-4 writes into a dimension scale without values."""

_MISSING = {'""': "empty", "0": "all bytes 0"}
"""Missing value of a column that is no number -> its attribute `missing`.

It can't be `_FillValue`, which masks single bytes of digests and what netCDF makes of strings.
"""

_UNITS = frozenset({"1", "byte", "s", "ns", "day"})
"""Units of the schema that UDUNITS knows; others say that there is none of a whole column."""

_WITHOUT_UNITS = frozenset({"text", "digest", "fingerprint", "enum", "bytes", "utf8"})
"""Types of columns that are no numbers, which have no units in CF."""

SMALL_BYTES = 4096
"""Bytes of a column that is stored in one piece: the index of its chunks would take 2 kB."""

_RUN_TEXT_BYTES = 8192
"""Bytes of a string in a table of `/run`: paths have up to 4096, and bytes that are not UTF-8 take
six each."""


def describe_file(file: Any, seconds: float, command: str) -> None:
    """Write the attributes that make a file a dataset of this schema version.

    :param seconds: Unix time at which it is made, and `command` the command line that makes it.
    """
    file.attrs["format"] = FORMAT
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["title"] = TITLE
    file.attrs["Conventions"] = "CF-1.11, ACDD-1.3"
    file.attrs["source"] = f"hpc_remetrics {__version__}"
    file.attrs["date_created"] = utc_time(seconds)
    file.attrs["history"] = extended("", seconds, command)


def create_table(
    file: Any, name: str, sizes: Mapping[str, int], rows: Mapping[str, int], small: int = 0
) -> None:
    """Create an empty table of fixed size, to be filled chunk by chunk, its row numbers too.

    :param sizes: dimension -> its length: `row`, and for blobs `path_byte` and so on.
    :param rows: table -> its rows, for the width of row numbers.
    :param small: bytes up to which a column is stored in one piece.
    """
    form = TABLES[name]
    group = _group(file, form)
    columns = {
        column.name: _create(group, column, _size(column, sizes), _dtype(column, rows), small)
        for column in form.columns.values()
    }
    _dimensions(group, form, sizes, columns, small)


def write_table(file: Any, name: str, columns: Mapping[str, Any], rows: Mapping[str, int]) -> None:
    """Write a whole table: column -> array or list of one value a row, of str for strings.

    :param rows: table -> its rows, for the width of row numbers.
    """
    write_columns(file, TABLES[name], columns, rows)


def write_metrics(file: Any, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `/metrics`, replacing what the file has.

    :param tables: table -> column -> one value a row.
    """
    if "metrics" in file:
        del file["metrics"]
    group = file.create_group("metrics")
    group.attrs["version"] = METRICS_VERSION
    group.attrs["description"] = "every figure's numbers, ready to draw"
    rows = {name: len(file[name]["row"]) if name in file else 0 for name in TABLES}
    for name, form in METRICS.items():
        write_columns(group, form, tables[name], rows)


def write_columns(
    parent: Any, form: TableFormat, columns: Mapping[str, Any], rows: Mapping[str, int]
) -> None:
    """Write a whole table of any format into a group; see `write_table`."""
    group = _group(parent, form)
    count = len(next(iter(columns.values())))
    created = {}

    # Write the columns of the schema.
    for column in form.columns.values():
        values = columns[column.name]
        if column.type == "text":
            values = text_array(list(values), int(column.argument))
        else:
            values = np.asarray(values, _dtype(column, rows).newbyteorder("<"))
        dataset = _create(group, column, count, values.dtype, SMALL_BYTES)
        if count:
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, plain(values))
        created[column.name] = dataset

    # Write the key, which numbers the rows.
    row = _dimensions(group, form, {"row": count}, created, SMALL_BYTES)
    if count:
        row.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(count, dtype=row_dtype(count)))


def plain(values: np.ndarray) -> np.ndarray:
    """Return (n,) values as HDF5 takes them: raw bytes as (n, bytes) uint8."""
    values = np.ascontiguousarray(values)
    if values.dtype.kind != "V":
        return values
    return values.view(np.uint8).reshape(len(values), values.dtype.itemsize)


def _group(parent: Any, form: TableFormat) -> Any:
    group = parent.create_group(form.name)
    group.attrs["description"] = form.description
    return group


def _size(column: Column, sizes: Mapping[str, int]) -> int:
    return sizes["row"] + 1 if column.type == "offset" else sizes[column.dimensions[0]]


def _dtype(column: Column, rows: Mapping[str, int]) -> np.dtype:
    if column.type == "row":
        return np.dtype(row_dtype(rows[column.target]))
    return np.dtype(column.dtype)


def _create(group: Any, column: Column, size: int, dtype: np.dtype, small: int = 0) -> Any:
    """Create the dataset of a column, chunked unless it is empty or small, and describe it.

    :param small: bytes up to which it is stored in one piece.
    :returns: its identifier at h5py's low level.
    """
    # Create it.
    stored = h5py.enum_dtype(ENUMS[column.argument], "u1") if column.type == "enum" else dtype
    created = new_column(
        group,
        column.name,
        np.dtype(stored),
        size,
        chunk_rows=_chunk_rows(column, dtype, size, small),
        deflate=column.compressible,
    )

    # Describe it by the attributes of CF, and by those of this format.
    describe(created, long_name=column.description)
    if column.unit in _UNITS and column.type not in _WITHOUT_UNITS:
        describe(created, units=column.unit)
    if column.target:
        describe(created, points_to=f"/{column.target}")
    if column.missing in ("-1", "NaT"):
        add_array(created, "_FillValue", np.full(1, column.missing_value, dtype))
    elif column.missing in _MISSING:
        describe(created, missing=_MISSING[column.missing])
    _describe_flags(created, column, dtype)
    return created


def _describe_flags(created: Any, column: Column, dtype: np.dtype) -> None:
    """Name the values of an enum, or the bits of a set of them, as CF does."""
    words: dict[str, int] = {}
    if column.type == "enum":
        words = ENUMS[column.argument]
        add_array(created, "flag_values", np.array(list(words.values()), dtype))
    elif column.unit == "bits":
        words = FLAGS[column.argument] if column.type == "flags" else MODE_BITS
        add_array(created, "flag_masks", np.array(list(words.values()), dtype))
    if words:
        describe(created, flag_meanings=" ".join(words))


def _chunk_rows(column: Column, dtype: np.dtype, size: int, small: int) -> int:
    """Return the rows of a chunk, 0 where all values are stored in one piece."""
    if size * dtype.itemsize <= small or not size:
        return 0
    return rows_of_chunk(column, dtype.itemsize, size)


def _numbers() -> dict[tuple[str, str], int]:
    """Number the dimensions of all tables: (path of the table, dimension) -> number."""
    numbers: dict[tuple[str, str], int] = {}
    for parent, forms in (("", TABLES), ("/metrics", METRICS)):
        for name, form in forms.items():
            of_columns = (column.dimensions for column in form.columns.values())
            for dimension in ("row", *itertools.chain.from_iterable(of_columns)):
                numbers.setdefault((f"{parent}/{name}", dimension), len(numbers))
    return numbers


_NUMBERS = _numbers()


def _dimensions(
    group: Any,
    form: TableFormat,
    sizes: Mapping[str, int],
    columns: Mapping[str, Any],
    small: int,
) -> Any:
    """Create the dimensions of a table, and name those of each column.

    :param sizes: dimension -> its length: `row`, and for blobs `path_byte` and so on.
    :param columns: name -> identifier of the dataset, of all columns.
    :param small: bytes of row numbers up to which these are stored in one piece.
    :returns: identifier of the dataset `row`, whose values are not written yet.
    """
    lengths = {"row": sizes["row"]}
    for column in form.columns.values():
        lengths[column.dimensions[0]] = _size(column, sizes)
        if len(column.dimensions) > 1:
            lengths[column.dimensions[1]] = np.dtype(column.dtype).itemsize
        numbers = [_NUMBERS[group.name, dimension] for dimension in column.dimensions]
        add_array(columns[column.name], "_Netcdf4Coordinates", np.array(numbers, np.int32))
    created = {
        dimension: _dimension(group, dimension, length, _NUMBERS[group.name, dimension], small)
        for dimension, length in lengths.items()
    }
    return created["row"]


def _dimension(group: Any, name: str, length: int, number: int, small: int = SMALL_BYTES) -> Any:
    """Create a netCDF dimension; all but `row` have no values and take no room."""
    if name == "row":
        dtype = np.dtype(row_dtype(length))
        chunk = _chunk_rows(ROW, dtype, length, small)
        scale = new_column(group, name, dtype, length, chunk_rows=chunk, deflate=True)
        h5py.h5ds.set_scale(scale, name.encode())
        describe(scale, long_name=ROW.description)
    else:
        scale = new_column(group, name, np.dtype(np.uint8), length)
        h5py.h5ds.set_scale(scale, (_DIMENSION % length).encode())
    add_array(scale, "_Netcdf4Dimid", np.array(number, np.int32))
    return scale


def write_run(
    file: Any, run: Mapping[str, Any], failures: Sequence[Any], seconds: np.ndarray
) -> None:
    """Write `/run`, which may differ from run to run: attributes, and tables from mappings.

    :param run: name -> value of an attribute, or column -> list of the values of a table.
    :param failures: those of `/failures`, in their order.
    :param seconds: (layers,) float, CPU seconds of the pass over each layer.
    """
    group = file.create_group("run")
    group.attrs["description"] = (
        "what made this file; everything that may differ between runs on the same images"
    )
    tables: dict[str, dict[str, np.ndarray]] = {}

    # Single values are attributes; lists are columns of small tables.
    for name, value in run.items():
        if isinstance(value, Mapping):
            tables[name] = {column: _run_values(values) for column, values in value.items()}
        else:
            group.attrs[name] = attribute(value) if isinstance(value, str) else value

    # What belongs to rows of other tables is a table, too.
    tables["layers"] = {"cpu_seconds": seconds.astype("<f4")}
    tables["failures"] = {
        "digest": np.array([failure.digest.raw for failure in failures], "V32"),
        "rank": np.array([failure.rank for failure in failures], np.int32),
        "host": text_array([failure.host for failure in failures], 255),
    }
    for number, (name, columns) in enumerate(tables.items()):
        _write_run_table(group.create_group(name), columns, len(_NUMBERS) + 2 * number)


def _run_values(values: Sequence[Any]) -> np.ndarray:
    if values and isinstance(values[0], str):
        return text_array(list(values), _RUN_TEXT_BYTES)
    return np.asarray(values)


def _write_run_table(group: Any, columns: Mapping[str, np.ndarray], number: int) -> None:
    """Write a table of `/run`, whose dimensions have this number and the next one."""
    count = max(map(len, columns.values()), default=0)
    row = _dimension(group, "row", count, number)
    if count:
        row.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(count, dtype=row_dtype(count)))
    for name, values in columns.items():
        dataset = group.create_dataset(name, data=plain(values))
        numbers = [number, number + 1][: dataset.ndim]
        add_array(dataset.id, "_Netcdf4Coordinates", np.array(numbers, np.int32))
        if dataset.ndim > 1:
            _dimension(group, f"{name}_byte", dataset.shape[1], number + 1)
