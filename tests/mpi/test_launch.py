"""What launchers tell their processes, and a launcher that does not fit the MPI library."""

import os
import subprocess
import sys

import pytest

from hpc_remetrics.mpi import launch
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.launch import connect, launched_rank, launched_size


@pytest.mark.parametrize(
    ("environ", "size"),
    [
        ({}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "8"}, 8),
        ({"MV2_COMM_WORLD_SIZE": "2", "PMI_SIZE": "3"}, 3),
        ({"PMI_SIZE": "many"}, 1),
        ({"SLURM_STEP_NUM_TASKS": "8"}, 8),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "0"}, 8),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "4294967291"}, 1),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "batch", "PMI_SIZE": "2"}, 2),
    ],
)
def test_the_number_of_processes(environ, size):
    assert launched_size(environ) == size


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({}, None),
        ({"PMI_RANK": "3"}, 3),
        ({"OMPI_COMM_WORLD_RANK": "0"}, 0),
        ({"MV2_COMM_WORLD_RANK": "2"}, 2),
        ({"PMIX_RANK": "5", "SLURM_PROCID": "6"}, 5),
        ({"SLURM_PROCID": "6"}, 6),
        ({"PMI_RANK": "", "SLURM_PROCID": "6"}, 6),
    ],
)
def test_the_rank(environ, rank):
    assert launched_rank(environ) == rank


def test_without_a_launcher_there_is_one_process(monkeypatch):
    monkeypatch.setattr(launch, "launched_size", lambda: 1)
    assert isinstance(connect(), SerialComm)


@pytest.mark.slow
def test_a_launcher_that_does_not_fit_the_library_is_named():
    """Four processes by the launcher's word, one by the library's: no silent fourfold run."""
    environment = {**os.environ, "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}
    code = "from hpc_remetrics.mpi.launch import connect; connect()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode != 0
    assert "the launcher started 4 processes" in result.stderr
