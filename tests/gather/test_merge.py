"""Facts of `merge` about the runs that made its inputs, and about their differences."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import ExitStack
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.config import MergeOptions
from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.errors import DatasetError
from hpc_remetrics.files.lock import lock_path
from hpc_remetrics.files.publish import temporary_name
from hpc_remetrics.gather import merge as module
from hpc_remetrics.mpi.comm import SerialComm

JOBS = {"job": ["j1", "j2"], "ranks": [2, 3], "seconds": [1.5, 2.5], "old": [1, 1]}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two datasets with one layer in common."""
    layers = [[Entry("file", b"f%d" % n, n)] for n in range(3)]
    runs = [
        {"types": "b + a", "started": 200.0, "compress_sample": "1/2", "chunk_sample": "1/4"},
        {"types": "c + a", "started": 100.0, "compress_sample": "1/2", "chunk_sample": "0"},
    ]
    runs[0] |= {"sources": {"source": ["oci:/a", "oci:/b"]}, "jobs": JOBS}
    runs[1] |= {"sources": {"source": ["oci:/b", "oci:/c"]}}
    runs[1] |= {"jobs": {"job": ["j3"], "ranks": [4], "seconds": [3.5], "new": [1]}}
    for run in runs:
        run["signature"] = {"name": ["types", "entries"], "value": ["a", "7"]}
    images = ([[0], [1]], [[1], [2]])
    directory = tmp_path_factory.mktemp("inputs")
    return [
        Made(layers, images[n], run=runs[n]).write(directory / f"{n}", metrics=False)
        for n in range(2)
    ]


@pytest.fixture
def inputs(written, tmp_path):
    """The same as copies, to be damaged."""
    return [shutil.copy(path, tmp_path / f"{n}.h5") for n, path in enumerate(written)]


def merged(inputs, tmp_path, **options):
    """Run the merge in this process, and return the dataset's path."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    output = tmp_path / "merged.h5"
    with ExitStack() as stack:
        chosen = MergeOptions(
            datasets=tuple(inputs), output=output, tiers=((scratch, None),), **options
        )
        module._merge(SerialComm(), chosen, stack)
    assert list(scratch.iterdir()) == []
    return output


def test_the_run_of_the_merged_dataset(inputs, tmp_path, capsys):
    before = time.time()
    path = merged(inputs, tmp_path)
    with hpc_remetrics.open(path) as dataset:
        run = dataset.run
        assert run["version"] == hpc_remetrics.__version__
        assert run["merged"] == f"{inputs[0]} {inputs[1]}"
        assert (run["started"], run["types"], run["rank_count"]) == (100.0, "a + b + c", 1)
        assert before <= run["gather_started"] <= time.time()
        assert (run["compress_sample"], run["chunk_sample"]) == ("1/2", "1/4")
        assert dataset.signature == {"types": "a", "entries": "7"}
        assert dataset.sources == ["oci:/a", "oci:/b", "oci:/c"]
        jobs = dataset.run_table("jobs")
        assert dataset.run_table("ranks") == {}
        assert len(dataset.layers) == 3 and dataset.metrics.totals["layers"] == 3
    # Columns that one of them lacks are dropped
    assert jobs.keys() == {"job", "ranks", "seconds"}
    assert jobs["job"].tolist() == [b"j1", b"j2", b"j3"]
    assert (jobs["ranks"].tolist(), jobs["seconds"].tolist()) == ([2, 3, 4], [1.5, 2.5, 3.5])
    words = "3 layers: 3 ok, 0 partial, 0 failed, 0 pending; 1 duplicates dropped"
    assert capsys.readouterr().err.splitlines()[-1] == f"{path}: {words}"


def test_the_output_is_locked_and_swept_before_anything_is_written(inputs, tmp_path, monkeypatch):
    left = temporary_name(tmp_path / "merged.h5")
    left.write_text("")
    seen = []

    def merge(*about):
        seen.append((lock_path(tmp_path / "merged.h5").stat().st_size > 0, left.exists()))
        seen.append(about[-1].keywords["memory"])
        return Ledger()

    monkeypatch.setattr(module, "merge", merge)
    merged(inputs, tmp_path, quiet=True, memory=1.5)
    assert seen == [(True, False), 1_500_000]


def test_the_command_runs_as_a_job_and_returns_0(tmp_path, monkeypatch, signal_handlers):
    seen = []

    def merge(comm, options, stack):
        stack.callback(seen.append, "closed")
        seen.append((comm.size, options))

    monkeypatch.setattr(module, "_merge", merge)
    options = MergeOptions(datasets=(), output=tmp_path / "merged.h5")
    assert module.merge_command(options) == 0
    assert seen == [(1, options), "closed"]


def test_quiet(inputs, tmp_path, capsys):
    merged(inputs[:1], tmp_path, quiet=True)
    assert capsys.readouterr().err == ""


def test_samples_of_different_shares_are_dropped_with_a_warning(inputs, tmp_path, caplog):
    other = Made([[Entry("file", b"g", 9)]], [[0]], first=9, run={"compress_sample": "1"})
    inputs.append(other.write(tmp_path / "other", metrics=False))
    with caplog.at_level(logging.WARNING):
        path = merged(inputs, tmp_path)
    assert "the merged dataset has no compressed sizes" in caplog.text
    with hpc_remetrics.open(path) as dataset:
        assert dataset.run["compress_sample"] == "0"


def test_a_damaged_input_is_refused_before_anything_is_written(inputs, tmp_path):
    with h5py.File(inputs[1], "r+") as file:
        file["entries/mode"][0] = 0o10000
    with pytest.raises(DatasetError, match="/entries/mode"):
        merged(inputs, tmp_path)
    assert not (tmp_path / "merged.h5").exists()


def test_a_signature_is_kept_if_all_datasets_have_it():
    one, other, none = (SimpleNamespace(signature=made) for made in ({"a": "1"}, {"a": "2"}, {}))
    assert module._common_signature([one, one]) == {"a": "1"}
    assert module._common_signature([one, other]) == {}
    assert module._common_signature([none, none]) == module._common_signature([one, none]) == {}


def test_tables_are_stacked():
    one = {"a": np.array([1, 2]), "b": np.array([b"x", b"\xff"])}
    two = {"b": np.array([b"y"]), "c": np.array([5])}
    assert module._stacked([one, {"a": np.array([])}, {}, two]) == {"b": ["x", "\ufffd", "y"]}
    assert module._stacked([{}, {"a": np.array([])}]) == {}
