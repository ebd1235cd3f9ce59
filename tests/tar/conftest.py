"""Other readers of tar, and ours beside them."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.go_tar import GoTar
from support.profiled import profile_file

from hpc_remetrics.limits import Limits

LARGEST = 64 << 20
"""As in gotar/main.go."""


@pytest.fixture(scope="session")
def go(tmp_path_factory):
    program = GoTar(tmp_path_factory.mktemp("go"))
    yield program
    program.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """A file for the archive in hand (hypothesis does not like directories of a test's own)."""
    return tmp_path_factory.mktemp("archive") / "archive.tar"


@pytest.fixture(scope="session")
def read():
    """Return a function that profiles an archive: its row, and its entries in the words of the Go
    program."""

    def ours(archive: Path) -> SimpleNamespace:
        profile, entries = profile_file(archive, Limits(sparse_bytes=LARGEST))
        return SimpleNamespace(profile=profile, entries=entries)

    return ours
