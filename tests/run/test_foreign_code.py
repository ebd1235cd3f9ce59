"""Modules in the current directory: nothing that the program starts runs them."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import h5py
import pytest

NAMES = (
    *(
        "json",
        "numpy",
        "mpi4py",
        "mmap",
        "ctypes",
        "encodings",
        "socket",
        "errno",
        "hashlib",
        "isal",
        "magic",
    ),
    *(
        "sitecustomize",
        "usercustomize",
        "hpc_remetrics",
        "backports",
        "codecs",
        "os",
        "fcntl",
        "requests",
        "h5py",
    ),
)


@pytest.fixture
def trap(runs):
    """Fill the directory with modules that leave a mark; return the names that left one."""
    marks = runs.directory / "marks"
    marks.mkdir()
    for name in NAMES:
        code = (
            f"import pathlib; pathlib.Path({str(marks / name)!r}).touch()\nraise SystemExit(77)\n"
        )
        package = name in ("mpi4py", "encodings", "backports", "numpy", "h5py")
        path = runs.directory / (f"{name}/__init__.py" if package else f"{name}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    return lambda: sorted(path.name for path in marks.iterdir())


def program() -> str:
    found = Path(sysconfig.get_path("scripts"), "hpc-remetrics")
    if not found.exists():
        pytest.fail("the console script is not installed")
    return str(found)


def run(runs, *words, **environ):
    environment = {**os.environ, "REMETRICS_SCRATCH": str(runs.scratch), **environ}
    return subprocess.run(
        [program(), *map(str, words)],
        cwd=runs.directory,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )


@pytest.mark.slow
def test_the_child_and_the_tool(runs, trap, layout):
    tool = "python3 -I -c 'print(1)' && env > env.txt"
    result = run(
        runs, "analyze", f"oci:{layout}", "-o", "out.h5", "--exec", f"true {{dir}}; {tool}"
    )
    assert (trap(), result.returncode) == ([], 0), result.stderr


@pytest.mark.slow
def test_the_doctors_probes(runs, trap):
    result = run(runs, "doctor")
    assert trap() == []
    for name in ("MPI", "mpirun", "locks"):
        assert any(line.startswith(f"ok    {name} ") for line in result.stdout.splitlines()), (
            result.stdout
        )


@pytest.mark.parametrize("path", ["", ":", "/nonexistent:", ":/nonexistent"])
def test_an_empty_item_of_the_path_is_nobodys_wish(runs, layout, path):
    """The rank follows PYTHONPATH as Python does; its children don't take the empty item along."""
    code = "from hpc_remetrics.programs import module_path; print(*module_path(), sep='\\n')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=runs.directory,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(runs.directory) not in result.stdout.splitlines()


def test_a_directory_that_the_user_names_is_taken(runs):
    code = "from hpc_remetrics.programs import module_path; print(*module_path(), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(runs.directory)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=runs.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(runs.directory) in result.stdout.splitlines()


@pytest.mark.slow
def test_a_users_own_module_costs_no_layer(runs, layout):
    """`python -m` takes a `json.py` of its directory for itself, and the child doesn't."""
    (runs.directory / "json.py").write_text("raise SystemExit('mine')")
    result = run(runs, "analyze", f"oci:{layout}", "-o", "out.h5")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_secrets_reach_neither_child_nor_tool(runs, layout):
    secrets = {
        "REMETRICS_PASSWORD": "geheim1",
        "DOCKER_AUTH_CONFIG": '{"auths": {"x": {"auth": "geheim2"}}}',
    }
    child = (
        "grep -l 'profile.child import [r]un' /proc/[0-9]*/cmdline 2>/dev/null"
        " | sed s/cmdline/environ/ | xargs cat"
    )
    command = f"(env; {child}) >> seen; test -d {{dir}} # geheim3"
    result = run(runs, "analyze", f"oci:{layout}", "-o", "out.h5", "--exec", command, **secrets)
    assert result.returncode == 0, result.stderr
    seen = (runs.directory / "seen").read_bytes()
    assert seen.count(b"PATH=") >= 2
    assert b"geheim" not in seen
    with h5py.File(runs.directory / "out.h5") as file:
        told = str(dict(file["run"].attrs))
    assert "geheim" not in told
    assert "--exec sha256:" in told
