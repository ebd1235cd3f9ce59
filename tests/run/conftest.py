"""Whole runs of the command on small real images."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


def need(tool: str) -> str:
    """Return the path of a tool; without it the test fails in CI and is skipped elsewhere."""
    found = shutil.which(tool, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    if not found:
        pytest.fail(f"{tool} is not installed") if os.environ.get("CI") else pytest.skip(f"{tool} is not installed")
    return str(found)


class Runs:
    """Runs the program in one folder, with scratch of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def command(self, *arguments: object, ranks: int = 0) -> list[str]:
        launcher = [need("mpirun"), "-n", str(ranks)] if ranks else []
        return [*launcher, sys.executable, "-m", "hpc_remetrics", *map(str, arguments)]

    def analyze(self, source: object, output: object, *options: object, ranks: int = 0) -> list[str]:
        return self.command("analyze", source, "-o", output, "--scratch", self.scratch, *options, ranks=ranks)

    def run(self, command: list[str], code: int = 0, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=self.folder)
        assert result.returncode == code, f"{result.returncode}, wanted {code}\n{result.stdout}\n{result.stderr}"
        return result


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


@pytest.fixture(scope="session")
def truth(tmp_path_factory, layout) -> Path:
    """The dataset of an undisturbed run without MPI."""
    runs = Runs(tmp_path_factory.mktemp("truth"))
    runs.run(runs.analyze(f"oci:{layout}", runs.folder / "truth.h5"))
    return runs.folder / "truth.h5"


@pytest.fixture
def same():
    """Return a function that fails unless two datasets are equal in every table outside /run."""

    def compare(one: Path, other: Path) -> None:
        command = [need("h5diff"), "-v", "--exclude-path", "/run", str(one), str(other)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr

    return compare


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    """An OCI layout of real files of this machine: three images that share layers, in gzip, zstd and plain tar."""
    need("zstd")
    return build_layout(tmp_path_factory.mktemp("layout"))


def build_layout(folder: Path) -> Path:
    import importlib.util

    spec = importlib.util.spec_from_file_location("build_layout", Path(__file__).with_name("build_layout.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(folder)
