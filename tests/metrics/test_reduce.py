"""The command `reduce` on one rank: new metrics, or the dataset as it was."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.config import ReduceOptions
from hpc_remetrics.errors import DatasetError, OutputError
from hpc_remetrics.files.lock import OutputLock
from hpc_remetrics.metrics import reduce as module
from hpc_remetrics.mpi.comm import SerialComm

LAYERS = [[Entry("file", b"a", 1), Entry("file", b"b", 1)], [Entry("file", b"c", 2)]]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a dataset without metrics."""
    return Made(LAYERS, [[0, 1]]).write(tmp_path_factory.mktemp("made"), metrics=False)


@pytest.fixture
def path(made, tmp_path) -> Path:
    """Return a copy of the dataset."""
    return Path(shutil.copy(made, tmp_path / "d.h5"))


@pytest.fixture
def options(path, tmp_path) -> ReduceOptions:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return ReduceOptions(dataset=path, tiers=((scratch, None),))


def reduce(options: ReduceOptions) -> None:
    module._reduce(SerialComm(), options)


def left_beside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_metrics_take_the_place_of_none(path, options, monkeypatch, capsys):
    monkeypatch.setattr(module, "run_job", lambda work: work(SerialComm()))
    left = module.temporary_name(path)  # by a run that was killed
    left.write_bytes(b"x")
    before = path.stat().st_ino
    assert module.reduce_command(options) == 0
    with hpc_remetrics.open(path) as dataset:
        assert dataset.metrics.totals["files"] == 3
    assert path.stat().st_ino != before
    assert left_beside(path) == ["d.h5", "d.h5.lock", "scratch"]
    assert list(options.scratch[0].iterdir()) == []
    assert capsys.readouterr().err == f"{path}: its metrics are computed\n"


def test_it_can_be_told_to_be_quiet(path, options, monkeypatch, capsys):
    monkeypatch.setattr(module, "add_metrics", lambda *arguments: None)
    reduce(replace(options, quiet=True))
    assert capsys.readouterr().err == ""


def test_a_fault_leaves_the_dataset_as_it_was(path, options, monkeypatch):
    before = path.read_bytes()
    seen = []

    class Lock(OutputLock):
        def __enter__(self):
            seen.append("lock")
            return super().__enter__()

        def __exit__(self, *error):
            seen.append("release")
            super().__exit__(*error)

    def add_metrics(comm, copy, scratch, memory, history):
        seen.append(memory)
        assert copy.read_bytes() == before
        copy.write_bytes(b"half")
        raise DatasetError("a fault")

    monkeypatch.setattr(module, "OutputLock", Lock)
    monkeypatch.setattr(module, "add_metrics", add_metrics)
    with pytest.raises(DatasetError, match="a fault"):
        reduce(replace(options, memory=7))
    assert seen == ["lock", 7_000_000, "release"]
    assert path.read_bytes() == before
    assert left_beside(path) == ["d.h5", "scratch"]


def test_all_of_the_dataset_is_checked_before_anything_is_written(path, options, monkeypatch):
    checked = []

    def check_all(self, rank, size):
        checked.append((rank, size))
        raise DatasetError("a damaged column")

    monkeypatch.setattr(module.Dataset, "check_all", check_all)
    with pytest.raises(DatasetError, match="a damaged column"):
        reduce(options)
    assert checked == [(0, 1)]
    assert left_beside(path) == ["d.h5", "scratch"]


def test_a_dataset_that_must_not_be_changed_is_not_replaced(path, options, monkeypatch):
    def refuse(where, hint):
        raise OutputError(f"{where} is read-only", hint)

    monkeypatch.setattr(module, "check_writable", refuse)
    with pytest.raises(OutputError, match="is read-only") as caught:
        reduce(options)
    assert "chmod u+w" in caught.value.hint
    assert left_beside(path) == ["d.h5", "scratch"]
