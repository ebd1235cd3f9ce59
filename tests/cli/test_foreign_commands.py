"""A command of another installed package: an entry point is all that it needs."""

import pytest
from support.foreign_package import install

MODULE = """
from dataclasses import dataclass

from hpc_remetrics.commands import Command
from hpc_remetrics.config import MemoryOptions, SettingsOptions
from hpc_remetrics.options import STRING, option


@dataclass(frozen=True, kw_only=True)
class HelloOptions(MemoryOptions, SettingsOptions):
    name: str = option("--name", value=STRING, default="you", key=False, help="whom to greet")


def _run(options: HelloOptions) -> int:
    print(f"hello, {options.name}: {options.memory:g} MB")
    return 0


COMMAND = Command("greet somebody", HelloOptions, _run, "It greets 100% of people.")
"""

ENTRY_POINTS = """
[hpc_remetrics.commands]
hello = hello_package:COMMAND
broken = no_such_package:COMMAND
report = hello_package:COMMAND
"""


@pytest.fixture
def installed(shell):
    """Install a package with commands into the directory in which the shell runs."""
    install(shell.directory, "hello_package", MODULE, ENTRY_POINTS)
    return shell


@pytest.mark.slow
def test_it_runs_with_options_of_its_own_and_shared_ones(installed):
    result = installed("hello", "--name", "Ada", REMETRICS_MEMORY="7")
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello, Ada: 7 MB\n", "")
    assert installed("hello").stdout == "hello, you: 1000 MB\n"


@pytest.mark.slow
def test_the_help_lists_it_and_one_that_cannot_be_imported(installed):
    result = installed("--help")
    assert result.returncode == 0
    assert "hello     greet somebody" in result.stdout
    assert "no_such_package" in result.stdout
    text = installed("hello", "--help").stdout
    assert "whom to greet (default: you)" in text
    assert "100% of people" in text


@pytest.mark.slow
def test_one_that_cannot_be_imported_is_one_line(installed):
    result = installed("broken")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "'broken' of hello-package can't be imported" in line


@pytest.mark.slow
def test_a_built_in_command_wins(installed):
    assert "show the numbers of a dataset" in installed("report", "--help").stdout.lower()


@pytest.mark.slow
def test_an_unknown_command_names_all_that_there_are(installed):
    result = installed("helo")
    assert result.returncode == 2
    assert "unknown command 'helo'" in result.stderr
    assert "hello" in result.stderr and "analyze" in result.stderr
