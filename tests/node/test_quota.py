"""The scratch quota of a node, by bytes and layers of a size; what dead ranks took comes back."""

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys

import pytest

from hpc_remetrics.errors import BlobError
from hpc_remetrics.limits import NODE_LAYERS
from hpc_remetrics.node import quota as quota_module
from hpc_remetrics.node.quota import ScratchQuota
from hpc_remetrics.node.scratch import Scratch

MB = 10**6


@pytest.fixture
def tiers(tmp_path):
    for name in ("memory", "disk"):
        (tmp_path / name).mkdir()
    return [tmp_path / "memory", tmp_path / "disk"]


@pytest.fixture
def scratch(tiers):
    made = Scratch("a", 0, tiers, {tiers[0]: 100 * MB, tiers[1]: 10_000 * MB})
    yield made
    made.close()
    assert [list(tier.iterdir()) for tier in tiers] == [[], []]


def tier_of(grant, tiers):
    return next(number for number, tier in enumerate(tiers) if grant.path.is_relative_to(tier))


def test_the_first_tier_up_to_its_room_and_the_next_beyond(scratch, tiers):
    grants = [scratch.grant(40 * MB) for _ in range(3)]
    assert [tier_of(grant, tiers) for grant in grants] == [0, 0, 1]
    assert tier_of(scratch.grant(500 * MB), tiers) == 1
    grants[0].release()
    assert tier_of(scratch.grant(30 * MB), tiers) == 0


def test_ranks_of_a_node_share_the_quota(scratch, tiers):
    other = Scratch("a", 1, tiers)
    held = [scratch.grant(45 * MB), other.grant(45 * MB)]
    assert [tier_of(grant, tiers) for grant in (*held, other.grant(45 * MB))] == [0, 0, 1]
    assert held[0].path != held[1].path
    other.close()


