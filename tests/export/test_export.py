"""A small dataset with everything odd in its names, as Parquet, CSV and JSON."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet
import pytest
from support.made import Entry, Made
from support.made_configs import ODD_CONFIG, ODD_PAIRS

import hpc_remetrics
from hpc_remetrics.dataset import arrow
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.errors import OutputError, RemetricsError
from hpc_remetrics.export import ENDINGS, export_command, tables
from hpc_remetrics.records import Popularity, Skipped

from .exported_files import FORMATS, check

NAMES = [
    b"=1+1",
    b"@x",
    b"-a",
    b"\t=1",
    b"plain/name",
    b"back\\slash",
    b"\xff\n",
    b'quo"te,',
    "＝1".encode(),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    layers = [
        [Entry("file", name, place) for place, name in enumerate(NAMES)],
        [Entry("symlink", b"l%d" % place, link=name) for place, name in enumerate(NAMES)],
        [],
    ]
    made = Made(layers, [[0, 1], [0, 2]], status={1: "partial", 2: "failed"})
    made.skipped = [Skipped("=skipped", "+1", 5, "@type", "artifact", "-message")]
    made.repositories = {"made0000": Popularity(3, 7, "=stratum", 2.5, 4)}
    made.configs = {0: ODD_CONFIG, 1: ODD_CONFIG}
    made.changed = {1: {"annotations": ODD_PAIRS}}
    return made.write(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    directory = tmp_path_factory.mktemp("exported")
    for form in FORMATS:
        assert export_command(made, form, directory / form, ()) == 0
    return directory


@pytest.mark.parametrize("form", FORMATS)
def test_every_value_of_every_table(made, exported, form):
    for table in TABLES:
        check(made, exported / form, form, table)


def test_cells_of_a_spreadsheet_are_no_formulas(exported):
    for table, column, first in (
        ("entries", "path", "\\x3d1+1"),
        ("skipped", "image", "\\x3dskipped"),
        ("repositories", "stratum", "\\x3dstratum"),
        ("labels", "value", "\\x3d1+1"),
        ("history", "comment", "\\x2dx"),
        ("configs", "author", "\\x40me"),
    ):
        lines = (exported / "csv" / f"{table}.csv").read_text().splitlines()
        place = lines[0].replace('"', "").split(",").index(column)
        assert first in {line.replace('"', "").split(",")[place] for line in lines[1:]}


def test_metrics_have_a_directory_of_their_own(made, exported):
    with hpc_remetrics.open(made) as dataset:
        names = set(dataset.metrics)
        totals = dataset.metrics.totals
    for form in FORMATS:
        assert {path.stem for path in (exported / form / "metrics").iterdir()} == names
    row = pyarrow.parquet.read_table(exported / "parquet/metrics/totals.parquet").to_pylist()[0]
    assert {name: row[name] for name in totals} == {
        name: None if value != value else value for name, value in totals.items()
    }


def test_parquet_tells_units_and_has_words_as_dictionaries(exported):
    schema = pyarrow.parquet.read_schema(exported / "parquet/layers.parquet")
    assert schema.field("CLS").metadata[b"unit"] == b"byte"
    file = pyarrow.parquet.ParquetFile(exported / "parquet/entries.parquet")
    columns = [file.metadata.row_group(0).column(n) for n in range(file.metadata.num_columns)]
    for column in columns:
        has_dictionary = any("DICTIONARY" in encoding for encoding in column.encodings)
        assert has_dictionary == (column.path_in_schema == "kind")
        assert column.compression == "ZSTD"


def test_what_is_written_is_told(made, tmp_path, capsys):
    export_command(made, "json", tmp_path, ())
    lines = capsys.readouterr().err.splitlines()
    assert f"{tmp_path}/layers.jsonl: 3 rows" in lines
    assert len(lines) == len(TABLES) + 1
    assert lines[-1].startswith(f"{tmp_path}/metrics: ") and lines[-1].endswith(
        " tables of metrics"
    )


def test_chosen_tables_alone(made, tmp_path, capsys):
    export_command(made, "json", tmp_path, ("layers", "metrics/hidden"))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl")) == [
        "layers.jsonl",
        "metrics/hidden.jsonl",
    ]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"{tmp_path}/layers.jsonl: 3 rows",
        f"{tmp_path}/metrics/hidden.jsonl: 4 rows",
    ]


def test_a_file_in_place_of_the_directory(made, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file"):
        export_command(made, "json", tmp_path / "file", ())


def test_a_dataset_without_metrics(tmp_path, capsys):
    bare = Made([[]], [[0]]).write(tmp_path / "made", metrics=False)
    export_command(bare, "json", tmp_path / "out", ())
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(TABLES)
    assert len(capsys.readouterr().err.splitlines()) == len(TABLES)


def test_memory_holds_one_batch(made, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "BATCH_BYTES", 20)
    with hpc_remetrics.open(made) as dataset:
        for form in FORMATS:
            target = tmp_path / f"entries.{ENDINGS[form]}"
            assert tables.write_table(dataset.entries, target, form) == 18
            if form != "parquet":
                assert target.read_bytes() == (exported / form / target.name).read_bytes()
        batches = list(dataset.entries.batches())
    assert pyarrow.parquet.ParquetFile(tmp_path / "entries.parquet").num_row_groups == len(batches)
    assert len(batches) > 4


def test_files_of_this_program_are_replaced_and_no_others(made, exported, tmp_path):
    for form in FORMATS:
        directory = shutil.copytree(exported / form, tmp_path / form)
        with hpc_remetrics.open(made) as dataset:
            assert tables.is_table(dataset.layers, form, directory / f"layers.{ENDINGS[form]}")
            assert not tables.is_table(dataset.layers, form, directory / f"images.{ENDINGS[form]}")
            assert not tables.is_table(dataset.layers, form, tmp_path / "missing")
        export_command(made, form, directory, ("layers",))
        target = directory / f"layers.{ENDINGS[form]}"
        target.write_text("something of the user")
        with pytest.raises(RemetricsError, match="layers"):
            export_command(made, form, directory, ("layers",))
        assert target.read_text() == "something of the user"
        export_command(made, form, directory, ("layers",), force=True)
        assert target.read_bytes() == (exported / form / target.name).read_bytes()


def test_a_table_of_another_version_is_recognized(made, tmp_path):
    with hpc_remetrics.open(made) as dataset:
        for columns, is_table in (
            (["row", "digest"], True),
            ([*arrow.schema_of(dataset.layers).names, "newer"], True),
            (["row", "digest", "newer"], False),
            (["digest", "row"], False),
        ):
            target = tmp_path / "layers.json"
            target.write_text(json.dumps(dict.fromkeys(columns, 0)) + "\n")
            assert tables.is_table(dataset.layers, "json", target) == is_table


def test_the_files_of_the_2017_tool(made, tmp_path, capsys):
    assert export_command(made, "seed2017", tmp_path, ()) == 0
    assert capsys.readouterr().err == f"{tmp_path}: 2 layers, 2 images\n"
    (tmp_path / ".hpc-remetrics-export").unlink()
    with pytest.raises(RemetricsError, match="no export of this program"):
        export_command(made, "seed2017", tmp_path, ())
