"""Collective error handling: what all ranks raise, what ends the job, and what passes."""

import pytest
from support.thread_ranks import on_ranks

from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.mpi import collective
from hpc_remetrics.mpi.collective import (
    AbortOnError,
    Collective,
    collectively,
    on_rank_0,
    once_a_node,
)
from hpc_remetrics.mpi.comm import SerialComm


class Agreeing(SerialComm):
    """A communicator that keeps what `agree` was called with; another rank has `other`."""

    def __init__(self, other=None):
        super().__init__()
        self.other = other
        self.agreed = []

    def agree(self, error):
        self.agreed.append(error)
        super().agree(self.other or error)


def fail(error):
    raise error


def test_a_body_without_an_error_agrees_once():
    comm = Agreeing()
    with Collective(comm):
        pass
    assert comm.agreed == [None]
    assert collectively(comm, lambda: 5) == 5
    assert comm.agreed == [None, None]


def test_a_user_facing_error_is_raised_on_all_ranks():
    comm = Agreeing()
    error = UsageError("no", "yes")
    with pytest.raises(UsageError) as caught, Collective(comm):
        raise error
    assert caught.value is error and error.shared
    assert comm.agreed == [error]


def test_the_error_of_another_rank_is_raised_here():
    other = OutputError("disk full")
    with pytest.raises(OutputError, match="disk full"):
        collectively(Agreeing(other), lambda: 5)


def test_a_function_is_called_once_a_node():
    hosts = ["a", "b", "a", "c", "b"]
    called = []

    def call(comm):
        comm.host = hosts[comm.rank]
        return once_a_node(comm, lambda: called.append(comm.rank) or f"of {comm.rank}")

    assert on_ranks(5, call) == ["of 0", "of 1", "of 0", "of 3", "of 1"]
    assert sorted(called) == [0, 1, 3]


def test_faults_and_shared_errors_pass_without_an_exchange():
    comm = Agreeing()
    shared = UsageError("no")
    shared.shared = True
    for error in (ZeroDivisionError(), shared):
        with pytest.raises(type(error)):
            collectively(comm, lambda error=error: fail(error))
    assert comm.agreed == []


def test_rank_0_alone_calls_the_function():
    assert on_rank_0(SerialComm(), lambda: 5) == 5
    with pytest.raises(UsageError) as caught:
        on_rank_0(SerialComm(), lambda: fail(UsageError("no")))
    assert caught.value.shared
    with pytest.raises(ZeroDivisionError):
        on_rank_0(SerialComm(), lambda: 1 / 0)

    class Other(SerialComm):
        rank, size = 1, 2

        def bcast(self, value, root=0):
            assert value == (None, None)
            return "of rank 0", None

    assert on_rank_0(Other(), lambda: 1 / 0) == "of rank 0"


class Aborting(SerialComm):
    """Rank 1 of two, which raises where it would end the job."""

    rank, size = 1, 2
    host = "node7"

    def __init__(self):
        pass

    def abort(self, code=1):
        raise SystemExit(code)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ZeroDivisionError("the fault"), 1, "ZeroDivisionError: the fault"),
        (OutputError("disk full", "make room"), 5, "error: disk full; make room\n"),
    ],
)
def test_an_error_that_one_rank_meets_alone_ends_the_job(monkeypatch, capsys, error, code, says):
    monkeypatch.setattr(collective, "OUTPUT_SECONDS", 0)
    with pytest.raises(SystemExit) as caught, AbortOnError(Aborting()):
        raise error
    assert caught.value.code == code
    said = capsys.readouterr().err
    assert said.startswith("[rank 1 node7] ends the job:\n")
    assert says in said
    assert ("Traceback" in said) == (code == 1)


def test_what_does_not_end_the_job(capsys):
    with AbortOnError(Aborting()):
        pass
    shared = UsageError("no")
    shared.shared = True
    with pytest.raises(UsageError), AbortOnError(Aborting()):
        raise shared
    with pytest.raises(ZeroDivisionError), AbortOnError(SerialComm()):
        raise ZeroDivisionError
    assert capsys.readouterr().err == ""
