"""The numbers of `plan` for a small layout, whose descriptors state sizes that no blob has."""

from pathlib import Path

import pytest
from support.layouts import TAR, Layout
from support.made import Entry, Made

from hpc_remetrics.analyze.plan import cost
from hpc_remetrics.config import PlanOptions
from hpc_remetrics.records import Digest, Layer
from hpc_remetrics.summaries import forecast as module
from hpc_remetrics.summaries import plan as plan_module
from hpc_remetrics.summaries.forecast import forecast, rates_of
from hpc_remetrics.summaries.plan import plan_numbers

MB = 10**6
SIZES = [900 * MB, 40 * MB, 30 * MB, 20 * MB]
SECONDS = [round(cost(Layer(Digest(bytes(32)), size, "oci_tar")), 3) for size in SIZES]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("plan") / "layout")
    layers = []
    for number, size in enumerate(SIZES):
        digest = f"sha256:{number:064x}"
        layers.append(({"mediaType": TAR, "digest": digest, "size": size}, digest))
    layout.image("a:1", layers)
    layout.image("b:1", layers[1:])
    return f"oci:{layout.finish()}"


def sums(*places):
    """Return what the plan says of some layers."""
    return {
        "layers": len(places),
        "bytes": sum(SIZES[place] for place in places),
        "estimated_cost": pytest.approx(sum(SECONDS[place] for place in places)),
    }


def test_layers_by_size_and_by_rank(layout):
    numbers, found = plan_numbers(PlanOptions(sources=(layout,), ranks=3))
    assert found is None
    assert (numbers["images"], numbers["skipped"], numbers["ranks"]) == (2, 0, 3)
    assert {name: numbers[name] for name in sums()} == sums(0, 1, 2, 3)
    assert numbers["buckets"] == [
        {"name": "up to 50 MB", **sums(1, 2, 3)},
        {"name": "up to 1 GB", **sums(0)},
        {"name": "up to 2 GB", **sums()},
        {"name": "above 2 GB", **sums()},
    ]
    # Rank 0 profiles nothing; each other rank begins with one layer
    assert numbers["shares"] == [{"rank": 1, **sums(0)}, {"rank": 2, **sums(1)}]
    assert numbers["tail"] == sums(2, 3)


def test_a_single_rank_profiles_layers_itself(layout):
    numbers, _ = plan_numbers(PlanOptions(sources=(layout,), ranks=1))
    assert [share["rank"] for share in numbers["shares"]] == [0]


@pytest.mark.parametrize("extract", [False, True])
def test_a_forecast_counts_nothing_as_fetched_that_is_read_in_place(
    layout, tmp_path, monkeypatch, extract
):
    # Without the rows of the gather, the layers decide on the scratch
    monkeypatch.setattr(module, "_ROW_BYTES", 0)
    ranks = {"rank": [0], "host": ["a"], "peak_memory": [100], "child_peak_memory": [10]}
    made = Made([[Entry("file", b"f", 1)]], [[0]], seconds={0: 1.0}, run={"ranks": ranks})
    earlier = made.write(tmp_path / "made", metrics=False)
    options = PlanOptions(sources=(layout,), ranks=4, nodes=2, calibration=earlier, extract=extract)
    _, found = plan_numbers(options)
    assert found == forecast(rates_of(earlier), SIZES, [0] * 4, ranks=4, nodes=2, unpack=extract)


def test_layers_of_earlier_datasets_are_gathered_and_not_profiled(layout, tmp_path, monkeypatch):
    # Earlier datasets that hold the smallest and the largest layer
    monkeypatch.setattr(module, "_ROW_BYTES", 0)
    ranks = {"rank": [0], "host": ["a"], "peak_memory": [100], "child_peak_memory": [10]}
    made = Made([[Entry("file", b"f", 1)]], [[0]], seconds={0: 1.0}, run={"ranks": ranks})
    earlier = made.write(tmp_path / "made", metrics=False)
    taken = []

    def takeable(paths, layers):
        taken.append(paths)
        ordered = sorted(layers.values(), key=lambda layer: layer.size)
        return {ordered[0].digest, ordered[-1].digest}

    monkeypatch.setattr(plan_module, "takeable_digests", takeable)
    options = PlanOptions(sources=(layout,), ranks=3, calibration=earlier, reuse=[Path("a.h5")])
    numbers, found = plan_numbers(options)
    assert taken == [[Path("a.h5")]]
    sizes = sorted(SIZES)
    assert {name: numbers[name] for name in ("layers", "bytes")} == {
        "layers": 2,
        "bytes": sum(sizes[1:3]),
    }
    assert numbers["reused"] == {"layers": 2, "bytes": sizes[0] + sizes[3]}
    reused = [sizes[0], sizes[3]]
    assert found == forecast(rates_of(earlier), sizes[1:3], [0, 0], ranks=3, nodes=1, reused=reused)
    alone = forecast(rates_of(earlier), sizes[1:3], [0, 0], ranks=3, nodes=1)
    assert found.entries > alone.entries and found.profile_seconds == alone.profile_seconds
    assert found.memory_bytes == alone.memory_bytes
