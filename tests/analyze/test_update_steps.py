"""The steps of `updates` in one process, on two small versions of an image."""

from __future__ import annotations

import math
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from support.small_images import tar_of_files
from support.versions import DatedLayout

import hpc_remetrics
from hpc_remetrics.analyze.run import _run
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.analyze.update_run import UpdateRun
from hpc_remetrics.config import AnalyzeOptions, UpdatesOptions
from hpc_remetrics.errors import PartError, UsageError
from hpc_remetrics.metrics.update_deltas import delta_size
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.parts.parts_directory import scan_parts

BASE = {"base": b"the same in both images"}
OLD = {"changed": bytes(range(200)) * 3, "gone": b"of the older image"}
NEW = {"changed": bytes(range(200)) * 3 + b"!", "added": b"of the newer image alone"}


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Path:
    """A layout of `app:1` and `app:2`, which share their lowest layer."""
    made = DatedLayout(tmp_path_factory.mktemp("versions") / "layout")
    base = made.layer(tar_of_files(BASE), "plain")
    for day, files in enumerate((OLD, NEW), 1):
        made.date = f"2024-01-0{day}T00:00:00Z"
        made.image(f"app:{day}", [base, made.layer(tar_of_files(files), "plain")])
    return made.finish()


@pytest.fixture(scope="module")
def analyzed(layout, child, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("analyzed")
    options = AnalyzeOptions(
        sources=(f"oci:{layout}",),
        output=directory / "app.h5",
        types="none",
        tiers=((directory, None),),
        quiet=True,
    )
    assert _run(Session(SerialComm(), options, StopRequest()), child) == 0
    return options.output


@pytest.fixture
def make(analyzed, tmp_path):
    """Return a function that makes a run on a copy of the dataset."""
    path = tmp_path / "app.h5"
    shutil.copy(analyzed, path)
    (tmp_path / "scratch").mkdir()

    def run(**options) -> UpdateRun:
        chosen = {
            "dataset": path,
            "sample": Fraction(1),
            "tiers": ((tmp_path / "scratch", None),),
            **options,
        }
        return UpdateRun(SerialComm(), UpdatesOptions(**chosen), StopRequest())

    return run


def row_of(path: Path) -> dict[str, object]:
    """Return the only row of the table about updates."""
    with hpc_remetrics.open(path) as dataset:
        table = dataset.metrics["updates"]
        assert len(table) == 1
        return {name: table.readable(name)[0] for name in table.columns}


DELTAS = delta_size(OLD["changed"], NEW["changed"]) + delta_size(b"", NEW["added"])


def test_a_run_that_is_stopped_is_continued_and_reads_damaged_parts_again(
    make, child, tmp_path, monkeypatch, capsys
):
    before = {one.name for one in tmp_path.iterdir()}
    path = tmp_path / "app.h5"
    first = make()
    session = first._session

    def heartbeat():
        # A signal that comes while layers are read.
        if session.stop.at_once is None:
            session.stop.reason = "SIGTERM"

    session.heartbeat = heartbeat
    assert first.run(child) == 4
    said = capsys.readouterr().err
    assert "1 pair of images" in said
    assert "3 layers to read" in said and "not in the sources" not in said
    assert "stopped on SIGTERM: " in said and "run the command again to continue" in said
    assert math.isnan(row_of(path)["delta"])
    # The next run meets a damaged part, reads its layers again, and is interrupted.
    second = make()
    passed_over = []

    def damaged_once(pairs, plan, names):
        passed_over.append(names)
        if len(passed_over) > 1:
            raise KeyboardInterrupt
        parts = scan_parts(second._session.parts, SerialComm()).parts
        raise PartError([str(part.path) for part in parts], "damaged")

    monkeypatch.setattr(second, "_compare", damaged_once)
    with pytest.raises(KeyboardInterrupt):
        second.run(child)
    assert len(passed_over) == 2
    # Parts of another sample are not mixed with its parts.
    with pytest.raises(UsageError, match="this run has chunk_sample=1/2") as caught:
        make(sample=Fraction(1, 2)).run(child)
    assert "use the same --pairs and --sample, or remove" in caught.value.hint
    # The last run has nothing to read.
    capsys.readouterr()
    assert make().run(None) == 0
    assert f"{path}: its images are compared" in capsys.readouterr().err
    # Files as short as these are one chunk each.
    pulled = sum(map(len, NEW.values()))
    row = row_of(path)
    assert (row["layers"], row["contents"], row["content_bytes"]) == (1, 2, pulled)
    assert (row["chunks"], row["sampled_chunks"]) == (pulled, 2)
    assert (row["delta"], row["sampled_deltas"]) == (DELTAS, 2)
    assert pulled > DELTAS
    # A command more has written the dataset, and nothing is left beside it.
    with hpc_remetrics.open(path) as dataset:
        assert len(dataset.file_history.splitlines()) == 2
    left = {one.name for one in tmp_path.iterdir()} - before
    assert all(name.endswith(".lock") for name in left)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_without_pairs_there_is_nothing_to_compare(make, tmp_path):
    (tmp_path / "none.csv").write_text("old,new\n")
    with pytest.raises(UsageError, match="there are no two images of a repository"):
        make(pairs=tmp_path / "none.csv").run(None)
