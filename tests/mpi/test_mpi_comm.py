"""The communicator over MPI, with the library's calls replaced by ones that say when they are done.

What MPI itself does is tested under mpirun (`test_comm.py`).
"""

import pickle

import pytest

from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.mpi import mpi_comm
from hpc_remetrics.mpi.mpi_comm import MPIComm, _starts


class Request:
    """A request that is done after some tests."""

    def __init__(self, tests=0):
        self.left = tests

    def Test(self):
        self.left -= 1
        return self.left < 0


class World:
    """COMM_WORLD as one rank sees it: `sizes` and then `arrives` are what the others send."""

    def __init__(self, rank, size, tests=0):
        self.rank, self.size, self.tests = rank, size, tests
        self.sizes, self.arrives, self.calls = [], [], []

    def Ialltoall(self, sent, received):
        self.calls.append(("sizes", bytes(sent[0])))
        assert (sent[1], received[1]) == (8, 8)
        assert len(sent[0]) == len(received[0]) == 8 * self.size
        received[0][:] = b"".join(size.to_bytes(8, "little") for size in self.sizes.pop(0))
        return Request(self.tests)

    def Ibcast(self, buffer, root):
        self.calls.append(("bcast", root, bytes(buffer[0])))
        if root != self.rank:
            buffer[0][:] = self.arrives.pop(0)
        return Request(self.tests)

    def Ialltoallv(self, sent, received):
        self.calls.append(("alltoallv", bytes(sent[0]), sent[1], received[1]))
        received[0][:] = self.arrives.pop(0)
        return Request(self.tests)

    def Isend(self, buffer, dest, tag):
        self.calls.append(("send", dest, tag, pickle.loads(buffer[0])))
        return Request(self.tests)

    def Improbe(self, source, tag, status):
        assert (source, tag) == ("any source", "any tag")
        if not self.arrives:
            return None
        status.source, status.tag, message = self.arrives.pop(0)
        data = pickle.dumps(message)
        status.count = len(data)
        return Matched(data, self.tests)

    def Abort(self, code):
        raise SystemExit(code)


class Matched:
    """A message that has arrived, and can be received."""

    def __init__(self, data, tests):
        self.data, self.tests = data, tests

    def Irecv(self, buffer):
        assert len(buffer[0]) == len(self.data)
        buffer[0][:] = self.data
        return Request(self.tests)


class Status:
    """Says of a message that has arrived how long it is, and whose."""

    def Get_count(self, unit):
        assert unit == "byte"
        return self.count

    def Get_source(self):
        return self.source

    def Get_tag(self):
        return self.tag


class Library:
    """The module `mpi4py.MPI`."""

    BYTE = "byte"
    ANY_SOURCE = "any source"
    ANY_TAG = "any tag"
    Status = Status

    def __init__(self, world):
        self.COMM_WORLD = world
        self.finalized = False

    def Finalize(self):
        self.finalized = True


def comm_of(rank, size, tests=0):
    return MPIComm(Library(World(rank, size, tests)))


def test_starts_of_consecutive_buffers():
    assert _starts([]) == []
    assert _starts([3, 0, 4, 1]) == [0, 3, 3, 7]


def test_buffers_are_cut_by_rank():
    comm = comm_of(1, 3, tests=2)
    world = comm._comm
    world.sizes = [[2, 1, 0]]
    world.arrives = [b"abc"]
    received = comm.alltoall([b"xy", b"", memoryview(b"z")])
    assert [bytes(view) for view in received] == [b"ab", b"c", b""]
    sizes = b"".join(size.to_bytes(8, "little") for size in (2, 0, 1))
    assert world.calls == [
        ("sizes", sizes),
        ("alltoallv", b"xyz", ([2, 0, 1], [0, 2, 2]), ([2, 1, 0], [0, 2, 3])),
    ]


def test_a_broadcast_sends_the_size_first():
    value = {"a": 1}
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    root = comm_of(2, 3)
    root._comm.sizes = [[0, 0, len(data)]]
    assert root.bcast(value, root=2) is value
    assert root._comm.calls[1] == ("bcast", 2, data)
    other = comm_of(0, 3)
    other._comm.sizes = [[0, 0, len(data)]]
    other._comm.arrives = [data]
    assert other.bcast("ignored", root=2) == value
    assert other._comm.calls == [("sizes", bytes(24)), ("bcast", 2, bytes(len(data)))]


def test_values_are_gathered_on_rank_0_alone():
    pickled = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in ("a", "b")]
    sizes = [len(data) for data in pickled]
    for rank, expected in ((0, ["a", "b"]), (1, [])):
        comm = comm_of(rank, 2)
        comm._comm.sizes = [sizes if rank == 0 else [0, 0]]
        comm._comm.arrives = [b"".join(pickled) if rank == 0 else b""]
        assert comm.gather("ab"[rank]) == expected
        assert comm._comm.calls[1][1] == pickled[rank]
    comm = comm_of(1, 2)
    comm._comm.sizes = [sizes]
    comm._comm.arrives = [b"".join(pickled)]
    assert comm.allgather("b") == ["a", "b"]
    assert comm._comm.calls[1][1] == pickled[1] * 2


