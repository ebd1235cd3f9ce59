"""What holds for all tests."""

import pytest


def pytest_collection_modifyitems(items):
    """Give the serial tests to one worker of pytest-xdist, so that none runs beside another."""
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))
