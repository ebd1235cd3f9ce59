"""Runs on small real images that are killed, stopped and starved."""

import os

import pytest


@pytest.fixture
def sweep():
    """Return how many disturbances a sweep has, of a few by default."""
    return lambda few: int(os.environ.get("TESTS_SWEEP", few))
