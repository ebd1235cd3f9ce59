"""`plan --time`: what an earlier run took, added up and divided; and the line that submits the
job."""

import json
import re
import shlex

import pytest
from support import small_images
from support.runs import Runs
from support.tools import need

import hpc_remetrics
from hpc_remetrics.summaries.forecast import Rates, forecast, rates_of

GB = 10**9
RATES = Rates(
    layer_seconds=0.5, byte_seconds=1e-7, entries_a_byte=1e-4, wall_a_cpu=2.0, rank_bytes=GB
)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    need("zstd")
    runs = Runs(tmp_path_factory.mktemp("earlier"))
    layout = small_images.build(runs.folder)
    runs.run(runs.analyze(f"oci:{layout}", "out.h5", ranks=2))
    return runs, layout


@pytest.mark.slow
def test_a_run_over_the_same_layers_is_foretold_as_it_was(earlier):
    runs, layout = earlier
    with hpc_remetrics.open(runs.folder / "out.h5") as dataset:
        busy, sizes = (
            float(dataset.run_table("job_ranks")["busy_seconds"].sum()),
            dataset.layers["CLS"].tolist(),
        )
        entries = len(dataset.entries)
    words = ["plan", f"oci:{layout}", "--ranks", 2, "--time", "--calibration", "out.h5", "--json"]
    found = json.loads(runs.run(runs.command(*words)).stdout)["forecast"]
    assert found["profile_seconds"] == pytest.approx(
        max(busy, found["longest_seconds"]), rel=0.05, abs=0.1
    )
    assert abs(found["entries"] - entries) <= 1
    assert forecast(
        rates_of(runs.folder / "out.h5"), sizes * 10, [0] * 130, 11, 2
    ).profile_seconds == pytest.approx(busy, rel=0.05, abs=0.1)


@pytest.mark.slow
def test_the_line_that_submits_is_one_that_sbatch_and_the_command_take(earlier):
    runs, layout = earlier
    words = ["--ranks", 64, "--nodes", 4, "--time", "--calibration", "out.h5"]
    page = runs.run(runs.command("plan", f"oci:{layout}", *words)).stdout
    line = shlex.split(page[page.index("sbatch") :].replace("\\\n", ""))
    assert line[:5] == ["sbatch", "-N", "4", "-n", "64"]
    assert re.fullmatch(r"--time=\d+:(00|15|30|45):00", line[5])
    assert re.fullmatch(r"--mem-per-cpu=\d{4,}M", line[6])
    assert line[7:] == ["slurm/analyze.sbatch", f"oci:{layout}", "-o", "hub.h5"]


def test_more_ranks_take_less_time_until_the_longest_layer_decides():
    sizes = [10 * GB] + [10**7] * 10_000
    times = [
        forecast(RATES, sizes, [0] * len(sizes), ranks, 1).profile_seconds
        for ranks in (2, 11, 4096)
    ]
    assert times == [32_001.0, 3_200.1, 2001.0]


def test_scratch_counts_what_is_fetched_and_what_is_unpacked():
    sizes = [GB, *[1] * 100]
    in_place, fetched = (
        forecast(RATES, sizes, blobs, 2, 1).scratch_bytes for blobs in ([0] * 101, sizes)
    )
    assert fetched - in_place == pytest.approx(GB, rel=0.01)
    assert forecast(
        RATES, sizes, sizes, 2, 1, unpack=True
    ).scratch_bytes - fetched == pytest.approx(4 * GB, rel=0.01)


def test_nothing_to_do_takes_no_time():
    assert forecast(RATES, [], [], 4, 2).profile_seconds == 0


@pytest.mark.slow
def test_mistakes(earlier):
    runs, layout = earlier
    for words, text in (
        (["--time", "--calibration", "no.h5"], "no.h5 is not there"),
        (["--ranks", 2, "--nodes", 3], "--nodes 3 is more than there are ranks, 2"),
    ):
        assert text in runs.run(runs.command("plan", f"oci:{layout}", *words), code=2).stderr
