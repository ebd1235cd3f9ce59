"""Every mistake of a user gives one line that says what to do, and the right exit code."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hpc_remetrics import __version__

MISTAKES = {
    "no command": ([], 2, "COMMAND"),
    "unknown command": (["analyse"], 2, "analyze"),
    "unknown flag": (["analyze", "--fast"], 2, "--fast"),
    "shortened flag": (["analyze", "--plat", "linux/amd64"], 2, "--plat"),
    "two datasets": (["report", "one.h5", "two.h5"], 2, "two.h5"),
    "missing value": (["analyze", "-o"], 2, "-o"),
    "unknown types": (["analyze", "--types", "all"], 2, "plain"),
    "unknown limit": (["analyze", "--limit", "speed=1"], 2, "layer_seconds"),
    "limit without value": (["analyze", "--limit", "entries"], 2, "NAME=VALUE"),
    "limit not a number": (["analyze", "--limit", "entries=many"], 2, "entries"),
    "limit of nothing": (["analyze", "--limit", "entries=0"], 2, "above 0"),
    "seconds not above 0": (["analyze", "--publish-seconds", "-1"], 2, "above 0"),
    "missing source": (["analyze", "oci:/nowhere"], 2, "/nowhere"),
    "wrong reference": (["analyze", "ftp://x/"], 2, "oci:DIR"),
    "missing settings": (["analyze", "--config", "none.toml"], 2, "none.toml"),
    "output not writable": (["analyze", "oci:/nowhere", "-o", "/dev/null/x.h5"], 5, "-o"),
    "output is a directory": (["analyze", "oci:/nowhere", "-o", "."], 5, "-o"),
    "output is a pipe": (["analyze", "oci:layout", "-o", "pipe"], 5, "pipe"),
    "scratch not writable": (["analyze", "oci:layout", "--scratch", "/dev/null/x"], 5, "--scratch"),
    "plan of nothing": (["plan"], 2, "hpc-remetrics plan oci:"),
    "plan on more nodes than ranks": (["plan", "demo:", "--nodes", "5"], 2, "--nodes"),
    "two forms of a report": (["report", "x.h5", "--json", "--html", "x"], 2, "--html"),
    "no output of a merge": (["merge", "a.h5", "b.h5"], 2, "--output"),
    "unknown table": (["export", "a.h5", "--table", "layer"], 2, "'layers'?"),
    "unknown format": (["plot", "a.h5", "--format", "gif"], 2, "png"),
    "no figure": (["plot", "a.h5", "--figure", "99"], 2, "99"),
    "command after a flag": (["--quiet", "analyze"], 2, "--quiet"),
    "plan of no ranks": (["plan", "oci:/nowhere", "--ranks", "0"], 2, "--ranks"),
    "report of nothing": (["report", "none.h5"], 2, "none.h5"),
    "report of another file": (["report", "notes.txt"], 2, "notes.txt"),
}


@pytest.fixture
def things(shell):
    """Put what the mistakes are about into the directory."""
    (shell.directory / "notes.txt").write_text("not a dataset")
    os.mkfifo(shell.directory / "pipe")
    layout = shell.directory / "layout"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    lines = [
        line for line in result.stderr.splitlines() if line.startswith("hpc-remetrics: error: ")
    ]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "fault of the program" not in result.stderr
    return lines[0]


@pytest.mark.slow
@pytest.mark.usefixtures("things")
def test_sources_may_stand_before_and_after_options(shell):
    result = shell(
        "analyze", "oci:layout", "-o", "x.h5", "oci:layout2", "--types", "none", "dir:layout3"
    )
    assert result.returncode == 2
    assert "layout2" in one_line(result)


@pytest.mark.slow
@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_line(shell, name):
    arguments, code, word = MISTAKES[name]
    result = shell(*arguments)
    assert result.returncode == code, result.stderr
    assert word in one_line(result)
    assert result.stdout == ""


@pytest.mark.slow
def test_debug_adds_the_traceback(shell):
    result = shell("plan", "oci:/nowhere", "--debug")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("hpc-remetrics: error: ")


@pytest.mark.slow
def test_control_characters_of_a_name_dont_reach_the_terminal(shell):
    result = shell("plan", "oci:/no\x1b[2Jwhere")
    assert "\x1b" not in result.stderr
    assert r"\x1b[2J" in result.stderr


@pytest.mark.slow
def test_a_mistake_of_many_ranks_is_said_once(shell):
    mpirun = Path(sysconfig.get_path("scripts"), "mpirun")
    if not mpirun.exists():
        pytest.skip("no mpirun in this environment")
    command = [
        mpirun,
        "-n",
        "4",
        sys.executable,
        "-m",
        "hpc_remetrics",
        "analyze",
        "--limit",
        "speed=1",
    ]
    result = subprocess.run(
        command, cwd=shell.directory, env=shell.environ, capture_output=True, text=True, timeout=120
    )
    assert result.returncode != 0
    assert (result.stdout + result.stderr).count("unknown limit") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", ["KeyboardInterrupt()", "BrokenPipeError()", "ZeroDivisionError('no')"]
)
def test_what_ends_a_command(shell, error):
    code = (
        "import sys, hpc_remetrics.report.plan_page as plan\n"
        f"def broken(options): raise {error}\n"
        "plan.plan_command = broken\n"
        "from hpc_remetrics.cli import main\n"
        "sys.exit(main(['plan', 'demo:']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=shell.environ, capture_output=True, text=True
    )
    lines = result.stderr.splitlines()
    if error.startswith("Keyboard"):
        assert (result.returncode, lines) == (130, ["hpc-remetrics: interrupted"])
    elif error.startswith("Broken"):
        assert (result.returncode, lines) == (0, [])
    else:
        assert result.returncode == 1
        assert lines[0].startswith("Traceback")
        assert "fault of the program" in lines[-1]
        assert __version__ in lines[-1]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--help"], ["analyze", "--help"]])
def test_the_command_line_starts_without_heavy_imports(shell, words):
    code = (
        "import sys, hpc_remetrics.cli as cli\n"
        f"if {words}: cli.main({words})\n"
        "heavy = ('mpi4py', 'numpy', 'h5py', 'magic', 'matplotlib')\n"
        "print(*[name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=shell.environ, capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == ""
