"""Variables of launchers, and a launcher that does not fit the MPI library."""

import contextlib
import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from hpc_remetrics.errors import MissingComponentError, UsageError
from hpc_remetrics.mpi import launch, stale_memory, start_watch
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.launch import connect, launched_rank, launched_size
from hpc_remetrics.mpi.mpi_comm import MPIComm


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


@pytest.fixture
def library(monkeypatch):
    """A module mpi4py whose library sees `size` processes, and what preceded its import."""
    happened = []
    world = SimpleNamespace(size=4, rank=3)
    mpi = SimpleNamespace(COMM_WORLD=world, Get_library_version=lambda: "MPICH 4.2 \nCopyright\n")

    class Module(ModuleType):
        @property
        def MPI(self):
            happened.append(("MPI", self.rc.thread_level))
            return mpi

    module = Module("mpi4py")
    module.rc = SimpleNamespace(thread_level="multiple")

    @contextlib.contextmanager
    def watched(*what):
        happened.append(what)
        yield
        happened.append("connected")

    monkeypatch.setitem(sys.modules, "mpi4py", module)
    monkeypatch.setattr(start_watch, "watched", watched)
    monkeypatch.setattr(stale_memory, "remove_stale_segments", lambda: happened.append("removed"))
    monkeypatch.setattr(launch, "launched_size", lambda: 4)
    monkeypatch.setattr(launch, "launched_rank", lambda: 3)
    return SimpleNamespace(happened=happened, world=world, module=module)


def test_mpi_starts_under_a_watch(library):
    comm = connect(7.0)
    assert isinstance(comm, MPIComm) and (comm.rank, comm.size) == (3, 4)
    assert library.happened == ["removed", (3, 4, 7.0), ("MPI", "funneled"), "connected"]


def test_a_library_that_sees_one_process_is_named(library):
    library.world.size = 1
    with pytest.raises(UsageError) as caught:
        connect()
    assert str(caught.value).startswith(
        "the launcher started 4 processes, but 'MPICH 4.2' sees one; use the mpirun"
    )


@pytest.mark.parametrize("error", [ImportError("no libmpi.so"), RuntimeError("no libmpi.so")])
def test_mpi_that_can_not_be_loaded_is_answered_with_how_to_install_it(library, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(start_watch, "watched", fail)
    with pytest.raises(MissingComponentError) as caught:
        connect()
    assert str(caught.value) == (
        "4 processes were launched, but MPI can't be loaded (no libmpi.so); "
        "pip install 'hpc-remetrics[mpi]', or run without mpirun"
    )


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
