"""The lock on an output: one job at a time, and none in the way after a kill."""

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import sys

import pytest
from support.open_files import open_files

from hpc_remetrics.errors import OutputError, OutputLockedError
from hpc_remetrics.files import lock as module
from hpc_remetrics.files.lock import OutputLock, holders


class Clock:
    """Time in seconds, from 1000 on, that passes only while the program sleeps."""

    def __init__(self):
        self.now = 1000.0
        self._events = []
        self._looks = 0

    def at(self, moment, event):
        """Have a function called when a moment has come."""
        self._events.append((moment, event))

    def monotonic(self):
        self._looks += 1
        assert self._looks < 1000, "the program looks at the clock again and again"
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        for one in [one for one in self._events if one[0] <= self.now]:
            self._events.remove(one)
            one[1]()


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from hpc_remetrics.files.lock import OutputLock\n"
    "lock = OutputLock(Path(sys.argv[1]))\n"
    "print('held', flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Wait less long for holders that don't go away."""
    monkeypatch.setattr("hpc_remetrics.files.lock._PATIENCE", 0.1)


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "out.h5"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_job_is_refused_with_the_name_of_the_first(holder, tmp_path):
    with pytest.raises(OutputLockedError) as caught:
        OutputLock(tmp_path / "out.h5")
    assert f"process {holder.pid} on {socket.gethostname()}" in str(caught.value)
    assert str(tmp_path / "out.h5") in str(caught.value)
    assert caught.value.exit_code == 6


def test_a_killed_job_is_not_in_the_way(holder, tmp_path):
    holder.kill()
    holder.wait()
    OutputLock(tmp_path / "out.h5").release()


def test_a_released_lock_can_be_had_again(tmp_path):
    for _ in range(3):
        OutputLock(tmp_path / "out.h5").release()


def test_a_dead_job_of_another_node_is_waited_for_once(tmp_path, clock):
    (tmp_path / "out.h5.lock").write_text("othernode 77 12\n")
    OutputLock(tmp_path / "out.h5").release()
    assert clock.now == pytest.approx(1003.5, abs=0.2)


def test_a_dead_job_of_this_machine_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(OutputLock, "_watch", None)
    (tmp_path / "out.h5.lock").write_text(f"{socket.gethostname()} 77 12\n")
    OutputLock(tmp_path / "out.h5").release()


