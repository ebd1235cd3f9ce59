"""Modules that processes load: only what they need, as all ranks start from one file system."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REGISTRY = {"requests", "urllib3", "ssl", "email", "http", "idna", "charset_normalizer"}
DRAWING = {"matplotlib", "pandas", "pyarrow", "xarray"}
NEVER = {*REGISTRY, *DRAWING, "numpy.ma", "importlib.metadata", "multiprocessing", "hypothesis"}

RUN = """
import json, os, sys
from pathlib import Path
from hpc_remetrics.mpi import job

connect = job.connect
loaded = {}

def noted(*words):
    loaded["start"] = sorted(sys.modules)
    return connect(*words)

job.connect = noted
directory = Path(sys.argv.pop(1))
from hpc_remetrics.__main__ import main
code = main()
loaded["end"] = sorted(sys.modules)
(directory / os.environ.get("PMI_RANK", "0")).write_text(json.dumps(loaded))
sys.exit(code)
"""
"""Runs the program, and notes which modules it has loaded before MPI starts, and at the end."""

pytestmark = pytest.mark.slow


def loaded_by(code: str) -> set[str]:
    """Return the modules that a new process has loaded after some code."""
    words = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", words], capture_output=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--version"], ["analyze", "--help"], ["report", "--help"]])
def test_help_loads_neither_numpy_nor_a_client(words):
    loaded = loaded_by(f"from hpc_remetrics.cli import main; main({words!r})")
    # The metadata of packages, in which commands of others are found, is parsed by `email`.
    assert not loaded & {*REGISTRY, *DRAWING, "numpy", "h5py"} - {"email"}


def test_a_child_starts_without_numpy():
    loaded = loaded_by("import hpc_remetrics.profile.child")
    assert not loaded & {*NEVER, "numpy", "h5py"}


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_rank_loads_what_its_run_needs(runs, layout, tmp_path, ranks):
    directory = tmp_path / "loaded"
    directory.mkdir()
    command = runs.analyze(f"oci:{layout}", "out.h5", ranks=ranks if ranks > 1 else 0)
    at = command.index("-m")
    runs.run([*command[:at], "-c", RUN, str(directory), *command[at + 2 :]])
    for rank in range(ranks):
        loaded = json.loads((Path(directory) / str(rank)).read_text())
        assert not set(loaded["start"]) & {*NEVER, "h5py", "hpc_remetrics.profile.layer"}
        assert not set(loaded["end"]) & NEVER
        assert {"h5py", "hpc_remetrics.metrics.compute"} <= set(loaded["end"])
