"""One job through a night: it meets its time limit, is requeued, loses a node, is requeued, and
ends."""

import json
from pathlib import Path

import pytest
from support.same import assert_same

SCRIPTS = Path(__file__).resolve().parents[2] / "slurm"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def status(slurm, output):
    return json.loads(slurm.run("python", "-m", "hpc_remetrics", "status", output, "--json").stdout)


def restarts(slurm, job):
    return int(slurm.show(job)["Restarts"])


def test_a_job_through_a_night_gives_the_dataset_of_a_quiet_run(slurm, layout, truth, tmp_path):
    output = tmp_path / "out.h5"
    calm = tmp_path / "calm"
    # Each layer takes some seconds, without the CPU time, until the night is over.
    tool = f"test -e {calm} || sleep 9; : {{dir}}"
    words = [
        f"oci:{layout}",
        "-o",
        output,
        "--scratch",
        tmp_path,
        "--publish-seconds",
        "0.1",
        "--exec",
        tool,
    ]
    job = slurm.sbatch(
        *("-N", 2, "-n", 3, "--time=1", "--signal=B:USR1@45", SCRIPTS / "analyze.sbatch"),
        *words,
        directory=tmp_path,
    )
    log = tmp_path / f"remetrics-{job}.log"

    slurm.wait_for(output.with_name("out.h5.parts").exists, 60, log.exists)
    slurm.wait_for(lambda: status(slurm, output)["state"] == "running", 60)
    slurm.wait_for(lambda: restarts(slurm, job) == 1, 120, log.read_text)
    assert "stopped on SIGUSR1" in log.read_text()
    done = status(slurm, output)["ledger"]["ok"]

    slurm.run("scontrol", "update", f"JobId={job}", "TimeLimit=10")
    slurm.wait_for(lambda: slurm.show(job)["JobState"] == "RUNNING", 90, log.read_text)
    slurm.wait_for(lambda: status(slurm, output)["ledger"]["ok"] > done, 90, log.read_text)
    lost = (
        slurm.show(job)["NodeList"]
        .removeprefix("n[")
        .removesuffix("]")
        .replace("-", ",")
        .split(",")[-1]
    )
    slurm.kill_node(f"n{lost}")
    calm.touch()
    slurm.wait_for(lambda: restarts(slurm, job) == 2, 120, log.read_text)

    assert slurm.wait(job)["JobState"] == "COMPLETED", log.read_text()
    slurm.start_node(f"n{lost}")
    assert_same(truth, output)
    found = status(slurm, output)
    assert found["state"] == "done"
    assert len(found["jobs"]) >= 3


def test_scancel_stops_in_order_and_nothing_starts_again(slurm, layout, truth, tmp_path):
    output = tmp_path / "out.h5"
    words = [f"oci:{layout}", "-o", output, "--scratch", tmp_path, "--publish-seconds", "0.1"]
    slow = ["--exec", "sleep 20; : {dir}"]
    launch = "--export=ALL,REMETRICS_LAUNCH=srun --mpi=pmi2 --kill-on-bad-exit=1"
    job = slurm.sbatch(
        "-n", 3, launch, SCRIPTS / "analyze.sbatch", *words, *slow, directory=tmp_path
    )
    log = tmp_path / f"remetrics-{job}.log"
    slurm.wait_for(
        lambda: output.with_name("out.h5.parts").exists() and status(slurm, output)["jobs"],
        60,
        lambda: log.read_text() if log.exists() else "no log",
    )
    slurm.run("scancel", job)
    slurm.wait_for(lambda: slurm.show(job)["JobState"] == "CANCELLED", 30)
    slurm.wait_for(lambda: status(slurm, output)["state"] == "stopped", 30)
    assert "stopped on SIG" in log.read_text()
    assert restarts(slurm, job) == 0
    job = slurm.sbatch("-n", 3, SCRIPTS / "analyze.sbatch", *words, directory=tmp_path)
    assert slurm.wait(job)["JobState"] == "COMPLETED"
    assert_same(truth, output)
