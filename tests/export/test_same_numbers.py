"""Sums, means, counts and joins are the same in frames, in Parquet and in CSV, for every column."""

import math

import duckdb
import pandas
import pytest
from support.made import Entry, Made
from support.made_configs import ODD_CONFIG, ODD_PAIRS

import hpc_remetrics
from hpc_remetrics.dataset.metrics_schema import METRICS
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.export import export_command
from hpc_remetrics.records import Popularity, Skipped

pytestmark = pytest.mark.slow

FORMS = {**TABLES, **{f"metrics/{name}": form for name, form in METRICS.items()}}

MADE = Made(
    [
        [Entry("file", b"f%d" % place, place % 50) for place in range(90)],
        [Entry("symlink", b"l%d" % place, link=b"f%d" % place) for place in range(9)],
        [Entry("directory", b"d"), Entry("file", b"", 3), Entry("file", b"NA", 4)],
        [],
    ],
    [[0, 1], [0, 2, 3], [], [3, 3]],
    status={1: "partial", 3: "failed"},
    configs={0: ODD_CONFIG, 1: ODD_CONFIG, 2: {"notes": 1}},
    changed={1: {"annotations": ODD_PAIRS}},
    compressed=frozenset(range(0, 50, 3)),
    skipped=[
        Skipped("made0000:1", "", -1, "", "artifact", ""),
        Skipped("made0000:1", "null", 1 << 60, "NaN", "artifact", "NA"),
        Skipped("made0000:1", "x", (1 << 60) + 1, "y", "artifact", "nan"),
    ],
    repositories={"made0000": Popularity(3, (1 << 60) + 1, "stratum", 2.5, 4)},
)
"""Values that tools take for missing ones, missing ones, and integers beyond 2**53."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The dataset's file, and directories of its tables as Parquet and as CSV."""
    directory = tmp_path_factory.mktemp("same")
    path = MADE.write(directory / "made")
    for form in ("parquet", "csv"):
        assert export_command(path, form, directory / form, ()) == 0
    return path, directory


def read_csv(directory, name):
    """Read a table as docs/format.md says."""
    never_null = {
        column.name: ""
        for column in FORMS[name].columns.values()
        if column.type in ("text", "bytes", "utf8", "flags")
        if not column.is_nullable
    }
    return pandas.read_csv(
        directory / "csv" / f"{name}.csv",
        dtype_backend="numpy_nullable",
        dtype=dict.fromkeys(never_null, "string"),
        keep_default_na=False,
        na_values=[""],
    ).fillna(never_null)


def table_of(data, name):
    return data.metrics[name.removeprefix("metrics/")] if "/" in name else data[name]


def facts(series, is_number):
    """Return count, distinct values, and for numbers sum and mean of a pandas column."""
    found = [int(series.count()), int(series.nunique())]
    if is_number and series.count():
        total = sum(series.dropna().tolist())
        found += [total, float(series.mean())]
    return found


def same(first, second):
    return len(first) == len(second) and all(
        one == other if isinstance(one, int) else math.isclose(one, other, rel_tol=1e-12)
        for one, other in zip(first, second, strict=True)
    )


def numbers(name):
    """Return the names of the columns of numbers of a table, and of the others."""
    split = {True: [], False: []}
    for column in FORMS[name].columns.values():
        if column.type != "offset":
            is_number = column.type in ("row", "first") or (
                column.type[0] in "iuf" and column.type[1:].isdigit()
            )
            split[is_number].append(column.name)
    return split[True], split[False]


@pytest.mark.parametrize("name", list(FORMS))
def test_every_column_has_the_same_numbers(exported, name):
    path, directory = exported
    with hpc_remetrics.open(path) as data:
        frame = table_of(data, name).frame().reset_index()
    csv = read_csv(directory, name)
    assert list(csv.columns) == list(frame.columns)
    parquet = directory / "parquet" / f"{name}.parquet"
    counted, others = numbers(name)
    for column in (*counted, *others):
        want = facts(frame[column], column in counted)
        assert same(want, facts(csv[column], column in counted)), column
        query = f'count("{column}"), count(DISTINCT "{column}")'
        if column in counted:
            query += f', sum("{column}"), avg("{column}")'
        got = list(duckdb.sql(f"SELECT {query} FROM '{parquet}'").fetchall()[0])
        assert same(want, [value for value in got if value is not None]), column


JOINS = [
    (name, column.name, column.target)
    for name, form in FORMS.items()
    for column in form.columns.values()
    if column.type == "row"
]


@pytest.mark.parametrize(("name", "key", "target"), JOINS)
def test_every_join_has_the_same_numbers(exported, name, key, target):
    path, directory = exported
    amounts, _ = numbers(target)
    with hpc_remetrics.open(path) as data:
        table = table_of(data, name)
        frames = [(table.frame().reset_index(), data[target].frame().reset_index())]
        taken = {column: data[target].take(table[key], column) for column in amounts}
    frames.append((read_csv(directory, name), read_csv(directory, target)))
    files = [directory / "parquet" / f"{one}.parquet" for one in (name, target)]
    joined = [
        one.merge(other.add_prefix("t_"), left_on=key, right_on="t_row") for one, other in frames
    ]
    (rows,) = duckdb.sql(
        f"SELECT count(*) FROM '{files[0]}' a JOIN '{files[1]}' b ON a.{key} = b.row"
    ).fetchall()[0]
    assert rows == len(joined[0]) == len(joined[1])
    for column in amounts:
        (total,) = duckdb.sql(
            f"SELECT sum(b.\"{column}\") FROM '{files[0]}' a JOIN '{files[1]}' b ON a.{key} = b.row"
        ).fetchall()[0]
        sums = [sum(one[f"t_{column}"].dropna().tolist()) for one in joined]
        sums.append(sum(value for value in taken[column].tolist() if value is not None))
        assert all(same([total or 0], [one]) or total == one for one in sums), column


def test_the_dataset_has_what_is_hard(exported):
    """Or the tests above say little."""
    path, _ = exported
    with hpc_remetrics.open(path) as data:
        assert data.entries.frame()["content"].isna().any()
        assert data.contents.frame()["gzip"].isna().any()
        assert data.skipped.frame()["size"].max() > 1 << 53
        assert data.skipped.frame()["digest"].isna().any()
        assert (data.entries.frame()["path"] == "").any()
        assert (data.entries.frame()["path"] == "NA").any()
