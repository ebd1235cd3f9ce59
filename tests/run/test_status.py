"""`status` from outside, `--share`, and what `/run` holds of the jobs."""

import json
import os
import signal
import subprocess
import time

import h5py
from support.same import assert_same

import hpc_remetrics


def status(runs, output):
    return json.loads(runs.run(runs.command("status", output, "--json")).stdout)


def test_shares_one_by_one_then_the_gather(runs, layout, truth):
    output = runs.directory / "out.h5"
    for number in (1, 2, 3):
        result = runs.run(
            runs.analyze(f"oci:{layout}", output, "--share", f"{number}/3", ranks=2 * (number - 1))
        )
        assert "this share is done" in result.stderr
        assert not output.exists()
        now = status(runs, output)
        assert now["state"] == "stopped"
        assert [job["share"] for job in now["jobs"]] == [f"{n}/3" for n in range(1, number + 1)]
        assert now["ledger"]["ok"] + now["ledger"]["pending"] == 13
    assert now["ledger"]["pending"] == now["bytes_left"] == 0
    runs.run(runs.analyze(f"oci:{layout}", output))
    assert_same(truth, output)
    assert status(runs, output)["state"] == "done"


def test_a_share_that_is_done_is_not_done_again(runs, layout):
    output = runs.directory / "out.h5"
    for _ in range(2):
        runs.run(runs.analyze(f"oci:{layout}", output, "--share", "2/2"))
    assert len(status(runs, output)["jobs"]) == 1


def test_a_running_job_is_seen_and_a_killed_one_too(runs, layout):
    output = runs.directory / "out.h5"
    command = runs.analyze(f"oci:{layout}", output, "--publish-seconds", "0.01")
    with subprocess.Popen(command, cwd=runs.directory, stderr=subprocess.DEVNULL) as process:
        while not list((runs.directory / "out.h5.parts").glob("part-*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        now = status(runs, output)
        assert now["state"] == "running"
        assert f"process {process.pid} on" in now["held_by"][0]
        assert now["ledger"]["ok"] >= 1
        assert now["ledger"]["ok"] + now["ledger"]["pending"] == 13
        assert now["jobs"][0]["state"] == "running"
        process.kill()
    now = status(runs, output)
    assert now["state"] == "stopped"
    assert now["jobs"][0]["state"] == "ended without a word"
    page = runs.run(runs.command("status", output)).stdout
    assert "Run `analyze` again" in page


def test_run_holds_what_every_rank_of_every_job_did(runs, layout):
    output = runs.directory / "out.h5"
    runs.run(runs.analyze(f"oci:{layout}", output, "--share", "1/2", ranks=3))
    runs.run(runs.analyze(f"oci:{layout}", output))
    with hpc_remetrics.open(output) as dataset:
        jobs, ranks = dataset.run_table("jobs"), dataset.run_table("job_ranks")
        files, size = int(dataset.layers["files"].sum()), int(dataset.layers["CLS"].sum())
    assert jobs["ended"].tolist() == [b"done", b"done"]
    assert jobs["ranks"].tolist() == [2, 1]
    assert ranks["rank"].tolist() == [1, 2, 0]
    assert ranks["job"].tolist() == [jobs["job"][0]] * 2 + [jobs["job"][1]]
    assert int(ranks["ok"].sum()) == 13
    assert (int(ranks["files"].sum()), int(ranks["bytes"].sum())) == (files, size)
    for name in ("busy_seconds", "publish_seconds"):
        assert (ranks[name][ranks["ok"] > 0] > 0).all()
    report = json.loads(runs.run(runs.command("report", output, "--json")).stdout)["run"]
    assert (report["jobs"], report["layers"], report["bytes"]) == (2, 13, size)
    assert abs(report["busy_seconds"] + report["idle_seconds"] - report["rank_seconds"]) < 0.1
    assert "profiling, all jobs" in runs.run(runs.command("report", output)).stdout


def test_notes_that_can_not_be_read_are_passed_over(runs, layout):
    output = runs.directory / "out.h5"
    runs.run(runs.analyze(f"oci:{layout}", output))
    for name, text in (
        ("job-a.json", "{"),
        ("job-b.json", "[]"),
        ("job-c.json", '{"format": 1, "what": 2}'),
    ):
        (runs.directory / "out.h5.parts" / name).write_text(text)
    assert len(status(runs, output)["jobs"]) == 1
    os.unlink(output)
    runs.run(runs.analyze(f"oci:{layout}", output))
    with h5py.File(output) as file:
        assert len(file["run/jobs/job"]) == 1


def test_there_is_no_trace_of_it(runs):
    result = runs.run(runs.command("status", "nothing.h5"), code=2)
    assert "there is no nothing.h5" in result.stderr
