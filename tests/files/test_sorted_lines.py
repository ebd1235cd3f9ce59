"""Lines are sorted, in memory or in runs on disk."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.files.sorted_lines import SortedLines


@pytest.mark.slow
@given(st.lists(st.text("abc ", max_size=4), max_size=40), st.integers(1, 400))
def test_lines_are_sorted_whatever_fits_into_memory(tmp_path_factory, lines, run):
    directory = tmp_path_factory.getbasetemp()
    assert list(SortedLines(directory, iter(lines), run)) == sorted(lines)


@pytest.mark.parametrize("run", [1, 52, 102, 150, 10_000])
def test_runs_on_disk_are_merged_as_often_as_asked(tmp_path, run):
    lines = ["ü8", "a3", "b1", "a3", "c", "b0", "", "a1"]
    found = SortedLines(tmp_path, iter(lines), run)
    assert list(found) == sorted(lines)
    # More lines can come afterwards.
    for line in ("b2", "a0"):
        found.add(line)
    assert list(found) == list(found) == sorted([*lines, "b2", "a0"])
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_made_when_memory_is_full_and_no_sooner(tmp_path):
    open_before = len(os.listdir("/proc/self/fd"))
    missing = tmp_path / "missing"
    # Five lines of two bytes and a line end, each counted for 48 bytes more.
    lines = SortedLines(missing, ["a1"] * 4, 255)
    assert list(lines) == ["a1"] * 4
    with pytest.raises(FileNotFoundError):
        lines.add("a2")
    lines = SortedLines(tmp_path, ["a1"] * 50, 255)
    assert len(list(lines)) == 50
    assert len(os.listdir("/proc/self/fd")) == open_before + 1
    del lines
    assert len(os.listdir("/proc/self/fd")) == open_before
