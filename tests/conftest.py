"""Fixtures and options of all tests."""

import logging
import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import small_images
from support.runs import Runs
from support.small_chunks import use_small_chunks
from support.tools import need

from hpc_remetrics.mpi.signals import STOP_SIGNALS

# How long an example takes says how busy the machine is, so no test fails for it. In CI the same
# examples are drawn each time: a change is judged by what it changed. Elsewhere new ones find more.
settings.register_profile(
    "all",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.register_profile("fast", settings.get_profile("all"), max_examples=20)
settings.load_profile("all")


WHOLE_PROGRAM = {"clone", "fuzz", "images", "kills", "run", "slurm"}
"""Directories whose tests run the whole program, for seconds each."""

SLOW_MODULE = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests of the whole program as slow."""
    for item in items:
        if item.path.parent.name in WHOLE_PROGRAM:
            item.add_marker(pytest.mark.slow)


def pytest_ignore_collect(collection_path, config):
    """Don't even import modules that have slow tests alone, where those are left out."""
    if config.option.markexpr != "not slow":
        return None
    if collection_path.name in WHOLE_PROGRAM:
        return True
    is_module = collection_path.suffix == ".py"
    return (is_module and SLOW_MODULE.search(collection_path.read_text()) is not None) or None


def pytest_make_parametrize_id(val, argname):
    """Name long bytes by their argument: compressed data may hold the time of day, and all workers
    must collect tests of the same names."""
    return argname if isinstance(val, bytes) and len(val) > 16 else None


@pytest.fixture(autouse=True)
def logging_of_one_test():
    """Put back what a command that runs in this process changes of its log: handlers and level."""
    logger = logging.getLogger("hpc_remetrics")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture
def no_login_of_this_machine(tmp_path_factory, monkeypatch):
    """Keep a test from what somebody is logged in to, and from proxies."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    prefixes = ("REGISTRY_", "DOCKER_", "XDG_", "REMETRICS_")
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(prefixes):
            monkeypatch.delenv(name)


@pytest.fixture
def signal_handlers():
    """Give this process the signal handlers back that a run in it replaces."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


@pytest.fixture
def small_chunks(monkeypatch):
    """Make blocks of rows small."""
    use_small_chunks(monkeypatch)


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    """An OCI layout of real files of this machine: three images that share layers, in gzip, zstd
    and plain tar."""
    need("zstd")
    return small_images.build(tmp_path_factory.mktemp("layout"))


@pytest.fixture(scope="session")
def truth(tmp_path_factory, layout) -> Path:
    """The dataset of an undisturbed run without MPI."""
    runs = Runs(tmp_path_factory.mktemp("truth"))
    runs.run(runs.analyze(f"oci:{layout}", runs.directory / "truth.h5"))
    return runs.directory / "truth.h5"
