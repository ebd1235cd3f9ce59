"""The communicator: the same program gives the same answers serially and under mpirun."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hpc_remetrics.errors import UsageError
from hpc_remetrics.mpi import comm as comm_module
from hpc_remetrics.mpi.comm import Backoff, SerialComm

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
expected = [b"%d>%d" % (r, comm.rank) * comm.rank for r in range(comm.size)]
assert [bytes(view) for view in got] == expected
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
messages = [(s, t, m[0], len(m[1])) for s, t, m in received]
assert messages == [(left, 3, left, n) for n in (0, 1, 5_000_000)], left
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
calls = [
    comm.barrier,
    lambda: comm.bcast(comm.rank),
    lambda: comm.allgather(bytes(10_000 * comm.rank)),
    lambda: comm.gather(1),
    lambda: comm.alltoall([b"x"] * comm.size),
    lambda: on_rank_0(comm, lambda: 1),
]
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


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_messages_and_collectives(ranks):
    result = run(mpirun(), "-n", str(ranks), sys.executable, "-c", PROGRAM, str(ranks))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("fine") == ranks


@pytest.mark.slow
def test_the_serial_twin():
    result = run(sys.executable, "-c", PROGRAM, "1")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
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


def test_the_serial_twin_sends_to_itself():
    comm = SerialComm()
    assert comm.poll() is None
    comm.send("a", 0, 1)
    comm.send("b", 0, 2)
    assert [comm.poll(), comm.poll(), comm.poll()] == [(0, 1, "a"), (0, 2, "b"), None]


def test_collective_calls_of_one_process():
    comm = SerialComm()
    value = {"a": 1}
    assert (comm.rank, comm.size, comm.root) == (0, 1, 0)
    assert comm.host
    assert comm.bcast(value) is value
    assert comm.allgather(value) == [value]
    assert comm.gather(value) == [value]
    (received,) = comm.alltoall([memoryview(b"abcd").cast("H")])
    assert (received.format, bytes(received)) == ("B", b"abcd")
    assert comm.finalize(3) == 3
    comm.barrier()
    comm.flush()
    comm.agree(None)
    with pytest.raises(UsageError) as caught:
        comm.agree(UsageError("no"))
    assert caught.value.shared


def test_an_abort_of_one_process_ends_it(monkeypatch):
    codes = []
    monkeypatch.setattr(comm_module.os, "_exit", codes.append)
    SerialComm().abort(6)
    SerialComm().abort()
    assert codes == [6, 1]


def test_sleeps_double_up_to_the_longest(monkeypatch):
    sleeps = []
    monkeypatch.setattr(comm_module.time, "sleep", sleeps.append)
    backoff = Backoff(0.0003)
    for _ in range(5):
        backoff.sleep()
    assert sleeps == [50e-6, 100e-6, 200e-6, 0.0003, 0.0003]
    backoff.reset()
    backoff.sleep()
    assert sleeps[-1] == 50e-6
    assert Backoff().longest == 0.02


def test_a_sleep_ends_when_a_file_can_be_read(monkeypatch):
    readable, writable = os.pipe()
    os.write(writable, b"x")
    backoff = Backoff(1000.0)
    backoff.seconds = 500.0
    backoff.sleep(wake=readable)
    assert backoff.seconds == 1000.0
    # It sleeps until then.
    waits = []
    monkeypatch.setattr(comm_module.select, "select", lambda *what: waits.append(what))
    backoff.sleep(wake=readable)
    assert waits == [([readable], [], [], 1000.0)]
    os.close(readable)
    os.close(writable)
