"""Totals estimated from a stratified sample: by the textbook, in a dataset, and how often intervals
have the truth."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.metrics.estimates import RepositorySample
from hpc_remetrics.records import Popularity


def test_a_total_and_its_deviation_by_the_textbook():
    sample = RepositorySample(np.array([0, 0, 0, 1, 1]), np.array([10.0, 1.0]), np.array([4, 2]))
    values = np.array([5, 7, 0, 100, 60])
    assert sample.total(values) == 10 * 12 + 160
    # The stratum that was drawn whole has no variance; of the other one repository had no image.
    within = statistics.variance([5, 7, 0, 0])
    assert math.isclose(sample.std_error(values), math.sqrt(40**2 * (1 - 4 / 40) * within / 4))


def test_one_of_several_says_nothing_of_the_others():
    sample = RepositorySample(np.array([0, 1, 1]), np.array([7.0, 2.0]), np.array([1, 2]))
    assert sample.total(np.array([3, 1, 1])) == 25 and math.isnan(
        sample.std_error(np.array([3, 1, 1]))
    )


def test_the_interval_has_the_truth_in_95_of_100_samples():
    rng = np.random.default_rng(3)
    strata = [rng.lognormal(mean, 1, size) for mean, size in ((1, 3000), (3, 500), (6, 60))]
    drawn = np.array([150, 80, 30])
    weight = np.array([len(values) for values in strata]) / drawn
    truth, hits = sum(values.sum() for values in strata), 0
    for _ in range(1000):
        chosen = np.concatenate(
            [rng.choice(v, n, replace=False) for v, n in zip(strata, drawn, strict=True)]
        )
        sample = RepositorySample(np.repeat(np.arange(3), drawn), weight, drawn)
        hits += abs(sample.total(chosen) - truth) <= 1.96 * sample.std_error(chosen)
    assert 920 <= hits <= 975


@pytest.fixture
def sampled(tmp_path):
    """Six repositories of two strata, one of which was drawn whole, with one layer each."""
    layers = [[Entry("file", b"a", n + 1), Entry("file", b"b/c", 3 * n)] for n in range(6)]
    known = [Popularity(1, 10, "pulls 1e1", 25.0, 5) for _ in range(4)] + [
        Popularity(5, 10**6, "official", 1.0, 2)
    ] * 2
    made = Made(layers, [[n] if n else [0, 1] for n in range(6)])
    made.repositories = {f"made{n:04}": one for n, one in enumerate(known)}
    with hpc_remetrics.open(made.write(tmp_path)) as dataset:
        yield made, dataset


@pytest.mark.slow
def test_estimates_of_a_dataset(sampled):
    made, dataset = sampled
    table = dataset.metrics["estimates"].frame().set_index("name")
    sizes = [
        sum(entry.size for layer in image for entry in made.layers[layer]) for image in made.images
    ]
    row = table.loc["image_FLS"]
    assert row["sample_value"] == dataset.metrics.totals["image_FLS"] == sum(sizes)
    assert row["estimate"] == 25 * sum(sizes[:4]) + sum(sizes[4:])
    deviation = math.sqrt(125**2 * (1 - 5 / 125) * statistics.variance([*sizes[:4], 0]) / 5)
    assert math.isclose(row["ci_high"] - row["estimate"], 1.959963984540054 * deviation)
    assert row["ci_low"] == max(row["estimate"] - 1.959963984540054 * deviation, sum(sizes))
    assert table.loc["repositories", "estimate"] == 25 * 4 + 2
    hidden = dataset.metrics["images"]["hidden_bytes"].tolist()
    assert hidden[0] > 0
    share = 25 * hidden[0] / row["estimate"]
    assert math.isclose(table.loc["hidden_byte_share", "estimate"], share)
    assert (
        table.loc["hidden_byte_share", "ci_low"]
        <= share
        <= table.loc["hidden_byte_share", "ci_high"]
    )


@pytest.mark.slow
def test_pulls_weigh_images(sampled):
    _, dataset = sampled
    table, images = (
        dataset.metrics["pulls"].frame().set_index("quantity"),
        dataset.metrics["images"],
    )
    pulls = np.array([10] * 4 + [10**6] * 2)
    for name in ("CLS", "FLS", "shared_bytes", "hidden_bytes"):
        assert table.loc[name, "bytes"] == images[name].sum()
        assert table.loc[name, "pulled_bytes"] == (pulls * images[name]).sum()
    assert (
        table.loc["hidden_bytes", "pulled_share"]
        == table.loc["hidden_bytes", "pulled_bytes"] / table.loc["FLS", "pulled_bytes"]
    )
    assert dataset.metrics["top_repositories"].readable("pulls").tolist() == sorted(
        pulls.tolist(), reverse=True
    )
    assert dataset.metrics.distribution("repositories/pulls").sum == pulls.sum()


@pytest.mark.slow
def test_a_crawl_that_is_no_sample_has_no_estimates(tmp_path):
    made = Made([[Entry("file", b"a", 1)]], [[0]])
    with hpc_remetrics.open(made.write(tmp_path)) as dataset:
        assert len(dataset.metrics["estimates"]) == 0
