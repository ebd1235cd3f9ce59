"""The page of a plan, line by line, and what the command prints."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support import tars
from support.layouts import Layout
from support.made import Entry, Made

from hpc_remetrics.config import PlanOptions
from hpc_remetrics.report.plan_page import page, plan_command
from hpc_remetrics.summaries.forecast import Forecast
from hpc_remetrics.summaries.plan import plan_numbers

GB = 10**9


def amount(layers: int, size: int) -> dict[str, int]:
    return {"layers": layers, "bytes": size}


def numbers(ranks: int) -> dict[str, object]:
    """Return the numbers of a plan for some ranks that profile."""
    return {
        "images": 1,
        "skipped": 2,
        **amount(3000, 12_345_678_900),
        "reused": amount(0, 0),
        "buckets": [{"name": "up to 50 MB", **amount(2999, 345_678_900)}],
        "shares": [{"rank": rank, **amount(rank, rank * GB)} for rank in range(1, ranks + 1)],
        "tail": amount(1000, 5 * GB),
    }


FORECAST = Forecast(
    ranks=64,
    nodes=1,
    profile_seconds=3725.0,
    longest_seconds=59.0,
    gather_seconds=61.0,
    entries=1,
    scratch_bytes=2 * GB,
    memory_bytes=3 * GB,
    rank_memory_bytes=1_500_000_001,
    limit_seconds=8100,
)


def lines_of(found, forecast=None, **options) -> list[str]:
    return page(found, forecast, PlanOptions(sources=("oci:a b",), **options)).splitlines()


def test_layers_by_size_and_by_rank():
    assert lines_of(numbers(ranks=2)) == [
        "1 image, 3,000 layers, 12.346 GB compressed, 2 descriptors not profiled",
        "",
        "bucket              layers            GB",
        "up to 50 MB          2,999         0.346",
        "",
        "assigned to         layers            GB",
        "rank 1                   1         1.000",
        "rank 2                   2         2.000",
        "on demand            1,000         5.000   handed out while ranks work",
    ]


@pytest.mark.parametrize(
    ("ranks", "more"), [(20, []), (21, ["… and 1 more rank (--json shows all)"])]
)
def test_of_many_ranks_the_first_twenty_have_a_row(ranks, more):
    lines = lines_of(numbers(ranks))
    assert [line.split()[1] for line in lines[6:26]] == [str(rank) for rank in range(1, 21)]
    assert lines[26:-1] == more


def test_layers_that_are_reused_have_a_line():
    reused = [Path("a.h5"), Path("b c.h5")]
    found = {**numbers(ranks=2), "reused": amount(7, 2 * GB)}
    lines = lines_of(found, FORECAST, reuse=reused, calibration=Path("a.h5"))
    assert lines[1:3] == ["7 more layers, 2.000 GB, of earlier datasets, not to be profiled", ""]
    assert lines[-1] == (
        "    slurm/analyze.sbatch 'oci:a b' --reuse a.h5 --reuse 'b c.h5' -o hub.h5"
    )


@pytest.mark.parametrize("extract", [False, True])
def test_a_forecast_ends_with_the_line_that_submits_the_job(extract):
    options = {"calibration": Path("a\n.h5"), "extract": extract}
    lines = lines_of(numbers(ranks=2), FORECAST, **options)
    assert lines[9:] == [
        "",
        r"forecast for 64 ranks on 1 node, by the times of a\n.h5",
        "  profiling                1:02:05   the longest layer 0:59",
        "  gathering                   1:01   1 entry",
        "  scratch                     2 GB   of the fullest node",
        "  memory                      3 GB   of the fullest node, without what tmpfs holds",
        "",
        "sbatch -N 1 -n 64 --time=2:15:00 --mem-per-cpu=1501M \\",
        f"    slurm/analyze.sbatch 'oci:a b'{' --extract' if extract else ''} -o hub.h5",
    ]


@pytest.fixture
def options(tmp_path) -> PlanOptions:
    """Return options for a plan of one layer, by the times of an earlier run."""
    layout = Layout(tmp_path / "layout")
    layout.image("a:1", [layout.layer(tars.file(b"f", b"x") + tars.END, "plain")])
    ranks = {"rank": [0], "host": ["a"], "peak_memory": [100], "child_peak_memory": [10]}
    made = Made([[Entry("file", b"f", 1)]], [[0]], seconds={0: 1.0}, run={"ranks": ranks})
    earlier = made.write(tmp_path / "made", metrics=False)
    return PlanOptions(sources=(f"oci:{layout.finish()}",), calibration=earlier)


def test_the_command_prints_the_page_or_json(options, capsys):
    found, times = plan_numbers(options)
    assert plan_command(options) == 0
    assert capsys.readouterr().out == page(found, times, options) + "\n"
    plan_command(replace(options, json=True))
    assert json.loads(capsys.readouterr().out) == found | {"forecast": asdict(times)}
    plan_command(replace(options, json=True, calibration=None))
    assert json.loads(capsys.readouterr().out) == found
