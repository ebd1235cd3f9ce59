"""The communicator: the same program gives the same answers serially and under mpirun."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.launch import launched_rank, launched_size

PROGRAM = """
import sys
from hpc_remetrics.mpi.comm import Backoff
from hpc_remetrics.mpi.launch import connect
from hpc_remetrics.mpi.collective import Collective, on_rank_0, collectively
from hpc_remetrics.errors import UsageError

comm = connect()
assert comm.size == int(sys.argv[1]), comm.size
assert comm.bcast({"root": comm.rank}) == {"root": 0}
assert comm.allgather(comm.rank * 10) == [r * 10 for r in range(comm.size)]
assert comm.gather(comm.rank * 10) == ([r * 10 for r in range(comm.size)] if comm.rank == 0 else [])
got = comm.alltoall([b"%d>%d" % (comm.rank, r) * r for r in range(comm.size)])
assert [bytes(view) for view in got] == [b"%d>%d" % (r, comm.rank) * comm.rank for r in range(comm.size)]
for size in (0, 1, 5_000_000):
    comm.send((comm.rank, bytes(size)), (comm.rank + 1) % comm.size, 3)
backoff, received = Backoff(), []
while len(received) < 3:
    message = comm.poll()
    if message is None:
        backoff.sleep()
    else:
        received.append(message)
left = (comm.rank - 1) % comm.size
assert [(s, t, m[0], len(m[1])) for s, t, m in received] == [(left, 3, left, n) for n in (0, 1, 5_000_000)], left
comm.flush()
assert on_rank_0(comm, lambda: comm.rank) == 0

def fail():
    if comm.rank == comm.size - 1:
        raise UsageError("no", "yes")
    return comm.rank

try:
    collectively(comm, fail)
    raise AssertionError("not raised")
except UsageError as error:
    assert str(error) == "no; yes" and error.shared
try:
    with Collective(comm):
        fail()
    raise AssertionError("not raised")
except UsageError as error:
    assert str(error) == "no; yes" and error.shared
with Collective(comm):
    pass
calls = [comm.barrier, lambda: comm.bcast(comm.rank), lambda: comm.allgather(bytes(10_000 * comm.rank))]
calls += [lambda: comm.gather(1), lambda: comm.alltoall([b"x"] * comm.size), lambda: on_rank_0(comm, lambda: 1)]
for call in calls:
    for before in range(3):
        for victims in ([comm.size - 1], [0], list(range(comm.size))):
            try:
                with Collective(comm):
                    for _ in range(before):
                        call()
                    if comm.rank in victims:
                        raise UsageError(f"of rank {comm.rank}")
                    call()
                    call()
                raise AssertionError("not raised")
            except UsageError as error:
                assert str(error) == f"of rank {victims[0]}" and error.shared
assert comm.allgather(comm.rank) == list(range(comm.size))
try:
    on_rank_0(comm, lambda: fail() if comm.size == 1 else 1 / 1)
    assert comm.size > 1
except UsageError as error:
    assert error.shared
comm.barrier()
print("fine", flush=True)
"""


def mpirun() -> str:
    path = Path(sysconfig.get_path("scripts"), "mpirun")
    if not path.exists():
        pytest.fail("mpirun is not installed") if os.environ.get("CI") else pytest.skip(
            "mpirun is not installed"
        )
    return str(path)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_messages_and_collectives(ranks):
    result = run(mpirun(), "-n", str(ranks), sys.executable, "-c", PROGRAM, str(ranks))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("fine") == ranks


def test_the_serial_twin():
    result = run(sys.executable, "-c", PROGRAM, "1")
    assert result.returncode == 0, result.stderr


def test_an_exception_that_nobody_caught_ends_every_rank():
    program = (
        "from hpc_remetrics.mpi.collective import AbortOnError\n"
        "from hpc_remetrics.mpi.launch import connect\n"
        "comm = connect()\n"
        "with AbortOnError(comm):\n"
        "    if comm.rank == 1: raise RuntimeError('the fault')\n"
        "    comm.barrier()\n"
    )
    result = run(mpirun(), "-n", "3", sys.executable, "-c", program)
    assert result.returncode != 0
    assert "[rank 1 " in result.stderr
    assert "RuntimeError: the fault" in result.stderr


def test_what_the_launcher_says():
    assert launched_size({"OMPI_COMM_WORLD_SIZE": "8"}) == 8
    assert launched_size({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "0"}) == 8
    assert launched_size({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "4294967291"}) == 1
    assert launched_rank({"PMIX_RANK": "3"}) == 3
    assert launched_rank({}) is None


def test_a_launcher_that_does_not_fit_the_library_is_named():
    """Four processes by the launcher's word, one by the library's: no silent fourfold run."""
    environment = {**os.environ, "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}
    code = "from hpc_remetrics.mpi.launch import connect; connect()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode != 0
    assert "the launcher started 4 processes" in result.stderr


def test_the_serial_twin_sends_to_itself():
    comm = SerialComm()
    assert comm.poll() is None
    comm.send("a", 0, 1)
    comm.send("b", 0, 2)
    assert [comm.poll(), comm.poll(), comm.poll()] == [(0, 1, "a"), (0, 2, "b"), None]