@pytest.fixture
def reader(tmp_path):
    """A process that holds a lock for reading on the lock file, which no job does."""
    (tmp_path / "out.h5.lock").write_text("")
    code = (
        "import fcntl, sys, time; file = open(sys.argv[1]); fcntl.lockf(file, fcntl.LOCK_SH)\n"
        "print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-I", "-c", code, tmp_path / "out.h5.lock"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_a_lock_for_reading_is_named(reader, tmp_path):
    words = f"process {reader.pid} holds a lock for reading on .*; end that process"
    with pytest.raises(OutputLockedError, match=words):
        OutputLock(tmp_path / "out.h5")


def no_locks(*_):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.parametrize(
    ("host", "locks"), [("othernode", fcntl.lockf), (socket.gethostname(), no_locks)]
)
def test_a_living_job_is_refused_where_locks_do_not_reach_or_are_not_known(
    tmp_path, monkeypatch, clock, host, locks
):
    """Its next heartbeat comes after three seconds: it is on a slow file system."""
    monkeypatch.setattr(fcntl, "lockf", locks)
    path = tmp_path / "out.h5.lock"
    path.write_text(f"{host} 77 0\n")
    clock.at(1003.0, lambda: path.write_text(f"{host} 77 1\n"))
    with pytest.raises(OutputLockedError, match=f"process 77 on {host}"):
        OutputLock(tmp_path / "out.h5")
    assert clock.now == pytest.approx(1003.0, abs=0.2)
    assert path.read_text() == f"{host} 77 1\n"


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_is_waited_for_while_a_killed_job_ends(tmp_path, monkeypatch, clock, number):
    monkeypatch.setattr("hpc_remetrics.files.lock._PATIENCE", 2.0)
    holders_left = ["one"]

    def lockf(*about):
        if holders_left:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with pytest.raises(OutputLockedError, match=r"process \? on \?"):
        OutputLock(tmp_path / "out.h5")
    assert clock.now == pytest.approx(1002.0, abs=0.1)
    clock.at(1003.9, holders_left.clear)
    OutputLock(tmp_path / "out.h5").release()
    assert clock.now == pytest.approx(1003.9, abs=0.1)


def test_a_directory_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write to"):
        OutputLock(tmp_path / "file" / "out.h5")


def test_the_heartbeat_changes(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_remetrics.files.lock.HEARTBEAT", 0.0)
    lock = OutputLock(tmp_path / "out.h5")
    before = (tmp_path / "out.h5.lock").read_text()
    lock.heartbeat()
    after = (tmp_path / "out.h5.lock").read_text()
    assert before != after
    assert after.split()[:2] == [socket.gethostname(), str(os.getpid())]
    lock.release()


def hold(output, share):
    """Hold a share in a process of its own, since a process bears its own locks."""
    code = HOLD.replace("Path(sys.argv[1])", "Path(sys.argv[1]), int(sys.argv[2])")
    process = subprocess.Popen(
        [sys.executable, "-c", code, output, str(share)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_shares_bear_each_other_and_nobody_bears_the_whole(tmp_path):
    output = tmp_path / "out.h5"
    processes = [hold(output, share) for share in (1, 2, 7)]
    try:
        for share in (0, 2):
            with pytest.raises(
                OutputLockedError, match=f"process {processes[min(share, 1)].pid} on"
            ):
                OutputLock(output, share)
        assert [(share, process) for share, _, process in holders(output)] == [
            (share, str(process.pid)) for share, process in zip((1, 2, 7), processes, strict=True)
        ]
        OutputLock(output, 3).release()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert holders(output) == []
    OutputLock(output, 2).release()
    OutputLock(output).release()


def test_a_share_is_refused_while_the_whole_is_held(holder, tmp_path):
    with pytest.raises(OutputLockedError, match=f"process {holder.pid} on"):
        OutputLock(tmp_path / "out.h5", 4)


def test_who_holds_an_output_is_seen_from_outside_and_not_disturbed(holder, tmp_path):
    assert holders(tmp_path / "out.h5") == [(0, socket.gethostname(), str(holder.pid))]
    with pytest.raises(OutputLockedError):
        OutputLock(tmp_path / "out.h5")
    assert holders(tmp_path / "none.h5") == []


def test_the_bytes_of_a_lock_file(tmp_path, monkeypatch):
    """A slot of 128 bytes for the whole output, then one for each share."""
    monkeypatch.setattr("hpc_remetrics.files.lock.HEARTBEAT", 0.0)
    path = tmp_path / "out.h5.lock"
    me = f"{socket.gethostname()} {os.getpid()}"
    share = OutputLock(tmp_path / "out.h5", 2)
    assert path.read_bytes() == bytes(256) + f"{me} 1\n".ljust(128).encode()
    share.heartbeat()
    assert path.read_bytes()[256:] == f"{me} 2\n".ljust(128).encode()
    share.release()
    assert path.read_bytes() == bytes(384)
    whole = OutputLock(tmp_path / "out.h5")
    assert path.read_bytes() == f"{me} 1\n".ljust(128).encode()
    whole.release()
    assert path.read_bytes() == b""


class Waits:
    """Stands for the event that ends the thread: lets it wait some times, and then end."""

    def __init__(self, clock, times):
        self._clock = clock
        self._left = times

    def wait(self, seconds):
        self._clock.now += seconds
        self._left -= 1
        return self._left < 0


def test_the_heartbeat_goes_on_while_the_job_computes(tmp_path, clock):
    """Rank 0 calls nothing for minutes while it gathers, and a watch is over in seconds."""
    path = tmp_path / "out.h5.lock"
    lock = OutputLock(tmp_path / "out.h5")
    lock._beat_until(Waits(clock, 600))
    assert path.read_text().split()[2] == "601"
    assert clock.now == pytest.approx(1000 + 601 * module.HEARTBEAT)
    assert module.HEARTBEAT < module._WATCH / 3
    lock.release()


@pytest.mark.parametrize("error", [None, ValueError("the job failed")])
def test_a_thread_keeps_the_heartbeat_of_a_context_and_ends_with_it(tmp_path, error):
    seen = []
    with contextlib.suppress(ValueError), OutputLock(tmp_path / "out.h5") as lock:
        seen.append(lock._thread)
        assert lock._thread.is_alive()
        if error:
            raise error
    assert not seen[0].is_alive()


def test_a_heartbeat_a_second(tmp_path, clock):
    lock = OutputLock(tmp_path / "out.h5")
    counts = []
    for moment in (1000.9, 1001.0, 1001.5, 1002.0):
        clock.now = moment
        lock.heartbeat()
        counts.append(int((tmp_path / "out.h5.lock").read_text().split()[2]))
    assert counts == [1, 2, 2, 3]
    lock.release()


@pytest.mark.parametrize(
    ("umask", "before", "after"),
    [
        (0o022, None, 0o600),
        (0o002, None, 0o660),
        (0, None, 0o666),
        (0o022, 0o644, 0o600),
        (0o022, 0o620, 0o660),
        (0o022, 0o601, 0o601),
    ],
)
def test_only_those_may_read_who_may_write(tmp_path, umask, before, after):
    path = tmp_path / "out.h5.lock"
    old = os.umask(umask)
    try:
        if before is not None:
            path.write_text("")
            path.chmod(before)
        OutputLock(tmp_path / "out.h5").release()
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == after


def test_a_failed_run_removes_what_was_made_for_it(tmp_path):
    output = tmp_path / "a" / "b" / "out.h5"
    with pytest.raises(ZeroDivisionError), OutputLock(output):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with OutputLock(output):
        pass
    assert (tmp_path / "a" / "b" / "out.h5.lock").exists()
    with pytest.raises(ZeroDivisionError), OutputLock(output):
        raise ZeroDivisionError
    assert (tmp_path / "a" / "b" / "out.h5.lock").exists()


def test_a_failed_run_leaves_what_others_use(tmp_path):
    output = tmp_path / "a" / "out.h5"
    with pytest.raises(ZeroDivisionError), OutputLock(output, 2):
        raise ZeroDivisionError
    assert (tmp_path / "a" / "out.h5.lock").exists()
    lock = OutputLock(tmp_path / "new.h5")
    with open(lock.path, "r+b") as file:
        file.seek(128)
        file.write(b"othernode 77 1\n")
    lock.undo()
    assert (tmp_path / "new.h5.lock").exists()


@pytest.mark.parametrize("data", [b"some text", b"host process 1", bytes(128) + b"x"])
def test_another_file_is_no_lock_file(tmp_path, data):
    path = tmp_path / "out.h5.lock"
    path.write_bytes(data)
    with pytest.raises(OutputError, match="exists and is not a lock file of this program; move"):
        OutputLock(tmp_path / "out.h5")
    assert path.read_bytes() == data


def test_a_lock_file_that_was_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    turns = []
    acquire = OutputLock._acquire

    def removed_once(lock):
        turns.append(1)
        if len(turns) == 1:
            lock.path.unlink()
        acquire(lock)

    monkeypatch.setattr(OutputLock, "_acquire", removed_once)
    lock = OutputLock(tmp_path / "out.h5")
    assert len(turns) == 2 and lock.path.exists()
    lock.release()


def test_a_dead_share_of_another_node_is_not_in_the_way_of_other_shares(tmp_path, monkeypatch):
    path = tmp_path / "out.h5.lock"
    path.write_bytes(bytes(128) + b"othernode 77 1\n")
    watched = []
    monkeypatch.setattr(OutputLock, "_watch", lambda lock, others: watched.append(others))
    OutputLock(tmp_path / "out.h5", 2).release()
    assert watched == []
    OutputLock(tmp_path / "out.h5", 1).release()
    assert watched == [{1: "othernode 77 1"}]
    assert holders(tmp_path / "out.h5") == []
    path.write_bytes(bytes(128) + b"othernode 77 1\n")
    assert holders(tmp_path / "out.h5") == [(1, "othernode", "77")]
    OutputLock(tmp_path / "out.h5").release()
    assert watched[1:] == [{1: "othernode 77 1"}]
    assert path.read_bytes() == b""


def test_who_holds_what_does_not_exist(tmp_path):
    assert holders(tmp_path / "out.h5") == []
    os.mkfifo(tmp_path / "pipe.lock")
    assert holders(tmp_path / "pipe") == []


def test_a_lock_that_is_given_back_is_closed(tmp_path, monkeypatch):
    output = tmp_path / "out.h5"
    lock = OutputLock(output)
    assert len(open_files(tmp_path)) == 1
    assert [share for share, _, _ in holders(output)] == []
    assert len(open_files(tmp_path)) == 1
    lock.release()
    assert open_files(tmp_path) == []
    with OutputLock(output):
        pass
    assert open_files(tmp_path) == []
    OutputLock(output).undo()
    OutputLock(tmp_path / "new.h5").undo()
    assert open_files(tmp_path) == []
    monkeypatch.setattr(OutputLock, "_has_name", lambda lock: lock._heartbeats > 1)
    monkeypatch.setattr(module, "HEARTBEAT", 0.0)
    again = OutputLock(output)
    assert len(open_files(tmp_path)) == 1
    again.release()
    (tmp_path / "other.h5.lock").write_bytes(b"some text")
    with pytest.raises(OutputError):
        OutputLock(tmp_path / "other.h5")
    assert open_files(tmp_path) == []


@pytest.fixture
def asked(monkeypatch):
    """Answer for the system which locks there are, by their start; return what was asked."""
    asked = []
    answers = {}

    def conflicting(file, start, length):
        asked.append((start, length))
        return answers.get(start, (fcntl.F_UNLCK, 0, 0, 0, 0))

    monkeypatch.setattr(module, "_conflicting_lock", conflicting)
    return asked, answers


def test_a_holder_on_this_machine_counts_while_its_slot_is_locked(tmp_path, asked):
    questions, answers = asked
    slots = [f"{socket.gethostname()} 7{number} 1\n".ljust(128) for number in range(4)]
    (tmp_path / "out.h5.lock").write_text("".join(slots))
    answers[128] = (fcntl.F_WRLCK, 0, 0, 0, 71)
    answers[384] = None  # the system can't tell
    found = [(share, process) for share, _, process in holders(tmp_path / "out.h5")]
    assert found == [(1, "71"), (3, "73")]
    assert questions == [(0, 128), (128, 128), (256, 128), (384, 128)]


@pytest.mark.parametrize(
    ("answer", "process"),
    [
        ((fcntl.F_RDLCK, 0, 0, 0, 99), 99),
        ((fcntl.F_WRLCK, 0, 0, 0, 99), 0),
        ((fcntl.F_UNLCK, 0, 0, 0, 0), 0),
        (None, 0),
    ],
)
def test_a_lock_for_reading_is_looked_for_in_the_whole_file(asked, answer, process):
    questions, answers = asked
    answers[0] = answer
    assert module._reader(5) == process
    assert questions == [(0, 0)]


def test_a_file_system_without_locks_can_not_tell_who_holds_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "fcntl", no_locks)
    assert module._conflicting_lock(5, 0, 0) is None


def test_directories_are_removed_if_the_lock_file_can_not_be_made(tmp_path, monkeypatch):
    def full(*about, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "open_in_place", full)
    with pytest.raises(OutputError, match="No space left on device"):
        OutputLock(tmp_path / "a" / "b" / "out.h5")
    assert list(tmp_path.iterdir()) == []
