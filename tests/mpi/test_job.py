"""One frame for all commands under MPI: exit codes, errors of all ranks, remarks, signals."""

import signal
import subprocess
import sys

import pytest
from support.tools import need

from hpc_remetrics.errors import OutputError
from hpc_remetrics.mpi import job
from hpc_remetrics.mpi.collective import collectively
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import STOP_SIGNALS, StopRequest


class EndedError(BaseException):
    """Raised where the job would end; `AbortOnError` lets it pass."""

    shared = True


class Finalizing(SerialComm):
    """Rank 0 of one, or another rank, which knows whether it was finalized."""

    def __init__(self, rank=0):
        super().__init__()
        self.rank = rank
        self.finalized = []

    def finalize(self, code):
        self.finalized.append(code)
        return code if self.rank == 0 else 0

    def abort(self, code=1):
        raise EndedError(code)


@pytest.fixture
def comm(monkeypatch):
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    comm = Finalizing()
    comm.longest = None

    def connect(longest):
        comm.longest = longest
        return comm

    monkeypatch.setattr(job, "connect", connect)
    yield comm
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_code_of_the_work_is_that_of_the_process(comm):
    job.wait_for_ranks(7.0)
    assert job.run_job(lambda given: 3 if given is comm else 9) == 3
    assert comm.finalized == [3]
    assert comm.longest == 7.0


def test_late_signals_do_not_change_the_code(comm):
    stop = StopRequest()
    stop.install()
    assert job.run_job(lambda _: 0, stop) == 0
    signal.raise_signal(signal.SIGTERM)
    assert not stop


def test_an_error_of_all_ranks_is_raised_on_rank_0_alone(comm):
    def work(_):
        return collectively(comm, lambda: (_ for _ in ()).throw(OutputError("disk full")))

    with pytest.raises(OutputError, match="disk full"):
        job.run_job(work)
    assert comm.finalized == [5]
    comm.rank = 2
    assert job.run_job(work) == 0


def test_an_error_of_one_rank_alone_is_raised_there(comm):
    with pytest.raises(OutputError):
        job.run_job(lambda _: (_ for _ in ()).throw(OutputError("disk full")))
    assert comm.finalized == []


def test_remarks_are_printed_once_by_rank_0_when_the_ranks_are_connected(comm, capsys):
    job.remark(["one", "two"])
    assert capsys.readouterr().err == ""
    comm.rank = 1
    job.run_job(lambda _: 0)
    assert capsys.readouterr().err == ""
    comm.rank = 0
    job.run_job(lambda _: 0)
    assert capsys.readouterr().err == "one\ntwo\n"
    job.run_job(lambda _: 0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("size", [1, 2])
def test_a_signal_ends_the_job_wherever_it_is(comm, monkeypatch, capfd, rank, size):
    sleeps, cleared = [], []
    monkeypatch.setattr(job.time, "sleep", sleeps.append)
    monkeypatch.setattr(job, "clear_up", lambda: cleared.append("scratch"))
    monkeypatch.setattr(job, "remove_temporaries", lambda: cleared.append("temporary files"))
    comm.rank, comm.size = rank, size
    with pytest.raises(EndedError) as caught:
        job.run_job(lambda _: signal.raise_signal(signal.SIGTERM))
    assert caught.value.args == (4,)
    assert cleared == ["scratch", "temporary files"]
    assert sleeps == ([] if size == 1 else [0.5] if rank == 0 else [5.0])
    line = "stopped on SIGTERM; run the command again to go on\n"
    assert (line in capfd.readouterr().err) == (rank == 0)


@pytest.mark.parametrize(("rank", "speaks"), [(None, True), (0, True), (2, False)])
def test_a_signal_before_the_ranks_are_connected(monkeypatch, capfd, comm, rank, speaks):
    def exit_(code):
        raise SystemExit(code)

    monkeypatch.setattr(job, "launched_rank", lambda: rank)
    monkeypatch.setattr(job.os, "_exit", exit_)
    monkeypatch.setattr(job, "connect", lambda longest: signal.raise_signal(signal.SIGUSR1))
    with pytest.raises(SystemExit) as caught:
        job.run_job(lambda _: 0)
    assert caught.value.code == 4
    assert ("stopped on SIGUSR1" in capfd.readouterr().err) == speaks


BETWEEN_MPI_AND_THE_COMMUNICATOR = """
import contextlib, os, signal, time
from hpc_remetrics.mpi import job, start_watch

@contextlib.contextmanager
def slow(*words):
    # Rank 1 is stopped after MPI_Init, before it has a communicator, and rank 0 somewhat later.
    yield
    rank = int(os.environ["PMI_RANK"])
    if rank == 0:
        time.sleep(0.5)
    signal.raise_signal(signal.SIGTERM)

start_watch.watched = slow
job.run_job(lambda comm: 0)
"""


@pytest.mark.slow
def test_a_signal_between_the_start_of_mpi_and_the_communicator_ends_the_job_with_4():
    command = [need("mpirun"), "-n", "3", sys.executable, "-c", BETWEEN_MPI_AND_THE_COMMUNICATOR]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 4, result.stdout + result.stderr
    assert "stopped on SIGTERM; run the command again" in result.stderr
