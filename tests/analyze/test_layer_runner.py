"""The layer in hand: through a real child, and a real tool."""

import hashlib
import os
import signal
import time

import pytest
from support.blob_source import tar_of

from hpc_remetrics.analyze.layer_runner import LayerRunner
from hpc_remetrics.analyze.prefetch import Prefetched
from hpc_remetrics.parts.spill_format import read_blocks
from hpc_remetrics.profile.exec_tool import Tool
from hpc_remetrics.records import Digest, Layer
from hpc_remetrics.sources.base import Extent


@pytest.fixture
def blob(tmp_path):
    """Return a function that makes a layer that can be read now."""

    def make(data: bytes, **fields) -> Prefetched:
        digest = Digest(hashlib.sha256(data).digest())
        path = tmp_path / digest.hex
        path.write_bytes(b"before" + data)
        layer = Layer(digest, len(data), "oci_tar")
        return Prefetched(layer, Extent(path, 6, len(data)), **fields)

    return make


@pytest.fixture
def unpacked(blob, scratch):
    """Return a function that makes a layer with room to be unpacked."""

    def make(data: bytes, size: int = 1 << 20) -> Prefetched:
        grant = scratch.grant(size)
        grant.path.mkdir()
        return blob(data, grant=grant, unpacked_bytes=size)

    return make


def finish(runner, wait):
    def take():
        runner.advance()
        return runner.take()

    return wait(take)


def tool(command, seconds=30.0):
    return lambda tree, digest: Tool(command, tree, digest, seconds)


def test_a_layer_comes_back_with_its_row_and_its_entries(child, scratch, blob, wait):
    runner = LayerRunner(child, scratch.path)
    prefetched = blob(tar_of("a", "b"))
    begun = time.monotonic()
    runner.begin(prefetched)
    assert runner.current is prefetched
    assert runner.take() is None
    finished = finish(runner, wait)
    assert finished.prefetched is prefetched
    assert (finished.profile.status, finished.profile.entries) == ("ok", 2)
    assert sum(block.rows for block in read_blocks(finished.spill)) == 2
    assert finished.spill == scratch.path / "1.spill"
    assert 0 < finished.seconds <= time.monotonic() - begun
    assert not finished.lacked_room
    assert runner.current is None and runner.take() is None


def test_each_layer_has_a_spill_of_its_own_and_cpu_time_adds_up(child, scratch, blob, wait):
    runner = LayerRunner(child, scratch.path)
    spills, seconds = [], 0.0
    for number in range(2):
        runner.begin(blob(tar_of(f"{number}")))
        finished = finish(runner, wait)
        spills.append(finished.spill)
        seconds += finished.profile.cpu_seconds
    assert len(set(spills)) == 2 and all(spill.exists() for spill in spills)
    assert runner.cpu_seconds == seconds > 0


def test_a_layer_without_entries_leaves_no_spill(child, scratch, blob, wait):
    runner = LayerRunner(child, scratch.path)
    runner.begin(blob(b"no tar at all" * 100))
    finished = finish(runner, wait)
    assert finished.profile.status == "failed"
    assert finished.spill is None
    assert list(scratch.path.glob("*.spill")) == []


def test_an_idle_child_has_nothing(child, scratch):
    runner = LayerRunner(child, scratch.path)
    assert not runner.advance()
    assert runner.take() is None


def test_a_tool_sees_the_unpacked_layer(child, scratch, unpacked, wait, tmp_path):
    seen = tmp_path / "seen"
    runner = LayerRunner(child, scratch.path, tool(f"ls {{dir}} > {seen}"))
    runner.begin(unpacked(tar_of("a", "b")))
    wait(runner.advance)
    assert runner.take() is None  # the tool still runs
    finished = finish(runner, wait)
    assert finished.profile.status == "ok"
    assert seen.read_text() == "a\nb\n"


def test_a_tool_that_fails_makes_the_layer_partial(child, scratch, unpacked, wait):
    runner = LayerRunner(child, scratch.path, tool("exit 7"))
    runner.begin(unpacked(tar_of("a")))
    profile = finish(runner, wait).profile
    assert (profile.status, profile.stage, profile.cause) == ("partial", "exec", "exec_failed")
    assert profile.message == "the tool ended with exit code 7"
    assert profile.entries == 1


def test_a_partial_layer_keeps_its_own_reason(child, scratch, unpacked, wait):
    runner = LayerRunner(child, scratch.path, tool("exit 7"))
    runner.begin(unpacked(tar_of("a", "b")[:1324]))
    profile = finish(runner, wait).profile
    assert profile.cause not in ("", "exec_failed")


def test_a_tool_that_is_killed_fails_the_layer(child, scratch, unpacked, wait):
    runner = LayerRunner(child, scratch.path, tool("kill -9 $$"))
    runner.begin(unpacked(tar_of("a")))
    finished = finish(runner, wait)
    profile = finished.profile
    assert (profile.status, profile.stage, profile.cause) == ("failed", "exec", "killed")
    assert finished.spill is None


def test_a_failed_layer_is_not_shown_to_the_tool(child, scratch, unpacked, wait, tmp_path):
    runner = LayerRunner(child, scratch.path, tool(f"touch {tmp_path}/called"))
    runner.begin(unpacked(b"no tar at all" * 100))
    assert finish(runner, wait).profile.status == "failed"
    assert not (tmp_path / "called").exists()


def test_without_room_to_unpack_no_tool_is_called(child, scratch, unpacked, wait, tmp_path):
    runner = LayerRunner(child, scratch.path, tool(f"touch {tmp_path}/called"))
    runner.begin(unpacked(tar_of("a", size=100_000), size=4096))
    finished = finish(runner, wait)
    assert finished.lacked_room
    assert not (tmp_path / "called").exists()


def test_a_layer_that_is_not_unpacked_never_lacks_room(child, scratch, blob, wait, tmp_path):
    runner = LayerRunner(child, scratch.path, tool(f"touch {tmp_path}/called"))
    runner.begin(blob(tar_of("a")))
    assert not finish(runner, wait).lacked_room
    assert not (tmp_path / "called").exists()


@pytest.mark.slow
def test_abandon_ends_the_tool(own_child, scratch, unpacked, wait, tmp_path):
    runner = LayerRunner(own_child, scratch.path, tool(f"echo $$ > {tmp_path}/pid; sleep 60"))
    runner.begin(unpacked(tar_of("a")))
    wait(runner.advance)
    wait(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    process = int((tmp_path / "pid").read_text())
    runner.abandon()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert runner.take() is None and runner.current is None


def test_abandon_drops_the_layer_in_hand(own_child, scratch, blob, wait):
    runner = LayerRunner(own_child, scratch.path)
    runner.begin(blob(tar_of("a")))
    runner.abandon()
    assert runner.current is None
    assert own_child._job is None


def test_a_child_that_died_while_it_was_idle_is_replaced(own_child, scratch, wait):
    runner = LayerRunner(own_child, scratch.path)
    before = own_child.pid
    os.kill(before, signal.SIGKILL)
    wait(lambda: runner.advance() or own_child.pid != before)
    assert own_child.pid != before
