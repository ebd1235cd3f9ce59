"""A start of MPI that some rank never joins: the others say who is missing, and it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import Runs

LATE = {
    "never began": "sleep 60",
    "ended meanwhile": f"{sys.executable} -c 'import os\n"
    "from hpc_remetrics.mpi.start_watch import watched\n"
    "with watched(2, 3): os.kill(os.getpid(), 9)'; sleep 60",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", LATE)
def test_a_rank_that_does_not_come_is_told_and_the_start_ends(runs: Runs, layout, how):
    launcher, flag, count, *program = runs.analyze(
        f"oci:{layout}", "out.h5", "--start-seconds", 4, ranks=3
    )
    script = runs.directory / "rank"
    script.write_text(
        f'#!/bin/bash\nif [ "$PMI_RANK" = 2 ]; then {LATE[how]}; else exec "$@"; fi\n'
    )
    script.chmod(0o755)
    result = subprocess.run(
        [launcher, flag, count, script, *program],
        cwd=runs.directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode != 0
    (line,) = (line for line in result.stderr.splitlines() if "wait for MPI to start" in line)
    assert line.startswith("hpc-remetrics: 2 of 3 ranks of")
    assert how in line and "--start-seconds" in line
    assert ("rank 2" in line) == (how == "ended meanwhile")


@pytest.mark.slow
def test_a_start_that_goes_well_leaves_nothing(runs: Runs, layout):
    launcher, flag, count, *program = runs.analyze(f"oci:{layout}", "out.h5", ranks=3)
    script = runs.directory / "rank"
    script.write_text('#!/bin/bash\necho $$ >>"$(dirname "$0")/ranks"\nexec "$@"\n')
    script.chmod(0o755)
    result = subprocess.run(
        [launcher, flag, count, script, *program],
        cwd=runs.directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "wait for MPI" not in result.stderr
    ranks = (runs.directory / "ranks").read_text().split()
    assert len(ranks) == 3
    # Other tests start and kill jobs of their own at the same time.
    marks = Path("/dev/shm").glob(f"hpc-remetrics-{os.getuid()}-*-start*/*/*")
    assert [path for path in marks if path.name.partition("-")[2] in ranks] == []
