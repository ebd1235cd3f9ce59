"""`plan --time`: what an earlier run took, added up and divided; and the line that submits the
job."""

import json
import re
import shlex

import pytest
from support import small_images
from support.made import Entry, Made
from support.runs import Runs
from support.tools import need

import hpc_remetrics
from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import AHEAD_BYTES, UNPACKED
from hpc_remetrics.parts.job_notes import job_tables
from hpc_remetrics.summaries import forecast as module
from hpc_remetrics.summaries.forecast import Rates, forecast, rates_of

from .made_datasets import note, rank_row

GB = 10**9
TABLE_BYTES = 16 << 20
"""The least table of types."""

RATES = Rates(
    layer_seconds=0.5, byte_seconds=1e-7, entries_a_byte=1e-4, wall_a_cpu=2.0, rank_bytes=GB
)


def of(sizes, fetched=None, ranks=2, nodes=1, **options):
    """Return the forecast for layers that are read in place, unless `fetched` says otherwise."""
    return forecast(RATES, sizes, fetched or [0] * len(sizes), ranks=ranks, nodes=nodes, **options)


def test_more_ranks_take_less_time_until_the_longest_layer_decides():
    sizes = [10 * GB] + [10**7] * 10_000
    times = [of(sizes, ranks=ranks).profile_seconds for ranks in (2, 11, 4096)]
    assert times == [32_001.0, 3_200.1, 2001.0]
    assert of(sizes).longest_seconds == 2 * (0.5 + 1e-7 * 10 * GB)


def test_times_are_in_tenths_of_a_second():
    found = of([12_345_678] * 10, ranks=4)
    assert found.longest_seconds == 3.5  # 3.469
    assert found.profile_seconds == 11.6  # 34.69 / 3
    assert of([10 * GB], ranks=7).gather_seconds == 1.4  # 10 / 7


def test_a_single_rank_profiles_itself():
    assert of([GB], ranks=1).profile_seconds == of([GB], ranks=2).profile_seconds


def test_the_gather_is_shared_by_all_ranks():
    found = of([10 * GB, -1], ranks=5)
    assert found.entries == 1_000_000  # unknown sizes count as none
    assert found.gather_seconds == 1_000_000 / (module._GATHER_ROWS * 5)


def test_scratch_counts_what_is_fetched_and_what_is_unpacked():
    sizes = [GB, *[1] * 100]
    in_place = of(sizes).scratch_bytes
    fetched = of(sizes, sizes).scratch_bytes
    unpacked = of(sizes, sizes, unpack=True).scratch_bytes
    # The three largest layers of each of the two ranks are on scratch at once
    assert fetched - in_place == GB + 5
    assert unpacked - fetched == UNPACKED * (GB + 5)


