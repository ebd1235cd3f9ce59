"""Datasets are read, drawn and exported on other systems, where most packages are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import Runs

from hpc_remetrics.cli import _missing

TESTS = Path(__file__).resolve().parents[1]

CODE = """
import shlex
import sys
from support.other_system import hide

hide()
import hpc_remetrics
from hpc_remetrics.cli import main

with hpc_remetrics.open("truth.h5") as data:
    print(data.contents.frame(["digest", "size"])["size"].sum())
for command in sys.argv[1:]:
    if code := main(shlex.split(command)):
        sys.exit(code)
"""


def elsewhere(directory: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands, one after the other, in a process that is like one on another system."""
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", CODE, *commands]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True)


@pytest.mark.slow
def test_a_dataset_is_read_drawn_and_exported(truth, runs: Runs):
    shutil.copy(truth, runs.directory / "truth.h5")
    result = elsewhere(
        runs.directory,
        "report truth.h5",
        "compare truth.h5 truth.h5",
        "report truth.h5 --html page.html",
        "plot truth.h5 --figure 14 --data -o figures",
        "export truth.h5 -o elsewhere",
        "export truth.h5 --format csv --table layers -o elsewhere",
        "export truth.h5 --format seed2017 -o elsewhere/2017",
        "export truth.h5 --format hdf5 --anonymous -o anonymous.h5",
    )
    assert result.returncode == 0, result.stderr

    # The numbers and files are those of Linux
    assert runs.run(runs.command("report", "truth.h5")).stdout in result.stdout
    runs.run(runs.command("export", "truth.h5", "-o", "here"))
    tables = sorted(path.name for path in (runs.directory / "here").rglob("*.parquet"))
    assert "contents.parquet" in tables
    for path in (runs.directory / "here").rglob("*.parquet"):
        other = runs.directory / "elsewhere" / path.relative_to(runs.directory / "here")
        assert other.read_bytes() == path.read_bytes()
    written = {path.name for path in runs.directory.rglob("*") if path.is_file()}
    assert {"page.html", "layers.csv", "image_mapper.json"} <= written
    assert sorted(path.suffix for path in (runs.directory / "figures").iterdir()) == [
        *(".csv", ".pdf", ".png", ".svg"),
    ]


def test_a_command_for_linux_says_so(capsys):
    assert _missing(ModuleNotFoundError("No module named 'fcntl'", name="fcntl")) == 2
    said = capsys.readouterr().err
    assert "this command runs on Linux; report, plot, export and compare run anywhere" in said
