"""HDF5 tables as the schema describes them: created, attributed, with dimension scales for netCDF
readers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from ..records import NOTES
from .hdf5 import attribute, text_array
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


_MOST_TEXT = 8192
"""Bytes of a text in a table of `/run`: paths have up to 4096, and bytes that are not UTF-8 take
six."""


def describe_file(file: Any) -> None:
    """Give a file the attributes by which it is known."""
    file.attrs["format"], file.attrs["schema_version"], file.attrs["title"] = (
        FORMAT,
        SCHEMA_VERSION,
        TITLE,
    )


def create_table(file: Any, name: str, sizes: Mapping[str, int], rows: Mapping[str, int]) -> None:
    """Create an empty table of fixed size, to be filled chunk by chunk.

    :param sizes: dimension -> its length: `row`, and for blobs `path_byte` and so on.
    :param rows: table -> its rows, for the width of row numbers.
    """
    form = TABLES[name]
    group = _group(file, form)
    for column in form.columns.values():
        size = _size(column, sizes)
        dtype = _dtype(column, rows)
        _create(group, column, size, dtype)
    _scales(group, form, sizes)


def write_table(file: Any, name: str, columns: Mapping[str, Any], rows: Mapping[str, int]) -> None:
    """Write a small table whole, from arrays or, for texts, lists of them."""
    write_columns(file, TABLES[name], columns, rows)


def write_metrics(file: Any, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `/metrics`, in place of those that are there."""
    if "metrics" in file:
        del file["metrics"]
    group = file.create_group("metrics")
    group.attrs["version"], group.attrs["description"] = (
        METRICS_VERSION,
        "every figure's numbers, ready to draw",
    )
    rows = {name: file[name]["row"].shape[0] for name in TABLES if name in file}
    for name, form in METRICS.items():
        write_columns(group, form, tables[name], rows)


def write_columns(
    parent: Any, form: TableFormat, columns: Mapping[str, Any], rows: Mapping[str, int]
) -> None:
    """Write a table of any form whole into a group, as `write_table` does."""
    group = _group(parent, form)
    count = len(next(iter(columns.values())))
    for column in form.columns.values():
        values = columns[column.name]
        if column.type == "text":
            values = text_array(list(values), int(column.argument))
        else:
            values = np.asarray(values, _dtype(column, rows).newbyteorder("<"))
        dataset = _create(group, column, count, values.dtype)
        if count:
            dataset[...] = values
    _scales(group, form, {"row": count})


def _group(parent: Any, form: TableFormat) -> Any:
    group = parent.create_group(form.name)
    group.attrs["description"] = form.description
    return group


def _size(column: Column, sizes: Mapping[str, int]) -> int:
    return sizes["row"] + 1 if column.type == "offset" else sizes[column.dimension]


def _dtype(column: Column, rows: Mapping[str, int]) -> np.dtype:
    if column.type == "row" and (target := pointed_at(column)):
        return np.dtype(row_dtype(rows[target]))
    return np.dtype(column.dtype)


def pointed_at(column: Column) -> str:
    """Return the table that a column of row numbers points into.

    >>> pointed_at(TABLES["entries"].columns["content"])
    'contents'
    """
    found = re.search(r"/([a-z_]+)", column.description)
    return found.group(1) if column.type == "row" and found else ""


def _create(group: Any, column: Column, size: int, dtype: np.dtype) -> Any:
    options: dict[str, Any] = {}
    if size:
        options["chunks"] = (rows_of_chunk(column, dtype.itemsize, size),)
        if column.compressible:
            options["compression"], options["shuffle"] = 1, dtype.itemsize > 1
    stored = h5py.enum_dtype(ENUMS[column.argument], "u1") if column.type == "enum" else dtype
    dataset = group.create_dataset(column.name, (size,), stored, **options)
    dataset.attrs["unit"], dataset.attrs["description"] = column.unit, column.description
    if column.name == "notes":
        dataset.attrs["flag_masks"] = np.array(list(NOTES.values()), np.uint32)
        dataset.attrs["flag_meanings"] = " ".join(NOTES)
    return dataset


def _scales(group: Any, form: TableFormat, sizes: Mapping[str, int]) -> None:
    """Attach netCDF-4 dimensions; they take no room."""
    columns = form.columns.values()
    lengths = {column.dimension: _size(column, sizes) for column in columns}
    for dimension, length in lengths.items():
        scale = group.create_dataset(dimension, (length,), ">f4")
        scale.make_scale(_DIMENSION % length)
    for column in columns:
        group[column.name].dims[0].attach_scale(group[column.dimension])


def write_run(
    file: Any, run: Mapping[str, Any], failures: Sequence[Any], seconds: np.ndarray
) -> None:
    """Write what may differ from run to run: attributes, and columns for what there is of each
    rank.

    :param seconds: that the pass over each layer took, by row of `/layers`.
    """
    group = file.create_group("run")
    group.attrs["description"] = (
        "what made this file; everything that may differ between runs on the same images"
    )
    for name, value in run.items():
        if isinstance(value, Mapping):
            table = group.create_group(name)
            for column, values in value.items():
                texts = bool(values) and isinstance(values[0], str)
                table[column] = text_array(values, _MOST_TEXT) if texts else np.asarray(values)
        else:
            group.attrs[name] = attribute(value) if isinstance(value, str) else value
    group.create_group("layers")["cpu_seconds"] = seconds.astype("<f4")
    table = group.create_group("failures")
    table["digest"] = np.array([failure.digest.raw for failure in failures], "V32")
    table["rank"] = np.array([failure.rank for failure in failures], np.int32)
    table["host"] = text_array([failure.host for failure in failures], 255)