def test_prefetch_is_bounded_for_each_rank_of_a_node():
    sizes = [AHEAD_BYTES // 2] * 100
    for ranks, nodes, here in ((4, 1, 4), (4, 2, 2), (5, 2, 3)):
        found = of(sizes, sizes, ranks=ranks, nodes=nodes)
        scratch = TABLE_BYTES + here * (AHEAD_BYTES + module._SPILL_BYTES)
        assert found.scratch_bytes == scratch
        assert found.memory_bytes == here * GB + TABLE_BYTES


def test_the_table_of_types_grows_with_the_files_of_a_node():
    # 100 and 50 million entries a node: 2^25 and 2^24 words
    for nodes, size in ((1, 256 << 20), (2, 128 << 20)):
        found = of([1000 * GB], ranks=2 * nodes, nodes=nodes)
        assert found.memory_bytes == 2 * GB + size


def test_the_rows_of_the_gather_may_take_more_scratch_than_the_layers():
    found = of([100 * GB], ranks=4, nodes=2)
    assert found.entries == 10_000_000
    assert found.scratch_bytes == TABLE_BYTES + module._ROW_BYTES * 5_000_000


def test_what_to_request_of_the_batch_system():
    found = of([10**7] * 3000, ranks=3, nodes=1)
    assert (found.profile_seconds, found.gather_seconds) == (4500, 10)
    assert found.limit_seconds == 7200  # 1.5 * 4510 + 60 = 6825 s, in quarters of an hour
    # A forecast of 1160 s makes 1800 s, which are whole quarters; one more second is one too many
    slow = Rates(1160.0, 0.0, 0.0, 1.0, 1)
    slower = Rates(1161.0, 0.0, 0.0, 1.0, 1)
    limits = [forecast(one, [1], [0], ranks=1, nodes=1).limit_seconds for one in (slow, slower)]
    assert limits == [1800, 2700]
    assert found.rank_memory_bytes == 3 * GB // 2 + TABLE_BYTES // 3
    small = Rates(0.5, 1e-7, 1e-4, 2.0, 1000)
    assert forecast(small, [], [], ranks=4, nodes=2).rank_memory_bytes == GB


def test_nothing_to_do_takes_no_time():
    found = of([], ranks=4, nodes=2)
    assert (found.profile_seconds, found.longest_seconds, found.entries) == (0, 0, 0)
    assert found.limit_seconds == 900


def made_run(tmp_path, seconds, *busy):
    """Write a dataset of layers of 1, 2, 3, … entries, each of ten compressed bytes."""
    layers = [[Entry("file", b"f%d" % n, n) for n in range(length + 1)] for length in range(20)]
    made = Made(layers, [list(range(20))], seconds=seconds)
    made.run["ranks"] = {
        "rank": [0, 1],
        "host": ["a", "a"],
        "peak_memory": [5, 70],
        "child_peak_memory": [600, 7],
    }
    if busy:
        made.run |= job_tables(
            [note("one", *(rank_row(n, busy=one) for n, one in enumerate(busy)))]
        )
    return made.write(tmp_path / "made", metrics=False)


def test_rates_of_a_run(tmp_path):
    """Each layer took 2 s and 0.1 s for each of its 10, 20, … 200 bytes."""
    seconds = {layer: 2 + 0.1 * 10 * (layer + 1) for layer in range(20)}
    rates = rates_of(made_run(tmp_path, seconds, 300.0, 200.0))
    size = 10 * sum(range(1, 21))
    total = 20 * 2 + 0.1 * size
    # The smallest two layers, of 10 and 20 bytes, less their bytes at the mean rate
    small = 2 + 0.1 * 15 - total / size * 15
    assert rates.layer_seconds == pytest.approx(small)
    assert rates.byte_seconds == pytest.approx((total - 20 * small) / size)
    assert rates.entries_a_byte == pytest.approx(0.1)
    assert rates.wall_a_cpu == pytest.approx(500 / total)
    assert rates.rank_bytes == 605


def test_rates_without_notes_of_jobs_and_with_layers_of_unknown_time(tmp_path):
    seconds = dict.fromkeys(range(20), 0.0) | {3: 1.0, 19: 1.0}
    rates = rates_of(made_run(tmp_path, seconds))
    assert rates.wall_a_cpu == 1
    # The smaller of the two known layers has 40 bytes, the larger one 200
    assert rates.layer_seconds == pytest.approx(1 - 2 / 240 * 40)


def test_a_dataset_without_times_is_refused(tmp_path):
    path = made_run(tmp_path, dict.fromkeys(range(20), 0.0))
    with pytest.raises(UsageError, match="does not tell how long its layers took"):
        rates_of(path)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    need("zstd")
    runs = Runs(tmp_path_factory.mktemp("earlier"))
    layout = small_images.build(runs.directory)
    runs.run(runs.analyze(f"oci:{layout}", "out.h5", ranks=2))
    return runs, layout


@pytest.mark.slow
def test_a_run_over_the_same_layers_is_foretold_as_it_was(earlier):
    runs, layout = earlier
    with hpc_remetrics.open(runs.directory / "out.h5") as dataset:
        busy = float(dataset.run_table("job_ranks")["busy_seconds"].sum())
        sizes = dataset.layers["CLS"].tolist()
        entries = len(dataset.entries)
    words = ["plan", f"oci:{layout}", "--ranks", 2, "--time", "--calibration", "out.h5", "--json"]
    found = json.loads(runs.run(runs.command(*words)).stdout)["forecast"]
    assert found["profile_seconds"] == pytest.approx(
        max(busy, found["longest_seconds"]), rel=0.05, abs=0.1
    )
    assert abs(found["entries"] - entries) <= 1
    rates = rates_of(runs.directory / "out.h5")
    ten_times = forecast(rates, sizes * 10, [0] * 130, ranks=11, nodes=2)
    assert ten_times.profile_seconds == pytest.approx(busy, rel=0.05, abs=0.1)


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


@pytest.mark.slow
def test_mistakes(earlier):
    runs, layout = earlier
    for words, text in (
        (["--time", "--calibration", "no.h5"], "no.h5 is not there"),
        (["--ranks", 2, "--nodes", 3], "--nodes 3 is more than there are ranks, 2"),
    ):
        assert text in runs.run(runs.command("plan", f"oci:{layout}", *words), code=2).stderr
