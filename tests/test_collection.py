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
    assert {item.nodeid for item in request.session.items} <= set(listed.splitlines())
