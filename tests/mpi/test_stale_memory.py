"""Shared memory that killed jobs left is removed, and what lives or is new is not."""

import mmap
import os
import time

import pytest

from hpc_remetrics.mpi import stale_memory
from hpc_remetrics.mpi.stale_memory import remove_stale_segments


@pytest.fixture
def segment(tmp_path, monkeypatch):
    """Makes segments in `tmp_path`, as old as if they were made before the launcher began."""
    monkeypatch.setattr(stale_memory, "_began", lambda process: time.time() + 100)

    def make(name):
        path = tmp_path / name
        path.write_bytes(bytes(4096))
        return path

    return make


def test_old_segments_are_removed_and_other_files_stay(segment, tmp_path):
    old = [segment("mpich_shm_1"), segment("mpich_shm_2")]
    other = segment("other")
    assert remove_stale_segments(tmp_path) == 2
    assert not any(path.exists() for path in old)
    assert other.exists()
    assert remove_stale_segments(tmp_path) == 0


def test_a_segment_that_a_process_has_mapped_stays(segment, tmp_path):
    used, old = segment("mpich_shm_used"), segment("mpich_shm_old")
    with open(used, "r+b") as file, mmap.mmap(file.fileno(), 4096):
        assert remove_stale_segments(tmp_path) == 1
        assert used.exists() and not old.exists()
    assert remove_stale_segments(tmp_path) == 1


@pytest.mark.parametrize(("age", "removed"), [(-1, 0), (1, 0), (3, 1)])
def test_a_segment_must_be_older_than_the_launcher_by_two_ticks(
    tmp_path, monkeypatch, segment, age, removed
):
    path = segment("mpich_shm_1")
    status = path.stat()
    changed = max(status.st_mtime, status.st_ctime)
    began = changed + age * stale_memory._TICK
    monkeypatch.setattr(stale_memory, "_began", lambda process: began)
    assert remove_stale_segments(tmp_path) == removed
    assert path.exists() == (not removed)


def test_another_users_segment_stays(segment, tmp_path, monkeypatch):
    path = segment("mpich_shm_1")
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    assert remove_stale_segments(tmp_path) == 0


def test_when_this_process_began():
    began = stale_memory._began(os.getpid())
    assert began <= time.time()
    # Both may have begun within one tick, and each answer reads the clock anew.
    assert stale_memory._began(os.getppid()) < began + stale_memory._TICK
    assert time.time() - began < 24 * 3600


def test_a_launcher_that_is_gone_is_no_error(tmp_path, monkeypatch):
    def gone(process):
        raise FileNotFoundError

    monkeypatch.setattr(stale_memory, "_began", gone)
    assert remove_stale_segments(tmp_path) == 0