def test_as_many_layers_of_a_size_at_once_as_the_2017_tool_had_workers(scratch):
    sizes = (MB, 60 * MB, 1_100 * MB, 2_001 * MB)
    for size, most in zip(sizes, NODE_LAYERS, strict=True):
        grants = []
        while grant := scratch.grant(size):
            grants.append(grant)
            if size * len(grants) > 8_000 * MB:
                break
        assert len(grants) == min(most, -(-8_001 * MB // size))
        for one in grants:
            one.release()


def test_a_layer_too_big_for_every_tier_is_told_apart_from_one_that_waits(scratch):
    first = scratch.grant(9_000 * MB)
    assert scratch.grant(9_000 * MB) is None
    with pytest.raises(BlobError) as caught:
        scratch.grant(10_001 * MB)
    assert caught.value.cause == "no_room"
    assert "memory: 100000000" in str(caught.value)
    first.release()
    assert scratch.grant(9_000 * MB) is not None


def test_release_removes_files_and_trees_that_forbid_it(scratch, monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o750)
    file, tree = scratch.grant(MB), scratch.grant(MB)
    file.path.write_text("x")
    (tree.path / "a" / "b").mkdir(parents=True)
    (tree.path / "link").symlink_to(elsewhere)
    (tree.path / "a").chmod(0o000)
    changed = []
    chmod = os.chmod
    monkeypatch.setattr(os, "chmod", lambda *what: changed.append(what) or chmod(*what))
    for grant in (file, tree, file):
        grant.release()
    assert not file.path.exists()
    assert not tree.path.exists()
    assert elsewhere.is_dir()
    # No link is followed: what it names keeps its mode.
    assert changed == [(str(tree.path / "a"), 0o700), (str(tree.path / "a" / "b"), 0o700)]


TAKE = """
import sys, time
from pathlib import Path
from hpc_remetrics.node.quota import ScratchQuota
quota = ScratchQuota(Path(sys.argv[1]), [1000], [1000] * 4)
while True:
    if taken := quota.take(10, 0):
        print("took", flush=True)
        if len(sys.argv) > 2:
            time.sleep(60)
        quota.give_back(taken[0])
"""


def test_what_a_killed_rank_took_comes_back(tmp_path):
    quota = ScratchQuota(tmp_path / "quota", [1000], [1000] * 4)
    command = [sys.executable, "-c", TAKE, tmp_path / "quota", "hold"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"took\n"
        assert quota.taken() == [10]
        process.kill()
    assert quota.taken() == [0]


@pytest.mark.slow
def test_kills_in_the_midst_leave_the_quota_whole(tmp_path):
    """Processes that take and give back without end are killed at random moments."""
    rng = random.Random(3)
    quota = ScratchQuota(tmp_path / "quota", [1000], [1000] * 4)
    for _ in range(15):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", TAKE, tmp_path / "quota"], stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        for process in processes:
            process.stdout.read(1 + rng.randrange(2000))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        slot, _ = quota.take(1000, 0)
        quota.give_back(slot)
    assert quota.taken() == [0]


@pytest.mark.slow
def test_a_lock_that_is_not_given_back_is_no_room_and_no_hang(tmp_path):
    quota = ScratchQuota(tmp_path / "quota", [1000], [1000] * 4)
    hold = (
        "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2)\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path / "quota"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        assert quota.take(1, 0) is None
        process.kill()
    assert quota.take(1, 0) is not None


def test_room_is_counted_by_tier_and_layers_by_bucket(tmp_path):
    quota = ScratchQuota(tmp_path / "quota", [100, 1000], [2, 1, 1, 1])
    assert quota.rooms == (100, 1000)
    assert quota.take(60, 0) == (0, 0)
    assert quota.take(40, 1) == (1, 0)
    assert quota.take(1, 2) == (2, 1)
    assert quota.take(1, 1) is None
    assert quota.taken() == [100, 1]
    quota.give_back(0)
    assert quota.taken() == [40, 1]
    assert quota.take(61, 0) == (0, 1)
    assert quota.take(60, 0) == (3, 0)
    assert quota.take(1, 0) is None
    assert quota.take(939, 3) is None
    quota.close()


def test_the_rooms_of_the_first_rank_count(tmp_path):
    first = ScratchQuota(tmp_path / "quota", [100, 200], [1] * 4)
    first.take(10, 0)
    second = ScratchQuota(tmp_path / "quota", [7, 7], [2] * 4)
    assert second.rooms == (100, 200)
    assert second.taken() == [10, 0]
    assert (tmp_path / "quota").stat().st_mode & 0o777 == 0o600
    first.close()
    second.close()


def test_there_are_as_many_slots_as_the_file_has(tmp_path, monkeypatch):
    monkeypatch.setattr(quota_module, "_SLOTS", 3)
    quota = ScratchQuota(tmp_path / "quota", [100], [9] * 4)
    assert [quota.take(1, 0) for _ in range(4)] == [(0, 0), (1, 0), (2, 0), None]
    quota.give_back(1)
    assert quota.take(1, 0) == (1, 0)


def test_what_a_process_of_the_same_number_took_before_comes_back(tmp_path):
    """A number of a process comes again; when it began tells the two apart."""
    quota = ScratchQuota(tmp_path / "quota", [100], [9] * 4)
    quota._process_began -= 1
    assert quota.take(100, 0) == (0, 0)
    assert quota.taken() == [0]
    quota._process_began += 1
    assert quota.take(100, 0) == (0, 0)
    assert quota.taken() == [100]


def test_a_lock_is_waited_for_a_while_and_then_there_is_no_room(tmp_path, monkeypatch):
    quota = ScratchQuota(tmp_path / "quota", [1000], [1000] * 4)
    now = [100.0]
    sleeps = []

    def sleep(seconds):
        sleeps.append(seconds)
        now[0] += 0.25
        if len(sleeps) == given_back_after:
            fcntl.flock(held, fcntl.LOCK_UN)

    monkeypatch.setattr(quota_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(quota_module.time, "sleep", sleep)
    with open(tmp_path / "quota") as held:
        # Whoever holds the lock gives it back after a second, or doesn't.
        for given_back_after, taken in ((4, (0, 0)), (100, None)):  # noqa: B007 (read by `sleep`)
            sleeps.clear()
            fcntl.flock(held, fcntl.LOCK_EX)
            assert quota.take(1, 0) == taken
            assert sleeps == [0.001] * (4 if taken else 5)
        with pytest.raises(OSError, match="the scratch quota of the node stays locked"):
            ScratchQuota(tmp_path / "quota", [1000], [1000] * 4)
    # The lock was given back each time.
    assert quota.take(1, 0) == (1, 0)
    quota.close()


def test_closing_leaves_no_file_open(tmp_path, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    quota = ScratchQuota(tmp_path / "quota", [1000], [1000] * 4)
    quota.close()
    monkeypatch.setattr(quota_module.os, "posix_fallocate", fail)
    with pytest.raises(OSError, match="no room"):
        ScratchQuota(tmp_path / "other", [1000], [1000] * 4)
    assert len(os.listdir("/proc/self/fd")) == before


def fail(*_):
    raise OSError(errno.ENOSPC, "no room")


def test_what_a_dead_process_held_is_freed_for_good(tmp_path):
    quota = ScratchQuota(tmp_path / "quota", [100], [9] * 4)
    quota._process = 2**31 - 5
    assert quota.take(100, 0) == (0, 0)
    quota._process = os.getpid()
    assert quota.take(50, 0) == (0, 0)
    assert quota.take(50, 1) == (1, 0)
    assert quota.taken() == [100]


def test_too_many_tiers(tmp_path):
    ScratchQuota(tmp_path / "quota", [1] * 8, [1] * 4).close()
    with pytest.raises(ValueError, match="at most 8 tiers, got 9"):
        ScratchQuota(tmp_path / "other", [1] * 9, [1] * 4)
