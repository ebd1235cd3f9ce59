"""Whole runs of the command on small real images."""

import subprocess
from pathlib import Path

import pytest
from support.tools import need


@pytest.fixture
def same():
    """Return a function that fails unless two datasets are equal in every table outside /run."""

    def compare(one: Path, other: Path) -> None:
        command = [need("h5diff"), "-v", "--exclude-path", "/run", str(one), str(other)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr

    return compare
