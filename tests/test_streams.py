"""Standard streams that lead to full files, closed pipes or nowhere, without a process of its own.

The descriptors 1 and 2 of this process lead to a pipe or device during a test, and back after it.
"""

import contextlib
import errno
import fcntl
import io
import os
import select
import sys
import threading

import pytest

from hpc_remetrics import streams
from hpc_remetrics.streams import StdoutError, give_up_stdout, standard_streams


@pytest.fixture(autouse=True)
def descriptors():
    """Give this process its standard descriptors back."""
    kept = [os.dup(number) for number in (0, 1, 2)]
    yield
    for number, copy in enumerate(kept):
        os.dup2(copy, number)
        os.close(copy)


@contextlib.contextmanager
def started():
    """Make the streams those that an interpreter begins with (pytest has replaced them)."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("stdout", 1), ("stderr", 2)):
            raw = io.FileIO(number, "w", closefd=False)
            stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="ascii")
            patch.setattr(sys, name, stream)
            patch.setattr(sys, f"__{name}__", stream)
        yield


@pytest.fixture
def pipe():
    """Return the ends of a pipe; what is still open is closed after the test."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    ends = [os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb", buffering=0)]
    yield ends
    for end in ends:
        end.close()


def lead(number: int, target: int | str) -> None:
    """Let a standard descriptor lead to a file."""
    file = os.open(target, os.O_WRONLY) if isinstance(target, str) else os.dup(target)
    os.dup2(file, number)
    os.close(file)


def test_results_are_buffered_and_remarks_are_not(pipe):
    reader, writer = pipe
    lead(1, writer.fileno())
    lead(2, writer.fileno())
    with started(), standard_streams():
        print("result")
        print("remark", file=sys.stderr)
        assert reader.read(100) == b"remark\n"
        sys.stdout.flush()
        assert reader.read(100) == b"result\n"


def test_characters_that_an_encoding_lacks_are_escaped(pipe):
    reader, writer = pipe
    lead(1, writer.fileno())
    with started(), standard_streams():
        print("größe", flush=True)
    assert reader.read(100) == b"gr\\xf6\\xdfe\n"


def test_what_was_written_before_comes_first(pipe):
    reader, writer = pipe
    lead(1, writer.fileno())
    with started():
        print("before")
        with standard_streams():
            print("after", flush=True)
    assert reader.read(100) == b"before\nafter\n"


def test_streams_that_the_caller_replaced_stay():
    ours = io.StringIO()
    with started(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", ours)
        before = sys.stderr
        with standard_streams():
            assert sys.stdout is ours
            assert sys.stderr is not before
        assert (sys.stdout, sys.stderr) == (ours, before)


def test_results_on_a_full_disk_are_an_error_and_remarks_are_none():
    lead(1, "/dev/full")
    lead(2, "/dev/full")
    with started(), standard_streams():
        print("remark", file=sys.stderr)
        print("result")
        with pytest.raises(StdoutError) as caught:
            sys.stdout.flush()
        assert caught.value.errno == errno.ENOSPC
        give_up_stdout()
        print("more", flush=True)


def test_a_reader_that_has_gone_is_told_apart(pipe):
    reader, writer = pipe
    lead(1, writer.fileno())
    reader.close()
    with started(), standard_streams():
        print("result")
        with pytest.raises(BrokenPipeError):
            sys.stdout.flush()
        give_up_stdout()


def test_a_full_pipe_that_does_not_block_is_waited_for(pipe):
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer.fileno(), False)
    lead(1, writer.fileno())
    data = "x" * 20_000
    got = bytearray()

    def read() -> None:
        os.set_blocking(reader.fileno(), True)
        while len(got) < len(data):
            got.extend(reader.read(3000))

    thread = threading.Thread(target=read)
    with started(), standard_streams():
        thread.start()
        sys.stdout.write(data)
        sys.stdout.flush()
    thread.join()
    assert got.decode() == data
    assert select.select([], [writer], [], 0)[1] == [writer]


@contextlib.contextmanager
def closed(*numbers: int):
    for number in numbers:
        os.close(number)
    yield


def test_descriptors_that_are_closed_are_opened():
    with started(), closed(0, 1, 2), standard_streams():
        print("remark", file=sys.stderr)
        print("result")
        with pytest.raises(StdoutError) as caught:
            sys.stdout.flush()
        assert caught.value.errno == errno.EBADF
        assert os.read(0, 10) == b""
        flags = [fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE for number in (0, 1, 2)]
        assert flags == [os.O_RDONLY, os.O_RDONLY, os.O_WRONLY]
        assert all(os.get_inheritable(number) for number in (0, 1, 2))
        give_up_stdout()


def test_a_closed_descriptor_behind_another_one_is_opened_as_itself():
    """The lowest free number is taken, which may be that of standard input."""
    os.close(1)
    os.close(0)
    before = len(os.listdir("/proc/self/fd"))
    streams._open_missing()
    assert len(os.listdir("/proc/self/fd")) == before + 2
    assert fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
