"""Tiers of scratch: where it may be, and how much of a tier layers may take."""

import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc_remetrics.node import tiers
from hpc_remetrics.node.tiers import (
    default_tiers,
    grantable_room,
    is_memory,
    memory_limits,
    room,
    table_room,
)

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
/dev/sdb1 /dev/shm/disk xfs rw 0 0
none /ram ramfs rw 0 0
/dev/sda2 /over ext4 rw 0 0
tmpfs /over tmpfs rw 0 0
"""


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "mounts").write_text(MOUNTS)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("/tmp", False),
        ("/dev/shm", True),
        ("/dev/shm/job", True),
        ("/dev/shmother", False),
        ("/dev/shm/disk/job", False),
        ("/ram/x", True),
        ("/over/x", True),
    ],
)
def test_the_deepest_and_last_mount_says_whether_a_path_is_in_memory(proc, path, result):
    assert is_memory(Path(path), proc) is result
    assert is_memory(Path(path), proc / "missing") is False


def group(top, name, value):
    top.mkdir(parents=True, exist_ok=True)
    (top / name).write_text(value)


def test_limits_of_control_groups_of_version_2(tmp_path):
    (tmp_path / "cgroup").write_text("0::/slurm/job_7/step_0\n")
    top = tmp_path / "groups"
    group(top / "slurm" / "job_7" / "step_0", "memory.max", "max\n")
    group(top / "slurm" / "job_7", "memory.max", "4000\n")
    group(top / "slurm", "memory.max", "9000\n")
    assert memory_limits(tmp_path, top) == [4000, 9000]


def test_limits_of_control_groups_of_version_1(tmp_path):
    (tmp_path / "cgroup").write_text("5:cpu,memory:/job:1\n4:cpuset:/job\n1:name=systemd:/x\n")
    top = tmp_path / "groups"
    group(top / "memory" / "job:1", "memory.limit_in_bytes", "5000\n")
    group(top / "job", "memory.max", "1\n")
    assert memory_limits(tmp_path, top) == [5000]
    assert memory_limits(tmp_path / "missing", top) == []


@pytest.mark.parametrize(
    ("in_memory", "limits", "result"),
    [
        (False, [100], 1000),
        (True, [], 500),
        (True, [600, 2000], 300),
        (True, [5000], 500),
    ],
)
def test_of_memory_half_is_left_to_the_ranks(monkeypatch, in_memory, limits, result):
    monkeypatch.setattr(tiers, "is_memory", lambda path: in_memory)
    monkeypatch.setattr(tiers, "memory_limits", lambda: limits)
    monkeypatch.setattr(tiers, "room", lambda path: 1000)
    assert grantable_room(Path("/x")) == result


@pytest.mark.parametrize(
    ("in_memory", "limits", "share", "free", "result"),
    [
        (False, [4000], 1, 10**9, 0),
        (True, [], "1/10", 10**9, 1000),
        (True, [4000, 8000], "1/10", 10**9, 400),
        (True, [20_000], "1/10", 10**9, 1000),
        (True, [4000], "1/10", 1203, 300),
        (True, [4000], 0, 1203, 0),
    ],
)
def test_room_of_a_table(monkeypatch, in_memory, limits, share, free, result):
    """A share of the memory of the node (10,000 bytes) or of the job; a quarter of what is free."""
    monkeypatch.setattr(tiers, "is_memory", lambda path: in_memory)
    monkeypatch.setattr(tiers, "memory_limits", lambda: limits)
    monkeypatch.setattr(tiers, "room", lambda path: free)
    sizes = {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 100}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    assert table_room(Path("/x"), Fraction(share)) == result


def test_free_bytes_are_those_of_an_ordinary_user(monkeypatch):
    status = SimpleNamespace(f_bavail=10, f_frsize=4096, f_bfree=20, f_bsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: status)
    assert room(Path("/x")) == 40960


def test_the_tiers_that_are_used_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(tiers, "_TMPFS", tmp_path / "memory")
    monkeypatch.setattr(tiers.tempfile, "gettempdir", lambda: str(tmp_path))
    assert default_tiers() == [tmp_path]
    (tmp_path / "memory").mkdir()
    assert default_tiers() == [tmp_path / "memory", tmp_path]
