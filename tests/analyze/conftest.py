"""Real parts of a run, small and in one process: scratch, the table of types, a child, layers."""

import hashlib
import time

import pytest

from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.limits import Limits
from hpc_remetrics.node.scratch import Scratch
from hpc_remetrics.profile.parent import Child
from hpc_remetrics.records import Digest, Layer


@pytest.fixture
def made_layers():
    """Return a function that makes layers of the sizes 0, 1, 2 … MB."""

    def make(count: int) -> list[Layer]:
        return [
            Layer(Digest(hashlib.sha256(str(n).encode()).digest()), n * 10**6, "oci_tar_gzip")
            for n in range(count)
        ]

    return make


@pytest.fixture
def scratch(tmp_path):
    """Scratch of 64 MiB in one tier."""
    tier = tmp_path / "tier"
    tier.mkdir()
    made = Scratch("test", 0, [tier], {tier: 64 << 20})
    yield made
    made.close()


@pytest.fixture
def table(tmp_path):
    """A small table of types with nothing but the fixed descriptions in it."""
    made = TypeTable(tmp_path / "types", 16)
    yield made
    made.close()


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    """A child that types nothing, for all tests of a module; they leave it idle."""
    made = _child(tmp_path_factory.mktemp("child"))
    yield made
    made.close()


@pytest.fixture
def own_child(tmp_path):
    """A child of one test, which may abandon or kill it."""
    made = _child(tmp_path)
    yield made
    made.close()


def _child(directory):
    child = Child(Limits())
    child.set_up("none", directory / "table", directory / "watch")
    return child


@pytest.fixture
def wait():
    """Return a function that waits until another one returns something, and returns that."""

    def wait_for(function, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if result := function():
                return result
            time.sleep(0.001)
        raise AssertionError(f"nothing came within {seconds} s")

    return wait_for
