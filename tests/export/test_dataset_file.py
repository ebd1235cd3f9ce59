"""A dataset as HDF5 again, whole or without what tells who made it; commands on such files."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.cli import main
from hpc_remetrics.dataset.metrics_schema import METRICS
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.errors import UsageError
from hpc_remetrics.export.dataset_file import _anonymous_value, write_dataset
from hpc_remetrics.records import Skipped, Step

PATH = "/home/jane/images"
RUN = {
    "version": "0.1.0",
    "started": 1e9,
    "command": f"hpc-remetrics analyze oci:{PATH}",
    "probes": f"entropy={PATH}",
    "types": "magic-544-file-1",
    "sources": {"source": [f"oci:{PATH}"]},
    "ranks": {
        "rank": [0, 1, 2],
        "host": ["node8", "node7", "node8"],
        "peak_memory": [1, 2, 3],
        "child_peak_memory": [1, 2, 3],
    },
    "jobs": {
        "job": ["ab12"],
        "share": [""],
        "host": ["node8"],
        "started": [1e9],
        "updated": [1e9 + 60],
        "ended": [f"failed: {PATH} is full"],
        "seconds": [50.0],
        "ranks": [1],
    },
    "job_ranks": {
        "job": ["ab12"],
        "rank": [1],
        "host": ["node7"],
        **{name: [4] for name in ("ok", "partial", "failed", "files", "bytes")},
        **{f"{name}_seconds": [2.0] for name in ("busy", "fetch", "publish", "idle")},
    },
}
STEPS = (
    Step(5, 0, "/bin/sh -c #(nop)  MAINTAINER jane doe", "", "jane doe", False),
    Step(6, 0, "LABEL maintainer=jane version=1", "mail jane.doe@example.org", "", True),
    Step(7, 0, "ENV TOKEN=0123456789", "", "", True),
)
PAIRS = (
    ("org.opencontainers.image.authors", "jane"),
    ("version", "1.2"),
    ("API_TOKEN", "geheim"),
    ("about", "ask <jane@example.org>, pip install a@1.2.3"),
)
CONFIG = {
    "created": 5,
    "author": "jane",
    "os": "linux",
    "entrypoint": '["mail","jane@example.org","--password","geheim"]',
    "labels": PAIRS,
    "environment": PAIRS,
    "history": STEPS,
}
SECRETS = (b"jane", b"node7", b"node8", b"0123456789", b"geheim")


def build(directory: Path, stage: str) -> Path:
    """Write a dataset with a failed layer, and names of hosts and paths wherever they may be."""
    layers = [[Entry("file", b"a/%d" % n, n) for n in range(1, 9)], []]
    skipped = [
        Skipped("made:1", "sha256:1", 5, "type", "missing_manifest", f"can't open {PATH}/x"),
        Skipped("made:1", "sha256:2", 5, "type", "artifact", "holds a chart"),
    ]
    made = Made(layers, [[0], [0, 1]], status={1: "failed"}, stage=stage, skipped=skipped, run=RUN)
    made.failed_on = (1, "node7")
    made.configs = {0: CONFIG, 1: CONFIG}
    made.changed = {1: {"annotations": PAIRS}}
    return made.write(directory)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("full") / "made", "tar")


@pytest.fixture(scope="module")
def anonymous(full, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("anonymous") / "made.h5"
    with hpc_remetrics.open(full) as dataset:
        write_dataset(dataset, target, is_anonymous=True)
    return target


@pytest.fixture(autouse=True, scope="module")
def command():
    """The command line of an export, which goes into the history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["/home/jane/bin/hpc-remetrics", "export", f"{PATH}/made.h5"])
        yield


@pytest.fixture(scope="module")
def without_run(full, tmp_path_factory) -> Path:
    """What is left where somebody removed /run with another program."""
    target = tmp_path_factory.mktemp("without") / "made.h5"
    shutil.copy(full, target)
    with h5py.File(target, "r+") as file:
        del file["run"]
    return target


def columns_of(path: Path) -> dict[str, str]:
    """Return the values of every column of every table and metric, NaN too."""
    with hpc_remetrics.open(path) as data:
        tables = {name: data[name] for name in TABLES}
        tables |= {f"metrics/{name}": data.metrics[name] for name in METRICS}
        return {
            f"{name}/{column}": repr(table.column(column).tolist())
            for name, table in tables.items()
            for column in table.form.columns
        }


