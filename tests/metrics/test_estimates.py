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


def test_a_stratum_of_one_that_was_drawn_whole_has_no_error():
    sample = RepositorySample(np.array([0, 0, 1]), np.array([3.0, 1.0]), np.array([2, 1]))
    want = math.sqrt(6**2 * (1 - 2 / 6) * statistics.variance([1, 4]) / 2)
    assert math.isclose(sample.std_error(np.array([1, 4, 9])), want)


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


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Six repositories of two strata, one of which was drawn whole, with one layer each."""
    layers = [[Entry("file", b"a", n + 1), Entry("file", b"b/c", 3 * n)] for n in range(6)]
    known = [Popularity(1, 10, "pulls 1e1", 25.0, 5) for _ in range(4)] + [
        Popularity(5, 10**6, "official", 1.0, 2)
    ] * 2
    made = Made(layers, [[n] if n else [0, 1] for n in range(6)])
    made.repositories = {f"made{n:04}": one for n, one in enumerate(known)}
    with hpc_remetrics.open(made.write(tmp_path_factory.mktemp("sampled") / "made")) as dataset:
        yield made, dataset


def test_estimates_of_a_dataset(sampled):
    made, dataset = sampled
    table = dataset.metrics["estimates"]
    names = table.readable("name").tolist()
    of = {
        name: {column: table[column][row] for column in table.columns[1:-1]}
        for row, name in enumerate(names)
    }
    sizes = [
        sum(entry.size for layer in image for entry in made.layers[layer]) for image in made.images
    ]
    row = of["image_FLS"]
    assert row["sample_value"] == dataset.metrics.totals["image_FLS"] == sum(sizes)
    assert row["estimate"] == 25 * sum(sizes[:4]) + sum(sizes[4:])
    deviation = math.sqrt(125**2 * (1 - 5 / 125) * statistics.variance([*sizes[:4], 0]) / 5)
    assert math.isclose(row["ci_high"] - row["estimate"], 1.959963984540054 * deviation)
    assert row["ci_low"] == max(row["estimate"] - 1.959963984540054 * deviation, sum(sizes))
    assert of["repositories"]["estimate"] == 25 * 4 + 2
    hidden = dataset.metrics["images"]["hidden_bytes"].tolist()
    assert hidden[0] > 0
    share = 25 * hidden[0] / row["estimate"]
    found = of["hidden_byte_share"]
    assert math.isclose(found["estimate"], share)
    assert found["sample_value"] == hidden[0] / sum(sizes)
    # The variance of a ratio is that of the residuals, as for a total of theirs
    residuals = [hidden[0] - share * sizes[0], *(-share * size for size in sizes[1:4]), 0]
    of_residuals = math.sqrt(125**2 * (1 - 5 / 125) * statistics.variance(residuals) / 5)
    half = 1.959963984540054 * of_residuals / row["estimate"]
    assert math.isclose(found["ci_low"], max(share - half, 0.0), abs_tol=1e-12)
    assert math.isclose(found["ci_high"], min(share + half, 1.0))


def test_pulls_weigh_images(sampled):
    _, dataset = sampled
    table = dataset.metrics["pulls"]
    images = dataset.metrics["images"]
    place = {name: row for row, name in enumerate(table.readable("quantity").tolist())}
    pulls = np.array([10] * 4 + [10**6] * 2)
    for name in ("CLS", "FLS", "shared_bytes", "hidden_bytes"):
        assert table["bytes"][place[name]] == images[name].sum()
        assert table["pulled_bytes"][place[name]] == (pulls * images[name]).sum()
    assert (
        table["pulled_share"][place["hidden_bytes"]]
        == table["pulled_bytes"][place["hidden_bytes"]] / table["pulled_bytes"][place["FLS"]]
    )
    assert dataset.metrics["top_repositories"].readable("pulls").tolist() == sorted(
        pulls.tolist(), reverse=True
    )
    assert dataset.metrics.distribution("repositories/pulls").sum == pulls.sum()
