"""Read exported files by plain readers."""

import csv
import json

import pyarrow.parquet
from support.tables_by_h5py import truth

from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.dataset.text_values import path_bytes
from hpc_remetrics.export import ENDINGS

FORMATS = ("parquet", "csv", "json")


def read(directory, form, table):
    """The same, from an exported file."""
    path = directory / f"{table}.{ENDINGS[form]}"
    if form == "parquet":
        return pyarrow.parquet.read_table(path).to_pydict()
    if form == "json":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else None
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {
        name
        for name, one in TABLES[table].columns.items()
        if one.type in ("row", "first", "u1", "u2", "u4", "i4", "i8")
    }
    keys = {"row", "layer"} | ({"image"} if table == "image_layers" else set())
    kinds = dict.fromkeys(numbers | keys, int)
    kinds |= {name: float for name, one in TABLES[table].columns.items() if one.type == "f8"}
    return {
        name: [
            (kinds[name](row[name]) if row[name] else None) if name in kinds else row[name]
            for row in rows
        ]
        for name in (rows[0] if rows else ())
    } or None


def check(dataset, directory, form, table):
    """Compare every value of a table with the file that was exported."""
    want = truth(dataset, table)
    got = read(directory, form, table)
    if got is None:
        assert not any(want.values())
        return
    assert got["row"] == list(range(len(got["row"])))
    for name, values in want.items():
        if name.endswith("_offset"):
            continue
        found = got[name]
        column = TABLES[table].columns[name]
        if column.is_nullable and form == "csv":
            found = [None if value == "" else value for value in found]
        if column.type == "bytes":
            assert [None if text is None else path_bytes(text) for text in found] == values
        elif column.type == "time" and form != "parquet":
            assert found == [None if one is None else f"{one.isoformat()}Z" for one in values]
        elif form == "csv" and column.type in ("text", "utf8"):
            assert [None if text is None else path_bytes(text).decode() for text in found] == values
        else:
            assert found == values, name