def test_nothing_names_who_made_it(full, anonymous):
    assert all(secret in full.read_bytes() for secret in SECRETS)
    assert not any(secret in anonymous.read_bytes() for secret in SECRETS)


def test_all_else_is_as_it_was(full, anonymous):
    before, after = columns_of(full), columns_of(anonymous)
    changed = {name for name in before if before[name] != after[name]}
    texts = {name for name in changed if name.split("/")[0] in ("configs", "history")}
    assert texts == {
        *("configs/author", "configs/author_offset"),
        *("configs/entrypoint", "configs/entrypoint_offset"),
        *("history/created_by", "history/created_by_offset", "history/comment"),
        *("history/comment_offset", "history/author", "history/author_offset"),
    }
    for name in ("labels", "environment", "annotations"):
        texts |= {f"{name}/value", f"{name}/value_offset"}
    assert changed == {"skipped/message", "metrics/config_values/value"} | texts
    assert after["skipped/message"] == "[b'', b'holds a chart']"
    with hpc_remetrics.open(full) as one, hpc_remetrics.open(anonymous) as other:
        assert {**other.attributes, "history": one.file_history} == one.attributes
        assert [line.split()[1:] for line in other.file_history.splitlines()] == [
            ["hpc-remetrics", "analyze"],
            ["hpc-remetrics", "export"],
        ]
        assert other.run.keys() == {"description", "version", "started", "types"}
        assert {**one.run, **other.run} == one.run
        np.testing.assert_array_equal(
            one.run_table("layers")["cpu_seconds"], other.run_table("layers")["cpu_seconds"]
        )


def test_what_names_persons_is_its_kind_and_length(anonymous):
    with hpc_remetrics.open(anonymous) as data:
        values = [
            *("<redacted:person:4>", "1.2", "<redacted:token:6>"),
            "ask <<redacted:email:16>>, pip install a@1.2.3",
        ]
        for table in (data.labels, data.environment, data.annotations):
            assert table.readable("key").tolist() == [key for key, _ in PAIRS]
            assert table.readable("value").tolist() == values
        assert data.configs.readable("entrypoint").tolist() == [
            '["mail","<redacted:email:16>","--password","<redacted:password:6>"]'
        ]
        assert data.history.readable("created_by").tolist() == [
            "/bin/sh -c #(nop)  MAINTAINER <redacted:person:8>",
            "LABEL maintainer=<redacted:person:14>",
            "ENV TOKEN=<redacted:token:10>",
        ]
        assert data.history.readable("comment").tolist() == ["", "mail <redacted:email:20>", ""]
        assert data.images.column("created").tolist() == [5, 5]


def test_metrics_quote_configs_without_persons(anonymous):
    with hpc_remetrics.open(anonymous) as data:
        values = data.metrics["config_values"].readable("value").tolist()
    assert '["mail","<redacted:email:16>","--password","<redacted:password:6>"]' in values


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("user", "jane@example.org", "<redacted:email:16>"),
        ("label", "jane@example.org", "jane@example.org"),
        ("cmd", "x" * 1000, "x" * 1000),
        ("cmd", "x" * 1001, "<redacted:long:1001>"),
    ],
)
def test_of_a_value_that_may_be_cut_nothing_stays(variable, value, wanted):
    assert _anonymous_value(variable, value) == wanted


def test_hosts_have_the_same_alias_everywhere(anonymous):
    with hpc_remetrics.open(anonymous) as data:
        assert data.run_table("ranks")["host"].tolist() == [b"host-1", b"host-2", b"host-1"]
        assert data.run_table("ranks")["peak_memory"].tolist() == [1, 2, 3]
        jobs = data.run_table("jobs")
        assert jobs["host"].tolist() == [b"host-1"] and jobs["ended"].tolist() == [b"failed"]
        assert data.run_table("job_ranks")["host"].tolist() == [b"host-2"]
        assert list(data.failed_on.values()) == [(1, "host-2")]
        assert data.sources == []


def test_messages_about_places_are_left_out(tmp_path):
    """A tar is at fault wherever it lies; that a file can't be opened may name it."""
    full = build(tmp_path / "made", "open")
    with hpc_remetrics.open(full) as dataset:
        assert dataset.failures.readable("message").tolist() == ["fault in layer 1"]
        write_dataset(dataset, tmp_path / "out.h5", is_anonymous=True)
    with hpc_remetrics.open(tmp_path / "out.h5") as data:
        assert data.failures.readable("message").tolist() == [""]
        assert data.failures.readable("cause").tolist() == ["bad_header"]


