"""The programs that tests call."""

import os
import shutil
import sysconfig

import pytest


def need(tool: str) -> str:
    """Return the path of a tool; without it the test fails in CI and is skipped elsewhere."""
    found = shutil.which(tool, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    if not found:
        pytest.fail(f"{tool} is not installed") if os.environ.get("CI") else pytest.skip(f"{tool} is not installed")
    return str(found)
