"""What holds for all tests."""

import os

import pytest
from hypothesis import settings

# In CI the same examples each time: a change is judged by what it changed. Elsewhere new ones, to find more.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items):
    """Give the serial tests to one worker of pytest-xdist, so that none runs beside another."""
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))
