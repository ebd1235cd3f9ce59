"""Reading `/metrics`, and what is refused there."""

import h5py
import numpy as np
import pytest

import hpc_remetrics
from hpc_remetrics.dataset import metrics as module
from hpc_remetrics.dataset.metrics_schema import DISTRIBUTIONS, METRICS
from hpc_remetrics.errors import DatasetError


@pytest.fixture(scope="module")
def metrics(made):
    with hpc_remetrics.open(made) as dataset:
        yield dataset.metrics


def test_tables_and_totals(made, metrics):
    assert list(metrics) == metrics.keys() == list(METRICS)
    with h5py.File(made) as file:
        group = file["metrics/totals"]
        want = {name: group[name][0].item() for name in METRICS["totals"].columns}
    assert {name: repr(value) for name, value in metrics.totals.items()} == {
        name: repr(value) for name, value in want.items()
    }
    assert type(metrics.totals["files"]) is int
    with pytest.raises(KeyError, match="/metrics has no table 'growths', it has totals, "):
        metrics["growths"]


def test_distributions_have_their_own_rows(made, metrics):
    assert metrics.distributions == list(DISTRIBUTIONS)
    with h5py.File(made) as file:
        columns = {
            name: file["metrics/distributions"][name][:]
            for name in METRICS["distributions"].columns
        }
        quantiles = {name: file["metrics/quantiles"][name][:] for name in ("probability", "value")}
        bins = {
            name: file["metrics/histograms"][name][:] for name in ("low", "high", "count", "sum")
        }
    for row, name in enumerate(metrics.distributions):
        found = metrics.distribution(name)
        first = columns["first_quantile"][row]
        rows = slice(first, first + columns["quantiles"][row])
        assert (found.name, found.unit) == (name, DISTRIBUTIONS[name].unit)
        assert (found.population, found.description) == (
            DISTRIBUTIONS[name].population,
            DISTRIBUTIONS[name].description,
        )
        assert found.count == columns["count"][row] and found.max == pytest.approx(
            columns["max"][row], nan_ok=True
        )
        np.testing.assert_array_equal(found.probability, quantiles["probability"][rows])
        np.testing.assert_array_equal(found.value, quantiles["value"][rows])
        first = columns["first_bin"][row]
        rows = slice(first, first + columns["bins"][row])
        for values, column in (
            (found.low, "low"),
            (found.high, "high"),
            (found.bin_count, "count"),
            (found.bin_sum, "sum"),
        ):
            np.testing.assert_array_equal(values, bins[column][rows])
    with pytest.raises(KeyError, match="no distribution 'layers/cls', there are layers/CLS, "):
        metrics.distribution("layers/cls")


def refuse(path, words):
    with hpc_remetrics.open(path) as dataset, pytest.raises(DatasetError, match=words):
        _ = dataset.metrics


def test_metrics_that_are_not_there(changed):
    with h5py.File(changed, "r+") as file:
        del file["metrics/growth"], file["metrics/hidden"]
    refuse(changed, "lacks /metrics/growth, /metrics/hidden")
    with h5py.File(changed, "r+") as file:
        del file["metrics"]
    refuse(changed, "has no metrics.*reduce FILE")


@pytest.mark.parametrize("version", [99, np.array([1, 2]), "x" * 100])
def test_another_version(changed, version):
    with h5py.File(changed, "r+") as file:
        file["metrics"].attrs["version"] = version
    with hpc_remetrics.open(changed) as dataset:
        assert not dataset.has_metrics
    words = str(version)[:40]
    refuse(changed, rf"has metrics of version {words.replace('[', '.').replace(']', '.')}, this")


@pytest.mark.parametrize(
    ("table", "words"),
    [("totals", "2 rows, not 1"), ("images", "8 rows, not 4"), ("layers", "8 rows, not 4")],
)
def test_tables_of_a_wrong_length(changed, table, words):
    with h5py.File(changed, "r+") as file:
        group = file["metrics"][table]
        for name in list(group):
            values = group[name][:]
            del group[name]
            group[name] = np.concatenate([values, values])
    refuse(changed, f"/metrics/{table} has {words}")


def test_tables_are_bounded(changed, monkeypatch):
    """By a limit, and a row for each layer, image, image layer and type more."""
    with hpc_remetrics.open(changed) as dataset:
        rows = max(len(dataset.metrics[name]) for name in dataset.metrics)
        tables = ("layers", "images", "image_layers", "types")
        allowed = sum(len(dataset[name]) for name in tables)
    monkeypatch.setattr(module, "_MAX_ROWS", rows - allowed)
    with hpc_remetrics.open(changed) as dataset:
        assert dataset.metrics
    monkeypatch.setattr(module, "_MAX_ROWS", rows - allowed - 1)
    refuse(changed, f"has {rows:,} rows")


@pytest.mark.parametrize(
    ("column", "points"), [("first_bin", "histograms"), ("quantiles", "quantiles")]
)
def test_distributions_point_into_their_tables(changed, column, points):
    with h5py.File(changed, "r+") as file:
        file[f"metrics/distributions/{column}"][-1] += 1
    refuse(changed, f"/metrics/distributions/first_.* points beyond /metrics/{points}")
