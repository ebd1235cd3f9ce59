"""The page on the progress of a dataset, line by line, and the command."""

import json
import time
from dataclasses import asdict, replace

import pytest

from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.report.status_page import page, status_command
from hpc_remetrics.summaries.status import JobStatus, Status, status

JOB = JobStatus(
    job="one",
    share="",
    host="node7",
    ranks=64,
    state="done",
    started=time.mktime((2026, 3, 4, 5, 6, 0, 0, 0, -1)),
    seconds=3725.0,
    layers=12_345,
    failed=1000,
    files=0,
    bytes=67_000_000,
    busy=0.875,
)
STOPPED = Status(
    dataset="out\n.h5",
    state="stopped",
    held_by=[],
    ledger=Ledger(ok=1000, pending=-1),
    unpublished=0,
    bytes_done=2000,
    bytes_left=-1,
    layers_a_second=0.0,
    bytes_a_second=0.0,
    seconds_left=-1.0,
    parts=1,
    damaged_parts=0,
    parts_made_by=[],
    causes={},
    again=0,
    jobs=[],
)
RUNNING = replace(
    STOPPED,
    dataset="out.h5",
    state="running",
    held_by=["process 7 on a", "process 8 on b"],
    ledger=Ledger(ok=1000, partial=200, failed=30, pending=4000),
    unpublished=5000,
    bytes_left=3 * 10**9,
    layers_a_second=1.234,
    bytes_a_second=1500.7,
    seconds_left=61.0,
    parts=2,
    damaged_parts=3,
    parts_made_by=["eve", "m\x1bal"],
    causes={"bad_header": 230},
    again=10,
    jobs=[JOB],
)
HEAD_OF_JOBS = "jobs, latest last      ranks      time    layers compressed failed  busy  ended"


def lines_of(found: Status) -> list[str]:
    return [line.rstrip() for line in page(found).splitlines()]


def test_parts_whose_jobs_left_no_note():
    assert lines_of(STOPPED) == [
        r"out\n.h5: stopped",
        "",
        "  published                  1,000   layers in 1 part",
        "    ok                       1,000   2 kB compressed, in all that are published",
        "",
        "Run `analyze` again with the same arguments to continue.",
    ]


def test_a_job_that_runs():
    assert lines_of(RUNNING) == [
        "out.h5: running, held by process 7 on a; process 8 on b",
        "",
        "  published                  1,230   layers in 2 parts, 3 damaged and passed over,"
        r" some made by eve, m\x1bal",
        "    ok                       1,000   2 kB compressed, in all that are published",
        "    partial, failed            230   10 of the failed are tried again by the next run",
        "  not yet published          5,000   done by running jobs",
        "  left                       4,000   3 GB compressed",
        "  layers a second             1.23   1.5 kB/s, 1:01 left",
        "",
        "failed and partial layers by cause",
        "  bad_header                                                       230",
        "",
        HEAD_OF_JOBS,
        "  03-04 05:06 node7       64   1:02:05    12,345      67 MB  1,000   88%  done",
    ]


def test_layers_of_earlier_datasets_have_a_line():
    lines = lines_of(replace(RUNNING, reused=12_345))
    assert lines[5] == "  reused                    12,345   taken from earlier datasets"
    assert lines[:5] + lines[6:] == lines_of(RUNNING)


def test_a_rate_of_which_no_time_follows():
    found = replace(RUNNING, ledger=replace(RUNNING.ledger, pending=0, partial=0))
    lines = lines_of(replace(found, again=0))
    assert lines[4] == "    partial, failed             30"
    assert lines[6:8] == [
        "  left                           0   3 GB compressed",
        "  layers a second             1.23   1.5 kB/s",
    ]
    lines = lines_of(replace(RUNNING, seconds_left=-1.0))
    assert lines[7] == "  layers a second             1.23   1.5 kB/s, time left unknown"
    assert lines_of(replace(RUNNING, seconds_left=0.0))[7].endswith(", 0:00 left")


def test_of_many_jobs_the_last_twenty_are_shown():
    jobs = [replace(JOB, share=f"{place}/22", state="ended\nwithout a word") for place in range(22)]
    lines = lines_of(replace(STOPPED, jobs=jobs))
    start = lines.index(HEAD_OF_JOBS)
    assert lines[start - 1] == ""
    assert lines[start + 1] == "  … 2 before these (--json shows all)"
    row = " 64   1:02:05    12,345      67 MB  1,000   88%  ended\\nwithout a word"
    assert lines[start + 2 : -2] == [
        f"  {f'03-04 05:06 {place}/22':<20}   {row}" for place in range(2, 22)
    ]
    lines = lines_of(replace(STOPPED, jobs=jobs[:20]))
    assert not lines[lines.index(HEAD_OF_JOBS) + 1].startswith("  …")


def test_a_long_name_of_a_host_is_cut():
    lines = lines_of(replace(STOPPED, jobs=[replace(JOB, host="a-node-with-a-long-name")]))
    assert lines[lines.index(HEAD_OF_JOBS) + 1].startswith("  03-04 05:06 a-node-w    64")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command(tmp_path, capsys, as_json):
    output = tmp_path / "out.h5"
    output.with_name("out.h5.parts").mkdir()
    assert status_command(output, as_json) == 0
    found = status(output)
    printed = capsys.readouterr().out
    assert printed == page(found) + "\n" or json.loads(printed) == asdict(found)
    assert printed.startswith("{") == as_json
