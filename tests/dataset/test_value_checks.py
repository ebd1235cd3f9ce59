"""Checks of values: what each column may hold, and what refuses the rest."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.dataset.byte_source import LocalBytes
from hpc_remetrics.dataset.metrics_schema import METRICS
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.dataset.stored_file import StoredFile
from hpc_remetrics.dataset.table_writer import write_table
from hpc_remetrics.dataset.value_checks import (
    _check_of,
    check_columns,
    check_order,
    check_run_table,
    check_runs,
    check_sums,
    checked_run,
)
from hpc_remetrics.errors import DatasetError

PATH = Path("a.h5")
ROWS = {"contents": 5, "types": 2, "repositories": 3, "layers": 4}


def verdict(table: str, name: str, *values: float, dtype: str = "<i8") -> str:
    """What the check of a column says of values; tables of `/metrics` are `metrics/NAME`."""
    kind, _, metric = table.partition("/")
    form = METRICS[metric] if metric else TABLES[kind]
    check = _check_of(form.columns[name], ROWS.__getitem__)
    return check(np.array(values, dtype)) if check else ""


@pytest.mark.parametrize(
    ("table", "name", "allowed", "refused"),
    [
        ("entries", "content", (-1, 0, 4), (-2, 5)),
        ("contents", "type", (0, 1), (-1, 2)),
        ("contents", "size", (0, 1 << 62), (-1, (1 << 62) + 1)),
        ("contents", "gzip", (-1, 7), (-2,)),
        ("entries", "mode", (0, 0o7777), (0o10000,)),
        ("entries", "mtime_ns", (0, 999_999_999), (10**9,)),
        ("history", "created_ns", (0, 999_999_999), (10**9,)),
        ("history", "is_empty_layer", (0, 1), (2,)),
        ("images", "created", (-(1 << 63), -62_167_219_200, 253_402_300_799), (253_402_300_800,)),
        ("history", "created", (0,), (-62_167_219_201, 1 - (1 << 63))),
        ("layers", "depth", (0, (1 << 31) - 1), (-1, 1 << 31)),
        ("entries", "uid", (-(1 << 63), (1 << 63) - 1), ()),
        ("metrics/types", "redundant_bytes", (-(1 << 62), 1 << 62), ((1 << 62) + 1,)),
    ],
)
def test_bounds_of_columns(table, name, allowed, refused):
    assert verdict(table, name, *allowed) == ""
    assert verdict(table, name) == ""
    for value in refused:
        message = verdict(table, name, *allowed, value)
        assert f"it has the value {value:,}, allowed are " in message


def test_enums_and_doubles():
    assert verdict("entries", "kind", 0, 9, dtype="u1") == ""
    assert "no word" in verdict("entries", "kind", 0, 10, dtype="u1")
    assert verdict("repositories", "weight", 1.5, np.nan, dtype="f8") == ""
    assert "infinite" in verdict("repositories", "weight", 1.5, -np.inf, dtype="f8")
    assert verdict("images", "name") == ""


def order(table: str, name: str, values: np.ndarray) -> None:
    check_order(PATH, table, TABLES[table].columns[name], values)


def test_offsets_may_stay_and_never_fall():
    order("entries", "path_offset", np.array([3, 3, 4]))
    order("entries", "path_offset", np.array([3]))
    order("entries", "uid", np.array([3, 2]))
    with pytest.raises(DatasetError, match="/entries/path_offset does not rise"):
        order("entries", "path_offset", np.array([3, 4, 3]))


@given(
    st.lists(
        st.binary(min_size=32, max_size=32) | st.integers(0, 3).map(lambda n: bytes([n] * 32)),
        min_size=1,
        max_size=5,
    )
)
def test_digests_rise(digests):
    values = np.array(digests, "V32")
    order("images", "digest", values)  # sorted by name
    if digests == sorted(set(digests)):
        order("layers", "digest", values)
    else:
        with pytest.raises(DatasetError, match="the digests in /layers are not sorted"):
            order("layers", "digest", values)


@pytest.mark.parametrize(
    ("first", "count", "rows"),
    [
        ([0, 2], [2, 3], 6),
        ([0, 2], [2, 3], 4),
        ([0, 3], [2, 3], 5),
        ([1, 2], [2, 3], 5),
        ([], [], 1),
    ],
)
def test_runs_of_rows_leave_no_gap(first, count, rows):
    check_runs(PATH, "layers", np.array([0, 2]), np.array([2, 3]), "entries", 5)
    check_runs(PATH, "layers", np.array([]), np.array([]), "entries", 0)
    with pytest.raises(DatasetError, match="/layers does not say which rows of /entries"):
        check_runs(PATH, "layers", np.array(first), np.array(count), "entries", rows)


def test_sums_fit():
    check_sums(PATH, "layers", {"CLS": np.array([1 << 61, 1 << 60])})
    with pytest.raises(DatasetError, match="sum of /layers/FLS"):
        check_sums(PATH, "layers", {"CLS": np.array([1]), "FLS": np.array([1 << 61, 1 << 61])})


RANKS = {
    "rank": np.array([0, 1]),
    "host": np.array([b"a", b"b"]),
    "peak_memory": np.array([5, 6]),
    "child_peak_memory": np.array([5.0, 6.5]),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"more": np.array([b"x", b"y"])}, ""),
        ({"rank": None}, "lacks rank"),
        ({"rank": np.array([1])}, "not of one length"),
        ({"host": np.array([1, 2])}, "/run/ranks/host is of the type"),
        ({"rank": np.array([b"0", b"1"])}, "/run/ranks/rank is of the type"),
        ({"more": np.array([1j, 2])}, "/run/ranks/more is of the type"),
        ({"peak_memory": np.array([-(1 << 62), 1 << 62])}, ""),
        ({"digest": np.zeros(2, "V32")}, ""),
        ({"digest": np.array([b"x", b"y"])}, "/run/ranks/digest is of the type"),
        ({"peak_memory": np.array([1.0, np.nan])}, "no number"),
        ({"peak_memory": np.array([1.0, 1e19])}, "beyond"),
        ({"peak_memory": np.array([1.0, -1e19])}, "beyond"),
    ],
)
def test_tables_of_the_run(change, words):
    columns = {name: values for name, values in {**RANKS, **change}.items() if values is not None}
    if words:
        with pytest.raises(DatasetError, match=words):
            check_run_table(PATH, "ranks", columns)
    else:
        check_run_table(PATH, "ranks", columns)


def test_a_table_of_the_run_without_rows_may_lack_columns():
    check_run_table(PATH, "ranks", {"host": np.array([])})


@pytest.mark.parametrize("value", ["0", "1", "1/3", "7/7", "0/5"])
def test_fractions(value):
    assert checked_run(PATH, {"chunk_sample": value, "by": "x"}) == {
        "chunk_sample": value,
        "by": "x",
    }


@pytest.mark.parametrize(
    "attributes",
    [
        *(
            {"compress_sample": value}
            for value in ("", "2", "3/2", "1/0", "-1", "0.5", "1/" + "9" * 19)
        ),
        *({"started": value} for value in (-1.0, np.inf, np.nan, "1", [1.0], 253_402_300_800)),
    ],
)
def test_attributes_of_the_run_that_are_refused(attributes):
    with pytest.raises(DatasetError, match=r"attribute \w+ of /run is not a (fraction|time)"):
        checked_run(PATH, attributes)


def test_times():
    assert checked_run(PATH, {"started": 0, "gather_started": np.float64(253_402_300_799)})


TYPES = {"description": ["a", "b"], "mime": ["", ""], "group": ["g", "g"], "class": ["c", "d"]}


def test_columns_have_the_type_and_length_of_the_schema(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_table(file, "types", TYPES, {})
    stored = StoredFile(LocalBytes(tmp_path / "a.h5"))
    assert check_columns(stored.root.group("types"), TABLES["types"], ROWS.__getitem__) == 2
    stored.close()
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["types/mime"]
        file["types/mime"] = np.zeros(2, "S256")
    stored = StoredFile(LocalBytes(tmp_path / "a.h5"))
    with pytest.raises(
        DatasetError, match=r"/types/mime is of the type .S256, not a string of at most 255"
    ):
        check_columns(stored.root.group("types"), TABLES["types"], ROWS.__getitem__)
    stored.close()
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["types/mime"]
        file["types/mime"] = np.zeros(3, "S25")
    stored = StoredFile(LocalBytes(tmp_path / "a.h5"))
    with pytest.raises(DatasetError, match="/types/mime has 3 values, not 2"):
        check_columns(stored.root.group("types"), TABLES["types"], ROWS.__getitem__)
    stored.close()