@pytest.mark.parametrize("call", ["barrier", "alltoall", "bcast"])
def test_the_error_of_the_lowest_failed_rank_is_raised_in_any_collective_call(call):
    comm = comm_of(0, 3)
    failed = mpi_comm._FAILED
    data = pickle.dumps(OutputError("disk full", "make room"))
    comm._comm.sizes = [[0, failed, failed]]
    comm._comm.arrives = [len(data).to_bytes(8, "little"), data]
    arguments = {"barrier": (), "alltoall": ([b"", b"", b""],), "bcast": (1,)}[call]
    with pytest.raises(OutputError, match="disk full; make room") as caught:
        getattr(comm, call)(*arguments)
    assert caught.value.shared
    assert [one[1] for one in comm._comm.calls[1:]] == [1, 1]


def test_a_rank_that_failed_tells_all_and_raises_its_own_error():
    comm = comm_of(1, 3)
    failed = mpi_comm._FAILED
    comm._comm.sizes = [[0, failed, failed]]
    with pytest.raises(UsageError, match="mine") as caught:
        comm.agree(UsageError("mine"))
    assert caught.value.shared
    sizes, length, data = comm._comm.calls
    assert sizes == ("sizes", failed.to_bytes(8, "little") * 3)
    assert int.from_bytes(length[2], "little") == len(data[2])
    assert str(pickle.loads(data[2])) == "mine"
    comm._comm.sizes = [[0, 0, 0]]
    assert comm.agree(None) is None
    assert comm._comm.calls[-1] == ("sizes", bytes(24))


def test_buffers_of_messages_are_kept_until_they_have_left():
    comm = comm_of(0, 2, tests=2)
    comm.send({"a": 1}, 1, 9)
    comm.send("second", 1, 9)
    assert comm._comm.calls == [("send", 1, 9, {"a": 1}), ("send", 1, 9, "second")]
    assert len(comm._pending) == 2
    comm.flush()
    assert len(comm._pending) == 0


def test_messages_are_received_in_order_and_whole():
    comm = comm_of(0, 3, tests=2)
    assert comm.poll() is None
    comm._comm.arrives = [(2, 9, {"a": 1}), (1, 8, "b" * 1000)]
    assert comm.poll() == (2, 9, {"a": 1})
    assert comm.poll() == (1, 8, "b" * 1000)
    assert comm.poll() is None


def test_buffers_of_messages_that_have_left_are_let_go_of():
    comm = comm_of(0, 2, tests=1)
    comm.send("first", 1, 9)
    assert len(comm._pending) == 1
    comm.poll()
    assert len(comm._pending) == 0
    comm.send("second", 1, 9)
    comm.send("third", 1, 9)
    assert [data for _, data in comm._pending] == [pickle.dumps("third", pickle.HIGHEST_PROTOCOL)]


def test_rank_0_alone_returns_the_code_and_ends_last(monkeypatch):
    sleeps = []
    monkeypatch.setattr(mpi_comm.time, "sleep", sleeps.append)
    for rank, code, expected, waits in ((1, 5, 0, 0), (0, 0, 0, 0), (0, 5, 5, 1)):
        sleeps.clear()
        comm = comm_of(rank, 2)
        assert comm.finalize(code) == expected
        assert comm._mpi.finalized
        assert len(sleeps) == waits


def test_waits_sleep_longer_the_longer_nothing_comes(monkeypatch):
    sleeps = []
    monkeypatch.setattr(mpi_comm.time, "sleep", sleeps.append)
    comm = comm_of(0, 2)
    comm._wait_for_transfer(Request(20_003))
    assert len(sleeps) == 20_003
    assert sleeps[:50] == [0] * 50 and sleeps[50] == sleeps[19_999] == 100e-6
    assert sleeps[20_000:] == [0.002] * 3
    sleeps.clear()
    comm._wait_for_ranks(Request(20))
    assert sleeps[:3] == [50e-6, 100e-6, 200e-6] and sleeps[-1] == 0.005


def test_an_abort_ends_all_ranks_with_the_code(monkeypatch):
    with pytest.raises(SystemExit) as caught:
        comm_of(1, 2).abort(6)
    assert caught.value.code == 6
    # A library that returns from its abort is not trusted.
    codes = []
    monkeypatch.setattr(World, "Abort", lambda world, code: codes.append(("abort", code)))
    monkeypatch.setattr(mpi_comm.os, "_exit", codes.append)
    comm_of(1, 2).abort(6)
    comm_of(1, 2).abort()
    assert codes == [("abort", 6), 6, ("abort", 1), 1]
