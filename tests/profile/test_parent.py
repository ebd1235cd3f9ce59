"""The child process: whatever happens to it costs the layer in hand, and nothing else."""

import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_format import read_blocks
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
    until = time.monotonic() + 10
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
