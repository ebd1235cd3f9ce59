"""Totals over jobs, and rates of ranks, from notes whose numbers are known."""

import pytest

import hpc_remetrics
from hpc_remetrics.parts.job_notes import job_tables
from hpc_remetrics.summaries.jobs import RunTotals, rank_rates, run_totals

from .made_datasets import FIRST, LAYERS, Made, note, rank_row

NOTES = [
    note("one", rank_row(1, 2.0, ok=4, partial=1, bytes=600), rank_row(2, 0.0)),
    note("two", rank_row(1, 4.0, "b", ok=7, failed=1, bytes=400), seconds=10.0),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    reused = {"dataset": ["a", "b"], "layers": [2, 3], "bytes": [10, 20]}
    run = {**job_tables(NOTES), "reused": reused}
    made = Made(LAYERS, FIRST.images, status=FIRST.status, run=run)
    with hpc_remetrics.open(made.write(tmp_path_factory.mktemp("jobs") / "made", False)) as opened:
        yield opened


def test_totals_of_two_jobs(dataset):
    assert run_totals(dataset) == RunTotals(
        jobs=2,
        hosts=2,
        most_ranks=2,
        seconds=14.0,
        layers=13,
        bytes=1000,
        rank_seconds=2 * 4.0 + 1 * 10.0,
        busy_seconds=6.0,
        fetch_seconds=1.5,
        publish_seconds=0.75,
        idle_seconds=2.0 + 4.0 + 0.0,
        reused_layers=5,
        reused_bytes=30,
    )


def test_rates_are_those_of_ranks_that_had_a_layer(dataset):
    found = rank_rates(dataset)
    assert found.rank.tolist() == [1, 1]
    assert found.layers_per_second.tolist() == [5 / 2, 8 / 4]
    assert found.bytes_per_second.tolist() == [300, 100]
    assert {stage: times.tolist() for stage, times in found.seconds.items()} == {
        "profiling": [2, 4],
        "fetching": [0.5, 0.5],
        "publishing": [0.25, 0.25],
        "idle": [2, 0],
    }


def test_a_dataset_whose_jobs_left_no_notes(first, tmp_path):
    empty = Made([[]], [[0]], run=job_tables([])).write(tmp_path / "made", metrics=False)
    for path in (first, empty):
        with hpc_remetrics.open(path) as dataset:
            totals = run_totals(dataset)
            assert set(vars(totals).values()) == {0}
            rates = rank_rates(dataset)
        assert (len(rates.rank), len(rates.layers_per_second), rates.seconds) == (0, 0, {})
