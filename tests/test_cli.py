"""The command line in this process: what it prints, and the exit code of each end."""

import errno
import io
import os
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from hpc_remetrics import __version__, cli
from hpc_remetrics.commands import Command
from hpc_remetrics.config import JobOptions, SettingsOptions, TalkOptions
from hpc_remetrics.errors import MissingComponentError, OutputError, UsageError
from hpc_remetrics.mpi import job, launch, signals
from hpc_remetrics.options import STRING, Options, option
from hpc_remetrics.streams import StdoutError


@dataclass(frozen=True, kw_only=True)
class HelloOptions(TalkOptions):
    name: str = option("--name", value=STRING, default="you", key=False, help="whom to greet")


class Commands:
    """Stands for the registered commands: one of a test, and one that can't be imported."""

    def __init__(self) -> None:
        self.command = Command("greet somebody", HelloOptions, lambda options: 0)

    def names(self) -> list[str]:
        return ["hello", "broken"]

    def load(self, name: str) -> Command:
        if name == "broken":
            raise MissingComponentError("the command 'broken' can't be imported")
        if name != "hello":
            raise UsageError(f"unknown command {name!r}")
        return self.command


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Neither settings nor variables of whoever runs the tests, and no rank."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in list(os.environ):
        if name.startswith(("REMETRICS_", "HPC_REMETRICS", "XDG_CONFIG_HOME")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(launch, "launched_rank", lambda: None)
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    made = Commands()
    monkeypatch.setattr(cli, "COMMANDS", made)
    return made


@pytest.fixture
def ending(commands):
    """Return a function that runs a command which ends in this way; it returns the exit code."""

    def run(end, *words: str) -> int:
        def act(options) -> int:
            if isinstance(end, BaseException):
                raise end
            return end(options)

        commands.command = Command("greet somebody", HelloOptions, act)
        return cli.main(["hello", *words])

    return run


def test_a_command_has_its_options_and_gives_its_code(ending, capsys):
    def greet(options) -> int:
        print("hello,", options.name)
        return 7

    assert ending(greet, "--name", "world") == 7
    assert capsys.readouterr() == ("hello, world\n", "")


def test_without_words_those_of_the_process_are_taken(ending, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hpc-remetrics", "--version"])
    assert cli.main() == 0


@pytest.mark.parametrize(
    ("end", "code", "text"),
    [
        (UsageError("it is wrong", "do this"), 2, "error: it is wrong; do this"),
        (OutputError("it\x1b is\nfull"), 5, "error: it\\x1b is\\nfull"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            StdoutError(errno.ENOSPC, "No space left on device"),
            5,
            "error: can't write to the standard output: No space left on device; "
            "redirect it elsewhere",
        ),
        (BrokenPipeError(), 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_each_end_has_a_line_and_a_code(ending, monkeypatch, capsys, end, code, text):
    given_up = []
    monkeypatch.setattr(cli, "give_up_stdout", lambda: given_up.append(True))
    assert ending(end) == code
    assert capsys.readouterr().err == (f"hpc-remetrics: {text}\n" if text else "")
    assert given_up == [True] * isinstance(end, StdoutError | BrokenPipeError)


def test_a_fault_of_the_program_has_its_traceback(ending, capsys):
    assert ending(ZeroDivisionError("oh")) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and "ZeroDivisionError: oh" in said
    assert f"this is a fault of the program (version {__version__})" in said


def test_debug_prints_the_traceback_of_an_error(ending, capsys):
    assert ending(UsageError("it is wrong"), "--debug") == 2
    said = capsys.readouterr().err
    assert "Traceback" in said and said.endswith("hpc-remetrics: error: it is wrong\n")


def import_error(name: str | None) -> ImportError:
    return ImportError(f"No module named\n{name!r}", name=name)


@pytest.mark.parametrize(
    ("name", "what", "hint", "has_traceback"),
    [
        ("numpy", "numpy", "install it with `pip install hpc-remetrics`", False),
        (None, "a package", "install it with `pip install hpc-remetrics`", False),
        ("fcntl", "fcntl", "this command runs on Linux", False),
        ("hpc_remetrics.lost", "hpc_remetrics.lost", "install it with", True),
        ("hpc_remetrics", "hpc_remetrics", "install it with", True),
    ],
)
def test_what_can_not_be_imported_is_named(ending, capsys, name, what, hint, has_traceback):
    assert ending(import_error(name)) == 2
    said = capsys.readouterr().err
    assert ("Traceback" in said) == has_traceback
    last = said.splitlines()[-1]
    reason = f"No module named {name!r}"
    assert last.startswith(
        f"hpc-remetrics: error: {sys.executable} can't import {what}: {reason}; "
    )
    assert hint in last


def test_an_error_of_all_ranks_is_printed_by_rank_0(ending, monkeypatch, capsys):
    """The others wait a moment, so that the launcher doesn't end rank 0 before."""
    slept = []
    monkeypatch.setattr(cli, "time", SimpleNamespace(sleep=slept.append))
    error = UsageError("it is wrong")
    error.shared = True
    for rank, lines in ((0, 1), (1, 0)):
        monkeypatch.setattr(launch, "launched_rank", lambda rank=rank: rank)
        assert ending(error) == 2
        assert len(capsys.readouterr().err.splitlines()) == lines
        assert len(slept) == 1 - lines
    # What happens to one rank alone is printed by it
    error.shared = False
    assert ending(error) == 2
    assert capsys.readouterr().err == "hpc-remetrics: error: it is wrong\n"


def test_mistakes_of_a_command_line_are_of_all_ranks(commands, monkeypatch, capsys):
    monkeypatch.setattr(launch, "launched_rank", lambda: 1)
    monkeypatch.setattr(cli, "time", SimpleNamespace(sleep=lambda seconds: None))
    for words in (["helo"], ["hello", "--nmae", "x"], ["hello", "--verbose=3"]):
        assert cli.main(words) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["--quiet", "hello"], "unrecognized arguments: --quiet"),
        (["--version", "hello"], ""),
    ],
)
def test_a_command_line_begins_with_a_command(commands, capsys, words, text):
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert code == (2 if text else 0)
    assert text in err
    assert out == ("" if text else f"hpc-remetrics {__version__}\n")


def test_the_help_lists_all_commands_and_those_that_can_not_be_imported(commands, capsys):
    assert cli.main(["--help"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "hello greet somebody" in lines
    assert any(line.startswith("broken") for line in lines)
    assert "mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5" in lines


@pytest.mark.parametrize(
    ("words", "level"),
    [([], (0, None)), (["-v"], (1, None)), (["-vv"], (2, None)), (["-q"], (0, True))],
)
def test_the_log_is_set_up_as_the_flags_say(ending, monkeypatch, words, level):
    levels = []
    monkeypatch.setattr(cli, "set_up", lambda *what: levels.append(what))
    ending(lambda options: 0, *words)
    assert levels == [level]


@dataclass(frozen=True, kw_only=True)
class NoOptions(Options):
    pass


def test_a_command_without_such_flags_has_warnings_alone(commands, monkeypatch):
    levels = []
    monkeypatch.setattr(cli, "set_up", lambda *what: levels.append(what))
    commands.command = Command("be silent", NoOptions, lambda options: 0)
    assert cli.main(["hello"]) == 0
    assert levels == [(0, False)]


@dataclass(frozen=True, kw_only=True)
class SetOptions(SettingsOptions, TalkOptions):
    pass


def test_what_should_be_known_about_settings_is_remarked_by_rank_0(
    commands, monkeypatch, capsys, here
):
    (here / "remetrics.toml").write_text("")
    commands.command = Command("do", SetOptions, lambda options: 0)
    remark = "hpc-remetrics: settings are taken from remetrics.toml in the current directory\n"
    assert cli.main(["hello"]) == 0
    assert capsys.readouterr().err == remark
    monkeypatch.setattr(launch, "launched_rank", lambda: 0)
    assert cli.main(["hello"]) == 0
    assert capsys.readouterr().err == remark
    assert cli.main(["hello", "-q"]) == 0
    assert capsys.readouterr().err == ""
    (here / "named").write_text("")
    assert cli.main(["hello", "--config", "named"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(launch, "launched_rank", lambda: 1)
    assert cli.main(["hello"]) == 0
    assert capsys.readouterr().err == ""


@dataclass(frozen=True, kw_only=True)
class RunOptions(JobOptions, SettingsOptions, TalkOptions):
    pass


@pytest.mark.parametrize("rank", [None, 0, 1])
def test_a_job_ends_on_signals_waits_for_its_ranks_and_remarks_once(
    commands, monkeypatch, capsys, here, rank
):
    (here / "remetrics.toml").write_text("start_seconds = 12")
    done = []
    monkeypatch.setattr(launch, "launched_rank", lambda: rank)
    monkeypatch.setattr(signals, "end_on_signal", lambda speaks: done.append(("ends", speaks)))
    monkeypatch.setattr(job, "wait_for_ranks", lambda seconds: done.append(("waits", seconds)))
    monkeypatch.setattr(job, "remark", lambda lines: done.append(("remarks", len(lines))))
    commands.command = Command("run", RunOptions, lambda options: 0)
    assert cli.main(["hello"]) == 0
    speaks = rank != 1
    remarks = [("remarks", 1)] if speaks else []
    assert done == [("ends", speaks), ("waits", 12.0), *remarks]
    assert capsys.readouterr().err == ""


def test_results_are_written_before_the_end(ending, monkeypatch):
    """What can't be written is an error, not a remark of the interpreter at its exit."""

    class Full(io.StringIO):
        def flush(self) -> None:
            raise StdoutError(errno.ENOSPC, "full")

    monkeypatch.setattr(cli, "give_up_stdout", lambda: None)
    monkeypatch.setattr(sys, "stdout", Full())
    assert ending(lambda options: 0) == 5
