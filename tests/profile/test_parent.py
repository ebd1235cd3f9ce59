"""The child process: whatever happens to it costs the layer in hand, and nothing else."""

import gzip
import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from hpc_remetrics import programs
from hpc_remetrics.errors import MissingComponentError
from hpc_remetrics.filetype.shared_table import TIMED_OUT, TypeTable
from hpc_remetrics.filetype.watch import WATCH_BYTES
from hpc_remetrics.limits import PACKET_BYTES, Limits
from hpc_remetrics.parts.spill_format import LayerProfile, read_blocks
from hpc_remetrics.profile import parent
from hpc_remetrics.profile.parent import Child, Job
from hpc_remetrics.records import Digest


@pytest.fixture
def blob(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"{number}.txt").write_text(f"file {number}\n" * 50)
    tar = subprocess.run(
        ["tar", "-C", tree, "-cf", "-", "."], check=True, capture_output=True
    ).stdout
    path = tmp_path / "layer.tar.gz"
    path.write_bytes(gzip.compress(tar, 1, mtime=0))
    return path


@pytest.fixture
def endless(tmp_path):
    """A layer that can't end before the test does: a FIFO that nobody feeds."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    keep = os.open(path, os.O_RDWR)
    yield path
    os.close(keep)


def make_child(tmp_path, types="none", **limits) -> Child:
    child = Child(Limits(**limits))
    child.set_up(types, tmp_path / "types", tmp_path / "watch")
    return child


@pytest.fixture
def child(tmp_path):
    made = make_child(tmp_path, layer_seconds=2)
    yield made
    made.close()


def job(path, tmp_path) -> Job:
    fifo = not path.is_file()
    data = b"" if fifo else path.read_bytes()
    size = 10_000 if fifo else len(data)
    return Job(Digest(hashlib.sha256(data).digest()), size, path, 0, size, tmp_path / "spill")


def wait(child, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (profile := child.poll()) is not None:
            return profile
        time.sleep(0.01)
    raise AssertionError(f"no answer within {seconds} s")


def profile(child, path, tmp_path):
    child.begin(job(path, tmp_path))
    return wait(child)


@pytest.mark.slow
def test_a_layer_comes_back_with_its_entries(child, blob, tmp_path):
    row = profile(child, blob, tmp_path)
    assert (row.status, row.files, row.entries) == ("ok", 300, 301)
    assert sum(block.rows for block in read_blocks(tmp_path / "spill")) == 301


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_killed_child_costs_the_layer_and_a_new_one_goes_on(
    child, blob, endless, tmp_path, number
):
    assert profile(child, blob, tmp_path).status == "ok"
    child.begin(job(endless, tmp_path))
    time.sleep(0.2)
    os.kill(child.pid, number)
    row = wait(child)
    assert (row.status, row.stage) == ("failed", "child")
    assert row.cause == ("killed" if number == signal.SIGKILL else "crashed")
    assert profile(child, blob, tmp_path).status == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_of_the_whole_job_is_the_rank_s_to_decide(child, blob, tmp_path, number):
    assert profile(child, blob, tmp_path).status == "ok"
    pid = child.pid
    os.kill(pid, number)
    assert profile(child, blob, tmp_path).status == "ok"
    assert child.pid == pid


@pytest.mark.slow
def test_a_child_killed_between_layers_costs_nothing(child, blob, tmp_path):
    assert profile(child, blob, tmp_path).status == "ok"
    os.kill(child.pid, signal.SIGKILL)
    for _ in range(20):
        child.poll()
        time.sleep(0.01)
    assert profile(child, blob, tmp_path).status == "ok"


@pytest.mark.slow
def test_the_memory_of_a_child_that_was_killed_just_now_is_that_of_those_before(
    child, blob, tmp_path
):
    assert profile(child, blob, tmp_path).status == "ok"
    os.kill(child.pid, signal.SIGKILL)
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert child.peak_memory >= 0
    assert profile(child, blob, tmp_path).status == "ok"


@pytest.mark.slow
def test_a_stopped_child_is_given_up(child, blob, endless, tmp_path):
    assert profile(child, blob, tmp_path).status == "ok"
    child.begin(job(endless, tmp_path))
    os.kill(child.pid, signal.SIGSTOP)
    row = wait(child)
    assert (row.status, row.cause) == ("failed", "limit_time")
    assert profile(child, blob, tmp_path).status == "ok"


@pytest.mark.slow
def test_a_looping_child_is_given_up(tmp_path, blob):
    """4 GiB of zeros from 64 small gzip members: the limits on sizes are lifted, so that only time
    is left."""
    block = bytearray(b"zeros".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2)
    block += (
        f"{4 << 30:o}".rjust(12, "0").encode() + b"00000000000\0" + b" " * 8 + b"0" + bytes(355)
    )
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(block)) + 64 * gzip.compress(bytes(64 << 20), 1))
    child = make_child(tmp_path, layer_seconds=0.5, ratio=10**9, layer_bytes_per_second=10**12)
    try:
        row = profile(child, bomb, tmp_path)
        assert (row.status, row.cause) == ("failed", "limit_time")
        assert profile(child, blob, tmp_path).status == "ok"
    finally:
        child.close()


@pytest.mark.slow
def test_a_child_out_of_memory_costs_the_layer(tmp_path, blob):
    """A window of 128 MiB does not fit into 96 MiB."""
    if not shutil.which("zstd"):
        pytest.fail("zstd is not installed") if os.environ.get("CI") else pytest.skip(
            "zstd is not installed"
        )
    child = make_child(tmp_path, child_bytes=96 << 20)
    wide = tmp_path / "wide.zst"
    subprocess.run(
        f"head -c 200M /dev/urandom | zstd -q -1 --long=27 -o {wide}",
        shell=True,
        check=True,
        executable="/bin/bash",
    )
    try:
        row = profile(child, wide, tmp_path)
        assert (row.status, row.cause) == ("failed", "limit_memory")
        assert profile(child, blob, tmp_path).status == "ok"
    finally:
        child.close()


@pytest.mark.slow
def test_a_table_that_is_bigger_than_the_memory_of_a_child(tmp_path, blob):
    """It is the node's memory: the limit holds for what the child takes besides."""
    TypeTable(tmp_path / "types", 1 << 26).close()
    child = make_child(tmp_path, child_bytes=400 << 20)
    try:
        assert profile(child, blob, tmp_path).status == "ok"
    finally:
        child.close()


