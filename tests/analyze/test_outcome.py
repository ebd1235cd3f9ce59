"""The outcome: whether a dataset is what the run would make, and what images state wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.made import Entry, Made

from hpc_remetrics.analyze.outcome import code_if_complete, warn_of_false_claims
from hpc_remetrics.analyze.run_inputs import Work
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.analyze.signature import fingerprint_of
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.records import Catalog
from hpc_remetrics.registry.registries import Registries

CATALOG = Catalog()
WORK = Work([], Registries(), CATALOG, {}, {}, (0, 0), 0)


def session(output, **options):
    return Session(SerialComm(), AnalyzeOptions(output=output, **options), StopRequest())


def made(count=1, **fields):
    """Return a dataset that a run of `WORK` would make: some layers, each in one image."""
    run = {"fingerprint": fingerprint_of(AnalyzeOptions(), CATALOG)}
    layers = [[Entry("file", b"a", 1)]] * count
    return Made(layers, [[layer] for layer in range(count)], run=run, **fields)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return made().write(tmp_path_factory.mktemp("complete"))


@pytest.fixture(scope="module", params=[5, 7])
def false_claims(tmp_path_factory, request):
    """A complete dataset of some images that state a wrong size of their layer, and how many."""
    directory = tmp_path_factory.mktemp("claims")
    return made(request.param, check_sizes=True).write(directory), request.param


def test_a_dataset_of_the_same_run_is_complete(complete, capsys):
    assert code_if_complete(session(complete), WORK) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"nothing to do: {complete} already holds 1 layer: 1 ok")
    assert code_if_complete(session(complete), replace(WORK, lost=1)) == 3


def test_a_dataset_of_another_run_is_not(complete, capsys):
    assert code_if_complete(session(complete, chunks=True), WORK) is None
    assert capsys.readouterr().err == ""


def test_a_dataset_without_metrics_is_not(tmp_path):
    output = made().write(tmp_path, metrics=False)
    assert code_if_complete(session(output), WORK) is None


def test_no_dataset_and_a_damaged_one_are_not(tmp_path):
    output = tmp_path / "out.h5"
    assert code_if_complete(session(output), WORK) is None
    output.write_bytes(b"something else")
    assert code_if_complete(session(output), WORK) is None


def test_false_claims_have_an_exit_code_and_the_first_five_are_warned_of(false_claims, caplog):
    output, count = false_claims
    assert code_if_complete(session(output), WORK) == 3
    *warnings, last = [record.getMessage() for record in caplog.records]
    if count > 5:
        assert last == "and 2 more; the dataset's table /failures lists all of them"
    else:
        warnings.append(last)
    assert len(warnings) == 5
    for warning in warnings:
        assert "is in the dataset, but size_mismatch: made:000" in warning
        assert warning.endswith("states 5 bytes, it has 10")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_exit_code_counts_all_false_claims(count):
    assert warn_of_false_claims([("sha256:00", "size_mismatch", "text")] * count) == count
