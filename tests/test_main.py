"""The entry point: what it says where the program can't be loaded."""

import builtins
import io
import os
import sys

import pytest

from hpc_remetrics import __main__ as entry
from hpc_remetrics import cli


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Take from the environment, after each test, what the entry point has put there."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")


def test_it_runs_the_command_line(monkeypatch):
    monkeypatch.setattr(cli, "main", lambda: 7)
    assert entry.main() == 7


@pytest.mark.parametrize(
    ("version", "is_old"), [((3, 9, 18, "final", 0), True), ((3, 10, 0, "final", 0), False)]
)
def test_an_old_python_is_told(monkeypatch, capsys, version, is_old):
    monkeypatch.setattr(cli, "main", lambda: 7)
    monkeypatch.setattr(sys, "version_info", version)
    assert entry.main() == (2 if is_old else 7)
    said = capsys.readouterr().err
    if is_old:
        assert f"Python 3.10 or newer is needed, and {sys.executable} is 3.9.18; run it" in said
        assert said.count("\n") == 1
    else:
        assert said == ""


@pytest.fixture
def failing(monkeypatch):
    """Return a function that lets the import of the command line fail."""
    real = builtins.__import__

    def fail(error: ImportError) -> None:
        def load(name, *arguments, **options):
            if name == "cli":
                raise error
            return real(name, *arguments, **options)

        monkeypatch.setattr(builtins, "__import__", load)

    return fail


@pytest.mark.parametrize(("name", "what"), [("numpy", "numpy"), (None, "a package")])
def test_a_missing_package_is_one_line(failing, capsys, name, what):
    failing(ImportError("No module\nnamed that", name=name))
    assert entry.main() == 2
    said = capsys.readouterr().err
    assert f"can't import {what}: No module named that; install what is missing with" in said
    assert said.count("\n") == 1


def test_a_module_of_the_program_that_is_missing_is_a_fault(failing, monkeypatch):
    failing(ImportError("gone", name="hpc_remetrics.cli"))
    with pytest.raises(ImportError, match="gone"):
        entry.main()
    failing(ImportError("no numpy", name="numpy"))
    monkeypatch.setattr(sys, "argv", ["hpc-remetrics", "--debug"])
    with pytest.raises(ImportError, match="no numpy"):
        entry.main()


def test_a_terminal_without_such_characters_gets_others(monkeypatch):
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(data, encoding="ascii"))
    assert entry._refuse("…", "ü") == 2
    sys.stderr.flush()
    assert data.getvalue() == b"hpc-remetrics: error: ?; ?\n"


@pytest.mark.parametrize("given", ["", "4"])
def test_numpy_starts_no_threads_unless_they_are_asked_for(given, monkeypatch):
    monkeypatch.setattr(cli, "main", lambda: 7)
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    assert entry.main() == 7
    assert os.environ["OPENBLAS_NUM_THREADS"] == (given or "1")
