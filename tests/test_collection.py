"""Tests have the same names whenever, and in whichever process, they are collected."""

import os
import subprocess
import sys

import pytest

LATER = """
import time

now = time.time
time.time = lambda: now() + 100_000
"""


@pytest.mark.slow
def test_names_of_tests_do_not_depend_on_the_time_of_day(request, tmp_path):
    """Two workers of pytest-xdist run nothing if their lists of tests differ."""
    (tmp_path / "later.py").write_text(LATER)
    command = [sys.executable, "-m", "pytest", "-p", "later", "--collect-only", "-q", "-n", "0"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": ""}
    root = request.config.rootpath
    listed = subprocess.check_output(command, env=environ, cwd=root, text=True, timeout=600)
    assert {_name(item) for item in request.session.items} <= set(listed.splitlines())


def _name(item: pytest.Item) -> str:
    """Return the name of a test without the group that pytest-xdist adds to it."""
    groups = {mark.args[0] for mark in item.iter_markers("xdist_group")}
    return item.nodeid.removesuffix("@" + "_".join(sorted(groups)))


@pytest.mark.xdist_group("one worker")
def test_tests_of_a_group_run_on_one_worker(request):
    """pytest-xdist tells its workers by the name of a test which group the test belongs to; with
    another pytest than it knows it fails to, and each worker sets up what the group shares."""
    if request.config.getoption("loadgroup", False):
        assert request.node.nodeid.endswith("@one worker")
