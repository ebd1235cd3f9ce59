"""DuckDB, pandas and plain readers find in the exported files what the dataset holds, every value
of it."""

import duckdb
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from support.tables_by_h5py import truth

from hpc_remetrics.dataset import arrow
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.export import ENDINGS, tables
from hpc_remetrics.export.tables import TIMES
from hpc_remetrics.records import KINDS

from .exported_files import FORMATS, check

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def exported(odd, tmp_path_factory):
    from hpc_remetrics.export import export_command

    directory = tmp_path_factory.mktemp("exported")
    for form in FORMATS:
        assert export_command(odd, form, directory / form, ()) == 0
    return directory


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("table", list(TABLES))
def test_every_value_of_every_column(odd, exported, form, table):
    check(odd, exported / form, form, table)


def test_the_dataset_is_odd_enough(odd):
    """Or the test above says little."""
    entries, layers = truth(odd, "entries"), truth(odd, "layers")
    assert set(layers["status"]) == {"ok", "partial", "failed"}
    assert None in layers["diff_id"]
    assert any(b"\xff" in path and b"\n" in path for path in entries["path"])
    assert {"hardlink", "symlink", "whiteout", "opaque", "fifo"} <= set(entries["kind"])


def test_duckdb_joins_the_tables(odd, exported):
    directory = exported / "parquet"
    database = duckdb.connect()
    for table in TABLES:
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM '{directory / table}.parquet'")
    kinds = dict(database.sql("SELECT kind, count(*) FROM entries GROUP BY kind").fetchall())
    with h5py.File(odd) as file:
        counts = np.bincount(file["entries/kind"][:])
        assert kinds == {
            word: counts[number]
            for word, number in KINDS.items()
            if counts[number : number + 1].any()
        }
        fls = dict(enumerate(file["layers/FLS"][:].tolist()))
        copies = file["contents/copies"][:].tolist()
    by_layer = database.sql(
        "SELECT e.layer, sum(c.size) FROM entries e JOIN contents c ON e.content = c.row "
        "WHERE kind = 'file' GROUP BY 1"
    ).fetchall()
    assert {layer: size for layer, size in by_layer if size} == {
        layer: size for layer, size in fls.items() if size
    }
    counted = database.sql(
        "SELECT c.row, count(e.row) FILTER (kind = 'file') "
        "FROM contents c JOIN entries e ON e.content = c.row "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [count for _, count in counted] == copies
    per_image = database.sql(
        "SELECT i.name, coalesce(sum(l.CLS), 0)::BIGINT "
        "FROM images i LEFT JOIN image_layers s ON s.image = i.row "
        "LEFT JOIN layers l ON l.row = s.layer GROUP BY 1 ORDER BY 1"
    ).fetchall()
    want = truth(odd, "images")
    layer, sizes = truth(odd, "image_layers")["layer"], truth(odd, "layers")["CLS"]
    rows = zip(want["name"], want["first_layer"], want["layers"], strict=True)
    assert per_image == [(name, sum(sizes[one] for one in layer[a : a + n])) for name, a, n in rows]


@pytest.mark.parametrize("form", FORMATS)
def test_duckdb_and_pandas_read_every_format(exported, form):
    import pandas

    path = exported / form / f"layers.{ENDINGS[form]}"
    read = {
        "parquet": pandas.read_parquet,
        "csv": pandas.read_csv,
        "json": lambda p: pandas.read_json(p, lines=True),
    }
    frame = read[form](path)
    total = duckdb.sql(f"SELECT count(*), sum(CLS)::BIGINT, min(digest) FROM '{path}'").fetchall()[
        0
    ]
    assert total == (len(frame), frame.CLS.sum(), frame.digest.min())


def test_parquet_tells_units_and_has_bounded_row_groups(odd, exported, tmp_path, monkeypatch):
    field = pyarrow.parquet.read_schema(exported / "parquet" / "layers.parquet").field("CLS")
    assert field.metadata[b"unit"] == b"byte"
    from hpc_remetrics.dataset.reader import Dataset
    from hpc_remetrics.export import tables

    monkeypatch.setattr(arrow, "BATCH_BYTES", 500)
    with Dataset(odd) as dataset:
        tables.write_table(dataset.entries, tmp_path / "entries.parquet", "parquet")
    small, large = (
        pyarrow.parquet.ParquetFile(path)
        for path in (tmp_path / "entries.parquet", exported / "parquet/entries.parquet")
    )
    assert small.num_row_groups > large.num_row_groups == 1
    assert small.read().equals(large.read())


@pytest.mark.parametrize("form", FORMATS)
def test_metrics_are_tables_too(dataset, exported, form):
    import pandas

    read = {
        "parquet": pandas.read_parquet,
        "csv": pandas.read_csv,
        "json": lambda p: pandas.read_json(p, lines=True),
    }
    directory = exported / form / "metrics"
    assert {path.stem for path in directory.iterdir()} == set(dataset.metrics)
    for name in ("growth_summary", "totals"):
        frame, table = read[form](directory / f"{name}.{ENDINGS[form]}"), dataset.metrics[name]
        for column in table.columns:
            assert frame[column].tolist() == pytest.approx(table[column].tolist(), nan_ok=True), (
                name,
                column,
            )
    if form == "json":
        assert "NaN" not in (directory / "growth.jsonl").read_text()


def test_mistakes_are_one_line(runs, odd, tmp_path):
    (tmp_path / "file").write_text("")
    result = runs.run(runs.command("export", odd, "-o", tmp_path / "file"), code=5)
    assert result.stderr.count("\n") == 1 and "is a file" in result.stderr
    result = runs.run(runs.command("export", tmp_path / "no.h5"), code=2)
    assert result.stderr.count("\n") == 1 and "is not there" in result.stderr


def test_without_pyarrow_one_line_says_so(runs, odd, tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('no such library')")
    command = runs.command("export", odd, "-o", "out")
    result = runs.run(["env", f"PYTHONPATH={tmp_path}", *command], code=2)
    assert "pip install 'hpc-remetrics[analysis]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_leaves_no_file_of_that_name(runs, odd):
    command = [
        "bash",
        "-c",
        'ulimit -f 8; exec "$@"',
        "-",
        *runs.command("export", odd, "-o", runs.directory / "out"),
    ]
    result = runs.run(command, code=5)
    assert "can't be written" in result.stderr and result.stderr.count("error") == 1
    assert not (runs.directory / "out" / "contents.parquet").exists()
    assert not list((runs.directory / "out").glob(".*"))


def test_parquet_says_what_it_is_of(dataset, tmp_path):
    """Row numbers are stored as differences, and times beside seconds, missing beyond year 9999."""
    about = {"source": "hpc_remetrics 1", "fingerprint": "abc"}
    target = tmp_path / "entries.parquet"
    tables.write_table(dataset.entries, target, "parquet", about)
    file = pyarrow.parquet.ParquetFile(target)
    found = {name.decode(): text.decode() for name, text in file.schema_arrow.metadata.items()}
    assert found == {**about, "description": dataset.entries.form.description}
    group = file.metadata.row_group(0)
    encodings = {
        group.column(place).path_in_schema: group.column(place).encodings
        for place in range(group.num_columns)
    }
    assert {name for name, used in encodings.items() if "DELTA_BINARY_PACKED" in used} == {
        "row",
        "layer",
        "content",
    }
    assert tables.is_table(dataset.entries, "parquet", target)


def test_times_stand_beside_seconds_in_parquet(tmp_path):
    seconds = np.array([0, -(1 << 63), (1 << 63) - 1, *TIMES, TIMES[1] + 1])
    schema = pa.schema([("mtime", pa.int64()), ("mtime_utc", pa.timestamp("s"))])
    batch = pa.record_batch([pa.array(seconds)], ["mtime"])
    found = tables._with_times(batch, schema).column(1).cast(pa.string()).to_pylist()
    assert found == [
        "1970-01-01 00:00:00",
        None,
        None,
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
        None,
    ]
