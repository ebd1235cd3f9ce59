"""The section on the jobs of a run, line by line."""

from dataclasses import replace

from hpc_remetrics.report.run_section import section
from hpc_remetrics.summaries.jobs import RunTotals

RUN = RunTotals(
    jobs=1000,
    hosts=1,
    most_ranks=64,
    seconds=3725.0,
    layers=12_345,
    bytes=67_000_000,
    rank_seconds=1000.0,
    busy_seconds=875.0,
    fetch_seconds=61.0,
    publish_seconds=59.0,
    idle_seconds=125.4,
)


def test_lines():
    assert section(RUN) == [
        "",
        "profiling, all jobs",
        "  jobs                       1,000   1:02:05 on 64 ranks, 1 host",
        "  layers                    12,345   67 MB compressed, with those done again after a kill",
        "  ranks busy                 14:35   87.5% of their time",
        "  ranks idle                  2:05   12.5% of their time",
        "  fetching                    1:01   to scratch, beside the others",
        "  publishing                  0:59   parts, beside the others",
    ]


def test_layers_of_earlier_datasets_come_first():
    reused = replace(RUN, reused_layers=7, reused_bytes=5_000)
    line = "  layers reused                  7   5 kB compressed, of earlier datasets"
    assert section(reused) == [*section(RUN)[:2], line, *section(RUN)[2:]]
    assert section(replace(reused, jobs=0)) == [*section(RUN)[:2], line]


def test_ranks_that_took_no_time_were_busy_for_none_of_it():
    lines = section(replace(RUN, rank_seconds=0.0))
    assert [line.split()[3] for line in lines[4:6]] == ["0.0%", "0.0%"]


def test_a_dataset_whose_jobs_left_no_note_has_no_such_section():
    assert section(replace(RUN, jobs=0)) == []
