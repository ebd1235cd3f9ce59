"""Write HDF5 tables as the schema describes them, with attributes and netCDF dimension scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from ..records import NOTES
from .hdf5 import add_array, attribute, describe, new_column, text_array
from .metrics_schema import METRICS, METRICS_VERSION
from .schema import (
    ENUMS,
    FORMAT,
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

_RUN_TEXT_BYTES = 8192
"""Bytes of a string in a table of `/run`: paths have up to 4096, and bytes that are not UTF-8 take
six each."""


def describe_file(file: Any) -> None:
    """Write the attributes that make a file a dataset of this schema version."""
    file.attrs["format"] = FORMAT
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["title"] = TITLE


def create_table(file: Any, name: str, sizes: Mapping[str, int], rows: Mapping[str, int]) -> None:
    """Create an empty table of fixed size, to be filled chunk by chunk.

    :param sizes: dimension -> its length: `row`, and for blobs `path_byte` and so on.
    :param rows: table -> its rows, for the width of row numbers.
    """
    form = TABLES[name]
    group = _group(file, form)
    columns = {
        column.name: _create(group, column, _size(column, sizes), _dtype(column, rows))
        for column in form.columns.values()
    }
    _scales(group, form, sizes, columns)


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
    rows = {name: file[name]["row"].shape[0] for name in TABLES if name in file}
    for name, form in METRICS.items():
        write_columns(group, form, tables[name], rows)


def write_columns(
    parent: Any, form: TableFormat, columns: Mapping[str, Any], rows: Mapping[str, int]
) -> None:
    """Write a whole table of any format into a group; see `write_table`."""
    group = _group(parent, form)
    count = len(next(iter(columns.values())))
    created = {}
    for column in form.columns.values():
        values = columns[column.name]
        if column.type == "text":
            values = text_array(list(values), int(column.argument))
        else:
            values = np.asarray(values, _dtype(column, rows).newbyteorder("<"))
        dataset = _create(group, column, count, values.dtype)
        if count:
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(values))
        created[column.name] = dataset
    _scales(group, form, {"row": count}, created)


def _group(parent: Any, form: TableFormat) -> Any:
    group = parent.create_group(form.name)
    group.attrs["description"] = form.description
    return group


def _size(column: Column, sizes: Mapping[str, int]) -> int:
    return sizes["row"] + 1 if column.type == "offset" else sizes[column.dimension]


def _dtype(column: Column, rows: Mapping[str, int]) -> np.dtype:
    if column.type == "row":
        return np.dtype(row_dtype(rows[column.target]))
    return np.dtype(column.dtype)


def _create(group: Any, column: Column, size: int, dtype: np.dtype) -> Any:
    """Create the dataset of a column, chunked unless it is empty, and describe it.

    :returns: its identifier at h5py's low level.
    """
    stored = h5py.enum_dtype(ENUMS[column.argument], "u1") if column.type == "enum" else dtype
    created = new_column(
        group,
        column.name,
        np.dtype(stored),
        size,
        chunk_rows=rows_of_chunk(column, dtype.itemsize, size) if size else 0,
        deflate=column.compressible,
    )
    describe(created, unit=column.unit, description=column.description)
    if column.missing == "-1":
        add_array(created, "_FillValue", np.full(1, -1, dtype))
    elif column.missing in _MISSING:
        describe(created, missing=_MISSING[column.missing])
    if column.name == "notes":
        add_array(created, "flag_masks", np.array(list(NOTES.values()), np.uint32))
        describe(created, flag_meanings=" ".join(NOTES))
    return created


def _scales(
    group: Any, form: TableFormat, sizes: Mapping[str, int], columns: Mapping[str, Any]
) -> None:
    """Attach netCDF-4 dimension scales, which have no values and take no room.

    :param columns: name -> identifier of the dataset, of all columns.
    """
    lengths = {column.dimension: _size(column, sizes) for column in form.columns.values()}
    scales = {}
    for dimension, length in lengths.items():
        scale = new_column(group, dimension, np.dtype(">f4"), length)
        h5py.h5ds.set_scale(scale, (_DIMENSION % length).encode())
        scales[dimension] = scale
    for column in form.columns.values():
        h5py.h5ds.attach_scale(columns[column.name], scales[column.dimension], 0)


def attach_scales_again(parent: Any, form: TableFormat) -> None:
    """Attach the dimension scales of a table that was copied: HDF5 copies references as zeros."""
    group = parent[form.name]
    for column in form.columns.values():
        if column.name in group and "DIMENSION_LIST" in group[column.name].attrs:
            scale = group[column.dimension]
            scale.attrs.pop("REFERENCE_LIST", None)
            del group[column.name].attrs["DIMENSION_LIST"]
    for column in form.columns.values():
        if column.name in group:
            h5py.h5ds.attach_scale(group[column.name].id, group[column.dimension].id, 0)


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
    for name, value in run.items():
        if isinstance(value, Mapping):
            table = group.create_group(name)
            for column, values in value.items():
                if values and isinstance(values[0], str):
                    table[column] = text_array(values, _RUN_TEXT_BYTES)
                else:
                    table[column] = np.asarray(values)
        else:
            group.attrs[name] = attribute(value) if isinstance(value, str) else value
    group.create_group("layers")["cpu_seconds"] = seconds.astype("<f4")
    table = group.create_group("failures")
    table["digest"] = np.array([failure.digest.raw for failure in failures], "V32")
    table["rank"] = np.array([failure.rank for failure in failures], np.int32)
    table["host"] = text_array([failure.host for failure in failures], 255)
