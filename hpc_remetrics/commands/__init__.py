"""The subcommands of the command line: one module each, which has one :class:`Command`.

A command is found by name in :data:`COMMANDS`. Another package adds one by an entry point in its
own `setup.cfg` or `pyproject.toml`, and needs no change here:

    [options.entry_points]
    hpc_remetrics.commands =
        hello = my_package.hello:COMMAND

where `my_package/hello.py` has

    @dataclass(frozen=True, kw_only=True)
    class HelloOptions(TalkOptions):
        name: str = option("--name", value=STRING, default="you", key=False, help="whom to greet")

    def _run(options: HelloOptions) -> int:
        print(f"hello, {options.name}")
        return 0

    COMMAND = Command("greet somebody", HelloOptions, _run, epilog="examples:\\n  …")

`hpc_remetrics.config` has the groups of options to derive from: with `JobOptions` the command runs
on all ranks (`mpi.job.run_job` connects them), with `SettingsOptions` it reads the settings file.
`hpc-remetrics --help` imports the module of every command, so each imports what it needs only when
it runs.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ..config import JobOptions, read_options
from ..errors import RemetricsError, UsageError
from ..extensions import COMMANDS as GROUP
from ..extensions import Extensions
from ..options import Options, add_flags

PROGRAM = "hpc-remetrics"

SOURCES_HELP = """
sources (as containers-transports(5) writes them):
{registered sources}
"""
"""What the help of every command that takes sources says about them."""

_REGISTERED = "{registered sources}"

STYLE: dict[str, Any] = {
    "allow_abbrev": False,
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}
"""How all parsers behave: flags must be written out, and epilogs stay as they are."""


@dataclass(frozen=True)
class Command:
    """A subcommand of `hpc-remetrics`.

    :ivar help: what it does: a verb phrase in lower case, of one line.
    :ivar options: the dataclass of its options.
    :ivar run: does it, and returns the exit code; what it needs is imported there.
    :ivar epilog: the end of its `--help`: examples, then exit codes.
    :ivar read: makes the options from the parsed command line, like `config.read_options`.
    """

    help: str
    options: type[Any]
    run: Callable[[Any], int]
    epilog: str = ""
    read: Callable[[type[Any], argparse.Namespace], Any] = read_options

    @property
    def is_job(self) -> bool:
        """Whether all ranks of a job run it together."""
        return issubclass(self.options, JobOptions)


_BUILTIN = (
    "crawl",
    "download",
    "fetch",
    "plan",
    "analyze",
    "status",
    "reduce",
    "updates",
    "report",
    "plot",
    "export",
    "compare",
    "merge",
    "doctor",
)

COMMANDS = Extensions(GROUP, {name: f"commands.{name}:COMMAND" for name in _BUILTIN})
"""All commands by name, in the order in which the help lists them."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as an error of the user."""
        raise UsageError(message, f"see `{self.prog} --help`")

    def format_help(self) -> str:
        """Return the help; the registered sources are imported only if it lists them."""
        text = super().format_help()
        if _REGISTERED in text:
            from ..sources import source_help

            text = text.replace(_REGISTERED, source_help())
        return text


def parser_of(name: str, command: Command) -> Parser:
    """Return the parser of a command.

    Its `parse_intermixed_args` takes arguments before, between and after flags.
    """
    description = f"{command.help[0].upper()}{command.help[1:]}."
    program = f"{PROGRAM} {name}"
    parser = Parser(program, description=description, epilog=command.epilog, **STYLE)
    # Flags come from the fields of the dataclass; only `--debug` is the same for all.
    options: type[Options] = command.options
    add_flags(parser, options)
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    return parser


def parse(name: str, command: Command, words: Sequence[str]) -> argparse.Namespace:
    """Parse what follows the name of a command.

    :raises UsageError: it is wrong.
    """
    return parser_of(name, command).parse_intermixed_args(words)


@contextlib.contextmanager
def on_every_rank() -> Iterator[None]:
    """Mark an error as one that every rank raises, since all have the same command line."""
    try:
        yield
    except RemetricsError as error:
        error.shared = True
        raise
