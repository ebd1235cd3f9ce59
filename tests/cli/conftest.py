"""Runs of the command line in an empty directory, without the settings of this machine."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Shell:
    """Runs the program in a directory of its own."""

    directory: Path
    environ: dict[str, str]

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hpc_remetrics", *arguments],
            cwd=self.directory,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def clean_environ(tmp_path):
    """Return an environment without settings, whose home is empty."""
    drop = ("REMETRICS_", "XDG_CONFIG_HOME", "PMI_", "OMPI_", "SLURM_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    home = tmp_path / "home"
    home.mkdir()
    return {
        **environ,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


@pytest.fixture
def shell(tmp_path, clean_environ):
    directory = tmp_path / "here"
    directory.mkdir()
    return Shell(directory, clean_environ)