def test_a_whole_copy_has_everything(full, tmp_path):
    assert main(["export", str(full), "--format", "hdf5", "-o", str(tmp_path)]) == 0
    assert columns_of(tmp_path / "made.h5") == columns_of(full)
    with hpc_remetrics.open(tmp_path / "made.h5") as copy, hpc_remetrics.open(full) as dataset:
        assert copy.run == dataset.run and copy.sources == dataset.sources
        assert copy.failed_on == dataset.failed_on


@pytest.mark.parametrize("name", [*TABLES, "metrics/groups", "metrics/distributions"])
def test_xarray_opens_what_was_copied(full, anonymous, name):
    # It takes a second to import, which only the worker that runs this test need spend.
    import xarray

    found = []
    for path in (full, anonymous):
        with xarray.open_dataset(path, group=name, engine="h5netcdf") as opened:
            found.append(dict(opened.sizes))
    before, after = found
    assert before.keys() - after.keys() <= {"author_byte"}  # of columns that are empty now
    assert {key: before[key] for key in ("row", "row_bound") if key in before} == {
        key: after[key] for key in ("row", "row_bound") if key in after
    }


def test_other_formats_are_anonymous_too(full, tmp_path):
    command = ["export", str(full), "--format", "csv", "--anonymous", "-o", str(tmp_path)]
    assert main(command) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} == {".csv"} and len(written) > 30
    assert not any(secret in path.read_bytes() for path in written for secret in SECRETS)


def test_a_whole_format_has_no_single_tables(full, capsys):
    assert (
        main(["export", str(full), "--format", "hdf5", "--table", "layers"]) == UsageError.exit_code
    )
    assert "hdf5 is always written whole; choose parquet, csv or json" in capsys.readouterr().err


def test_another_file_is_not_replaced(full, tmp_path, capsys):
    (tmp_path / "made.h5").write_text("no dataset")
    assert main(["export", str(full), "--format", "hdf5", "-o", str(tmp_path)]) == 2
    assert "made.h5 exists and is no dataset of this program" in capsys.readouterr().err


def test_a_report_says_what_is_unknown(without_run, anonymous, capsys):
    assert main(["report", str(without_run)]) == 0
    said = capsys.readouterr().out
    assert "when, on what and by which version it was made is unknown: the file has no /run" in said
    assert main(["report", str(without_run), "--json"]) == 0
    assert '"run": null' in capsys.readouterr().out
    assert main(["report", str(anonymous)]) == 0
    said = capsys.readouterr().out
    assert "unknown" not in said and "on 1 rank, 1 host" in said


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plot", "page", "compare", "status", "export", "seed2017"])
def test_commands_that_read(without_run, anonymous, full, tmp_path, capsys, command):
    for path in map(str, (without_run, anonymous)):
        words = {
            "plot": ["plot", path, "--figure", "18", "-o", str(tmp_path)],
            "page": ["report", path, "--html", str(tmp_path / "page.html")],
            "compare": ["compare", path, str(full)],
            "status": ["status", path],
            "export": ["export", path, "-o", str(tmp_path)],
            "seed2017": ["export", path, "--format", "seed2017", "-o", str(tmp_path / path[-9:])],
        }
        assert main(words[command]) == 0, capsys.readouterr().err
    if command == "page":
        assert "sources: unknown" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["without_run", "anonymous"])
def test_commands_that_make_datasets(runs, request, kind):
    """The metrics of a dataset do not depend on /run, and neither does a merged one."""
    path = request.getfixturevalue(kind)
    shutil.copy(path, runs.directory / "one.h5")
    before = columns_of(path)
    scratch = ("--scratch", runs.scratch)
    runs.run(runs.command("reduce", "one.h5", *scratch))
    assert columns_of(runs.directory / "one.h5") == before
    runs.run(runs.command("merge", "one.h5", "one.h5", "-o", "two.h5", *scratch))
    assert columns_of(runs.directory / "two.h5") == before
    said = runs.run(runs.command("plan", "demo:", "--time", "--calibration", "one.h5"), code=2)
    assert "does not tell how long its layers took" in said.stderr
