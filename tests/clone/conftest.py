"""A fresh copy of the repository, as a user has it after the first command of the README."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_LEFT_OUT = (".git", ".venv", ".setup.*", "*.egg-info", "build", "__pycache__", ".*_cache", "*.h5*")


@dataclass(frozen=True)
class Clone:
    """A clone named `hpc_remetrics` in the directory `above`, its environment made by the quick
    start."""

    above: Path

    @property
    def root(self) -> Path:
        return self.above / "hpc_remetrics"

    def shell(self, command: str, directory: Path) -> subprocess.CompletedProcess[str]:
        """Run a line of a page as a user does who has activated the environment."""
        return subprocess.run(
            ["bash", "-c", f". {self.root}/.venv/bin/activate && {command}"],
            cwd=directory,
            env=_plain_environment(self.above),
            capture_output=True,
            text=True,
            timeout=600,
        )


def _plain_environment(home: Path) -> dict[str, str]:
    """Return an environment with nothing of the tests' own, but what pip needs to find its
    index."""
    ours = ("REMETRICS_", "PYTHON", "VIRTUAL_ENV", "PMI_", "OMPI_", "SLURM_", "PYTEST_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    (home / "home").mkdir(exist_ok=True)
    return {
        **kept,
        "HOME": str(home / "home"),
        "PIP_CACHE_DIR": kept.get("PIP_CACHE_DIR", _pip_cache()),
    }


def _pip_cache() -> str:
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pip"))


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> Clone:
    """Return the clone after `scripts/quickstart`, and nothing else."""
    made = Clone(tmp_path_factory.mktemp("above"))
    shutil.copytree(ROOT, made.root, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    environment = _plain_environment(made.above)
    result = subprocess.run(
        ["scripts/quickstart"],
        cwd=made.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return made