@pytest.mark.slow
def test_a_content_that_libmagic_is_too_long_about_is_typed_timed_out(tmp_path):
    """Many files that libmagic needs long for, and a limit that it can't meet for one of them."""
    tree = tmp_path / "tree"
    tree.mkdir()
    slow = [f"slow{number}" for number in range(6)]
    for number, name in enumerate(slow):
        (tree / name).write_bytes(b"\n" * (7 << 20) + b"\n" * number)
    (tree / "quick").write_text("#!/bin/sh\necho\n")
    path = tmp_path / "layer.tar"
    subprocess.run(["tar", "-C", tree, "-cf", path, "quick", *slow], check=True)
    child = make_child(tmp_path, types="plain", type_seconds=0.01)
    try:
        row = profile(child, path, tmp_path)
        assert (row.status, row.files) == ("ok", 7)
        block = next(read_blocks(tmp_path / "spill"))
        table = TypeTable(tmp_path / "types")
        types = [table.description(int(number)) for number in block.columns["type"]]
        assert "timed out" in types[1:]
        assert "shell script" in types[0]
    finally:
        child.close()


@pytest.mark.slow
def test_a_child_ends_with_its_rank(tmp_path):
    """A rank that is killed leaves no child behind."""
    code = (
        "import sys, time\n"
        "from hpc_remetrics.limits import Limits\n"
        "from hpc_remetrics.profile.parent import Child\n"
        "print(Child(Limits()).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    import sys

    rank = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert rank.stdout is not None
    pid = int(rank.stdout.readline())
    time.sleep(0.5)
    rank.kill()
    rank.wait()
    until = time.monotonic() + 60
    while time.monotonic() < until and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.slow
def test_a_child_that_is_set_up_again_goes_on_with_the_new_setup(child, blob, tmp_path):
    """A run that profiles the layers of damaged parts again does this."""
    assert profile(child, blob, tmp_path).status == "ok"
    child.abandon()
    (tmp_path / "again").mkdir()
    child.set_up("none", tmp_path / "again" / "types", tmp_path / "again" / "watch")
    assert profile(child, blob, tmp_path).status == "ok"


class Process:
    """Stands for a child's process: a test plays its part at the other end of the socket."""

    def __init__(self, pid: int, end: socket.socket, environment: dict[str, str]) -> None:
        self.pid = pid
        self.end = end
        self.environment = environment
        self.code = 0
        self.done: list[str] = []

    def kill(self) -> None:
        self.done.append("killed")
        self.end.close()

    def wait(self) -> int:
        self.done.append("waited")
        return self.code

    def exit(self, code: int) -> None:
        self.code = code
        self.end.close()

    def say(self, **message) -> None:
        self.end.send(json.dumps(message).encode())

    def heard(self) -> dict | None:
        """Return the next message that the child was sent, None if there is none."""
        try:
            return json.loads(self.end.recv(PACKET_BYTES))
        except BlockingIOError:
            return None


class Machine:
    """Starts such processes, and tells their CPU time and the time.

    :ivar now: seconds of the clock.
    :ivar cpu: seconds of each process.
    """

    def __init__(self) -> None:
        self.started: list[Process] = []
        self.now = 1000.0
        self.cpu = 50.0
        self.table: TypeTable | None = None

    @property
    def child(self) -> Process:
        """The process that was started last."""
        return self.started[-1]

    def start(self, words, *, pass_fds, env, **_) -> Process:
        end = socket.socket(fileno=os.dup(pass_fds[0]))
        end.setblocking(False)
        self.started.append(Process(1 << 30, end, env))
        return self.child

    def stat(self, pid: int) -> tuple[str, list[str]]:
        """Return a third of the CPU time as the user's, and two thirds as the system's."""
        ticks = round(self.cpu * os.sysconf("SC_CLK_TCK"))
        return "python", ["0"] * 11 + [str(ticks // 3), str(ticks - ticks // 3)] + ["0"] * 20


@pytest.fixture
def machine(monkeypatch):
    made = Machine()
    monkeypatch.setattr(
        parent, "subprocess", SimpleNamespace(Popen=made.start, DEVNULL=subprocess.DEVNULL)
    )
    monkeypatch.setattr(parent, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(programs, "process_stat", made.stat)
    yield made
    for process in made.started:
        process.end.close()


LIMITS = Limits(layer_seconds=60, layer_bytes_per_second=100, type_seconds=2)
JOB = Job(Digest(bytes(32)), 7, Path("/blob"), 3, 4000, Path("/spill"), Path("/tree"), 99)
"""Its limit is 60 + 40 s."""


@pytest.fixture
def busy(machine, tmp_path):
    """A child that was set up and has a job."""
    child = Child(LIMITS)
    child.set_up("plain", tmp_path / "types", tmp_path / "watch", {"chunks": "1"})
    child.begin(JOB)
    yield child
    child.close()


def skip_setup(machine) -> None:
    while machine.child.heard():
        pass


def watched(tmp_path, sequence: int, digest: bytes = b"d" * 32) -> None:
    """Let the watch show that libmagic works on a content."""
    data = sequence.to_bytes(8, "little") + digest
    with open(tmp_path / "watch", "r+b") as file:
        file.write(data)


def test_a_child_is_told_the_setup_and_then_its_jobs(busy, machine, tmp_path):
    setup = machine.child.heard()
    assert setup["types"] == "plain" and setup["probes"] == {"chunks": "1"}
    assert setup["table"] == str(tmp_path / "types")
    assert setup["watch"] == str(tmp_path / "watch")
    assert Limits(**setup["limits"]) == LIMITS
    assert (tmp_path / "watch").read_bytes() == bytes(WATCH_BYTES)
    assert machine.child.heard() == {
        "job": 1,
        "digest": f"sha256:{'0' * 64}",
        "expected_size": 7,
        "path": "/blob",
        "offset": 3,
        "size": 4000,
        "spill": "/spill",
        "tree": "/tree",
        "quota": 99,
    }
    assert machine.child.heard() is None


def test_a_layer_that_is_not_unpacked_has_no_tree(busy, machine):
    machine.child.say(job=1, profile=LayerProfile().to_json())
    assert busy.poll() is not None
    busy.begin(Job(Digest(bytes(32)), 7, Path("/blob"), 0, 7, Path("/spill")))
    heard = [machine.child.heard() for _ in range(3)]
    assert (heard[2]["job"], heard[2]["tree"], heard[2]["quota"]) == (2, "", 0)


def test_the_row_of_the_current_layer_is_returned_once(busy, machine):
    row = LayerProfile(status="ok", files=3)
    machine.child.say(ready=1)
    machine.child.say(job=2, profile=LayerProfile().to_json())
    assert busy.poll() is None
    machine.child.say(job=1, profile=row.to_json())
    assert busy.poll() == row
    machine.child.say(job=1, profile=row.to_json())
    assert busy.poll() is None


def test_an_error_of_a_child_is_raised(busy, machine):
    machine.child.say(error="no libmagic")
    with pytest.raises(MissingComponentError, match="no libmagic"):
        busy.poll()


@pytest.mark.parametrize(
    ("code", "cause", "message"),
    [
        (-9, "killed", "the child process was killed (by hand, or for want of memory)"),
        (-11, "crashed", "the child process ended with signal SIGSEGV"),
        (3, "crashed", "the child process ended with exit code 3"),
        (0, "crashed", "the child process ended with exit code 0"),
    ],
)
def test_the_end_of_a_child_costs_its_layer(busy, machine, code, cause, message):
    first = machine.child
    first.exit(code)
    row = busy.poll()
    assert (row.status, row.stage, row.cause, row.message) == ("failed", "child", cause, message)
    assert first.done == ["waited"]
    # The new one has the same setup and no layer
    assert len(machine.started) == 2
    assert machine.child.heard()["types"] == "plain"
    assert machine.child.heard() is None
    assert busy.poll() is None
    busy.begin(JOB)
    assert machine.child.heard()["job"] == 2


def test_a_child_that_ends_without_a_layer_is_replaced(busy, machine):
    machine.child.say(job=1, profile=LayerProfile().to_json())
    busy.poll()
    machine.child.exit(1)
    busy.begin(JOB)
    assert len(machine.started) == 2
    assert [machine.child.heard()["types"], machine.child.heard()["job"]] == ["plain", 2]
    assert busy.poll() is None


def test_a_child_that_ends_before_its_setup_gets_it_once(machine, tmp_path):
    child = Child(LIMITS)
    machine.child.exit(1)
    assert child.poll() is None
    assert len(machine.started) == 2
    assert machine.child.heard() is None
    child.set_up("none", tmp_path / "types", tmp_path / "watch")
    assert len(machine.started) == 2
    assert machine.child.heard()["probes"] == {}
    assert machine.child.heard() is None
    child.close()


def test_what_a_dead_child_is_sent_is_lost_and_its_end_is_seen(busy, machine):
    machine.child.say(job=1, profile=LayerProfile().to_json())
    busy.poll()
    machine.child.end.close()
    busy._send(b"{}")
    assert busy.poll() is None
    assert len(machine.started) == 2


def test_a_second_setup_starts_another_process(busy, machine, tmp_path):
    first = machine.child
    busy.abandon()
    (tmp_path / "new").mkdir()
    busy.set_up("exact", tmp_path / "new" / "types", tmp_path / "new" / "watch")
    assert first.done == ["killed", "waited"]
    assert machine.child.heard()["types"] == "exact"
    assert machine.child.heard() is None
    busy.set_up("none", tmp_path / "new" / "types", tmp_path / "new" / "watch")
    assert machine.child.heard()["types"] == "none"
    assert machine.child.heard() is None
    assert all(one.done == ["killed", "waited"] for one in machine.started[:-1])


def test_an_abandoned_layer_gives_no_row(busy, machine):
    busy.abandon()
    assert len(machine.started) == 2
    # The new process has no setup: the files that the old one names are about to go
    assert machine.child.heard() is None
    assert busy.poll() is None
    busy.abandon()
    assert len(machine.started) == 2


def test_cpu_time_beyond_the_limit_ends_the_layer(busy, machine):
    machine.now += 1000
    machine.cpu += 100
    assert busy.poll() is None
    machine.now += 1
    machine.cpu += 1
    row = busy.poll()
    assert (row.stage, row.cause) == ("child", "limit_time")
    assert row.message == "ended after 101 s, the limit is 100 s"
    assert machine.started[0].done == ["killed", "waited"]
    assert len(machine.started) == 2


def test_a_child_without_progress_is_ended_after_its_limit(busy, machine):
    machine.now += 80
    machine.cpu += 1
    assert busy.poll() is None
    machine.now += 29
    assert busy.poll() is None  # 109 s, of which 29 without progress
    machine.now += 1
    assert busy.poll() is None  # 30 s without progress
    machine.now += 1
    row = busy.poll()
    assert row.cause == "limit_time"
    assert row.message == "ended after 31 s without any progress, the limit is 100 s"


def test_a_child_without_progress_may_take_its_limit(busy, machine):
    machine.now += 100
    assert busy.poll() is None
    machine.now += 1
    assert busy.poll().message == "ended after 101 s without any progress, the limit is 100 s"


def test_a_limit_that_is_shorter_than_a_stall_counts(machine, tmp_path):
    child = Child(Limits(layer_seconds=4, layer_bytes_per_second=10**9))
    child.set_up("none", tmp_path / "types", tmp_path / "watch")
    child.begin(JOB)
    machine.now += 4
    assert child.poll() is None
    machine.now += 1
    assert child.poll().cause == "limit_time"
    child.close()


def test_each_layer_has_clocks_of_its_own(busy, machine):
    machine.now += 99
    machine.cpu += 99
    assert busy.poll() is None
    machine.child.say(job=1, profile=LayerProfile().to_json())
    assert busy.poll() is not None
    busy.begin(JOB)
    machine.now += 99
    machine.cpu += 99
    assert busy.poll() is None


@pytest.mark.parametrize(("type_seconds", "wait"), [(0.5, 0.125), (5.0, 0.25)])
def test_clocks_are_looked_at_now_and_then(machine, tmp_path, type_seconds, wait):
    """Each look reads /proc."""
    child = Child(Limits(type_seconds=type_seconds))
    child.set_up("none", tmp_path / "types", tmp_path / "watch")
    child.begin(JOB)
    machine.cpu += 10**6
    machine.now += wait * 0.99
    assert child.poll() is None
    machine.now = 1000 + wait
    assert child.poll().cause == "limit_time"
    # Without a layer there is nothing to look at
    machine.now += 10
    assert child.poll() is None
    child.close()


def test_a_content_that_takes_libmagic_too_long_is_typed_and_the_layer_begun_again(
    busy, machine, tmp_path
):
    skip_setup(machine)
    watched(tmp_path, 5)
    machine.now += 1
    assert busy.poll() is None  # seen at first
    machine.now += 1
    machine.cpu += 2
    assert busy.poll() is None  # two seconds are the limit
    assert len(machine.started) == 1
    machine.now += 1
    machine.cpu += 1
    assert busy.poll() is None
    assert machine.started[0].done == ["killed", "waited"]
    assert TypeTable(tmp_path / "types").get(b"d" * 32) == TIMED_OUT
    assert (tmp_path / "watch").read_bytes() == bytes(WATCH_BYTES)
    assert [machine.child.heard()["types"], machine.child.heard()["job"]] == ["plain", 2]
    machine.child.say(job=2, profile=LayerProfile(status="ok").to_json())
    assert busy.poll().status == "ok"


def test_other_contents_have_clocks_of_their_own(busy, machine, tmp_path):
    for sequence, digest in ((1, b"a"), (2, b"b"), (3, b"b"), (0, b"b"), (0, b"b"), (4, b"b")):
        watched(tmp_path, sequence, digest * 32)
        machine.now += 1
        machine.cpu += 3
        assert busy.poll() is None
    assert len(machine.started) == 1


def time_out(busy, machine, tmp_path, sequence: int):
    watched(tmp_path, sequence)
    machine.now += 1
    assert busy.poll() is None
    machine.now += 1
    machine.cpu += 3
    return busy.poll()


def test_a_layer_with_many_such_contents_is_given_up(busy, machine, tmp_path):
    for number in range(16):
        assert time_out(busy, machine, tmp_path, number + 1) is None
    row = time_out(busy, machine, tmp_path, 17)
    assert (row.stage, row.cause) == ("type", "limit_time")
    assert row.message == "libmagic timed out on more than 16 of its files"
    # The next layer begins to count anew
    busy.begin(JOB)
    for number in range(16):
        assert time_out(busy, machine, tmp_path, number + 1) is None


def test_a_child_whose_cpu_time_is_unknown_has_used_none(machine, tmp_path, monkeypatch):
    def gone(pid):
        raise FileNotFoundError

    monkeypatch.setattr(programs, "process_stat", gone)
    child = Child(LIMITS)
    child.set_up("none", tmp_path / "types", tmp_path / "watch")
    child.begin(JOB)
    machine.now += 100
    assert child.poll() is None
    machine.now += 1
    assert "101 s without any progress" in child.poll().message
    child.close()


def test_closing_ends_the_process_and_the_table(machine, tmp_path):
    child = Child(LIMITS)
    child.close()
    assert machine.child.done == ["killed", "waited"]
    child = Child(LIMITS)
    child.set_up("none", tmp_path / "types", tmp_path / "watch")
    before = len(os.listdir("/proc/self/fd"))
    child.close()
    # Both ends of the socket, and the two files of the table
    assert len(os.listdir("/proc/self/fd")) == before - 4


def test_a_child_has_neither_secrets_nor_the_variables_of_a_rank(machine, monkeypatch):
    for name in ("REMETRICS_PASSWORD", "PMI_RANK", "PMIX_ID", "OMPI_X", "MPIR_X", "HYDRA_X"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MPICH_X", "kept")
    Child(LIMITS)
    names = set(machine.child.environment)
    assert "MPICH_X" in names and "PATH" in names
    assert not names & {"REMETRICS_PASSWORD", "PMI_RANK", "PMIX_ID", "OMPI_X", "MPIR_X", "HYDRA_X"}


def test_peak_memory_is_the_greatest_of_this_process_and_those_before(machine, monkeypatch):
    child = Child(LIMITS)
    children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert child.peak_memory == children  # there is no process of this id
    machine.child.pid = os.getpid()
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    usage = SimpleNamespace(ru_maxrss=7)
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    assert child.peak_memory >= peak * 1024 > 7 * 1024
    assert child.peak_memory < 4 * peak * 1024
    usage.ru_maxrss = 1 << 40
    assert child.peak_memory == 1 << 50
    assert child.pid == os.getpid()
    assert child.fileno() >= 0
