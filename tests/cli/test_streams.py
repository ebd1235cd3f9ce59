"""Broken pipes, full disks, old Pythons and missing packages: one line, never a traceback."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    ["--help"],
    ["--version"],
    ["analyze", "--help"],
    ["plan", "oci:layout"],
    ["plan", "oci:layout", "--json"],
)
OLD = [
    *(found for minor in (6, 8, 9) if (found := shutil.which(f"python3.{minor}"))),
    *map(str, sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python"))),
]


@pytest.fixture
def program(shell):
    layout = shell.directory / "layout"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')

    def run(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = f'exec "$@" {redirection}'
        words = ["sh", "-c", script, "sh", sys.executable, "-m", "hpc_remetrics", *arguments]
        return subprocess.run(
            words,
            cwd=shell.directory,
            env=shell.environ,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor")]
)
def test_results_that_can_not_be_written_are_an_error(program, arguments, redirection, reason):
    result = program(redirection, *arguments)
    assert result.returncode == 5
    (line,) = result.stderr.splitlines()
    assert (
        line.startswith("hpc-remetrics: error: can't write to the standard output")
        and reason in line
    )


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&-", "<&- 2>&-"])
def test_nobody_needs_to_read_what_is_remarked(program, redirection):
    result = program(redirection, "plan", "oci:layout")
    assert result.returncode == 0
    assert "0 images, 0 layers" in result.stdout


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_error(shell):
    for arguments in COMMANDS[:3]:
        process = subprocess.Popen(
            [sys.executable, "-m", "hpc_remetrics", *arguments],
            cwd=shell.directory,
            env=shell.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.slow
@pytest.mark.skipif(not OLD, reason="no older Python here")
@pytest.mark.parametrize("python", OLD)
def test_an_older_python_says_so(shell, python):
    result = subprocess.run(
        [python, "-m", "hpc_remetrics", "report", "x.h5"],
        cwd=shell.directory,
        env=shell.environ,
        capture_output=True,
        text=True,
    )
    if result.returncode == 127:
        pytest.skip("a shim without its Python")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "Python 3.10 or newer is needed" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("requests", ["crawl", "catalog:localhost:1", "-o", "x.csv"]),
        ("h5py", ["report", "x.h5"]),
        ("numpy", ["report", "x.h5"]),
    ],
)
def test_a_package_that_is_missing_is_named(shell, tmp_path, name, arguments):
    code = (
        "import runpy, sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {name!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "sys.argv = ['hpc-remetrics', *sys.argv[1:]]\n"
        "runpy.run_module('hpc_remetrics', run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=shell.directory,
        env=shell.environ,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert (
        line.startswith("hpc-remetrics: error: ") and repr(name) in line and "pip install" in line
    )


def first_files() -> list[Path]:
    """Return the files that `python -m hpc_remetrics` runs before it looks at its own version."""
    package = Path(__file__).resolve().parents[2] / "hpc_remetrics"
    waiting = [package / "__init__.py", package / "__main__.py"]
    found: list[Path] = []
    while waiting:
        file = waiting.pop()
        found.append(file)
        for statement in ast.parse(file.read_text()).body:
            if isinstance(statement, ast.ImportFrom) and statement.level:
                assert statement.level == 1
                assert statement.module is not None
                imported = file.parent / f"{statement.module}.py"
                assert imported.exists(), f"{file} imports a package, which imports more"
                if imported not in found:
                    waiting.append(imported)
    return found


def test_the_first_files_are_read_by_any_python_3():
    """No syntax there that an old interpreter would end at, before it can say what is wrong."""
    files = first_files()
    assert [file.name for file in files] == ["__main__.py", "__init__.py", "errors.py"]
    for file in files:
        text = file.read_text()
        assert "from __future__ import annotations" not in text
        tree = ast.parse(text, feature_version=(3, 6))
        for node in ast.walk(tree):
            # Annotations are evaluated: a type with brackets or bars must be a string.
            for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
                assert not isinstance(annotation, ast.Subscript | ast.BinOp), ast.dump(annotation)
