"""The command line: parse it, run one command, and turn an error into one line and an exit code."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from . import __version__
from .commands import COMMANDS, PROGRAM, STYLE, Command, Parser, on_every_rank, parse
from .config import remarks
from .errors import MissingComponentError, OutputError, RemetricsError
from .log import escape, set_up
from .streams import StdoutError, give_up_stdout, standard_streams

_EXAMPLES = """
examples:
  hpc-remetrics doctor                                      is this machine ready?
  hpc-remetrics plan oci:/data/layout                       what is there to do?
  mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5
  hpc-remetrics status hub.h5                               how far is it?
  hpc-remetrics report hub.h5
  hpc-remetrics analyze --help                              sources, limits, exit codes

What a site sets once is in remetrics.toml or in REMETRICS_… variables; flags win.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error becomes one line on stderr.

    :param argv: the words after the name of the program; None: those of this process.
    """
    with standard_streams():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    try:
        try:
            code = _run(argv)
        except SystemExit as end:
            # --help and --version
            code = int(end.code or 0)
        sys.stdout.flush()
        return code
    except RemetricsError as error:
        if "--debug" in (sys.argv if argv is None else argv):
            traceback.print_exc()
        if error.shared and _launched_rank() > 0:
            # Rank 0 prints it. If this rank ended first, the launcher could end rank 0 before that.
            time.sleep(1)
        else:
            _complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # The program that read the output has gone.
        give_up_stdout()
        return 0
    except StdoutError as error:
        give_up_stdout()
        _complain(
            f"error: can't write to the standard output: {error.strerror}; redirect it elsewhere"
        )
        return OutputError.exit_code
    except ImportError as error:
        return _missing(error)
    except Exception:
        traceback.print_exc()
        _complain(
            f"error: this is a fault of the program (version {__version__}); "
            "please report it with the lines above"
        )
        return 1


def _run(argv: Sequence[str] | None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)

    # Find and parse the command.
    with on_every_rank():
        name = _command_name(words)
        command: Command = COMMANDS.load(name)
        arguments = parse(name, command, words[1:])
    set_up(getattr(arguments, "verbose", None) or 0, getattr(arguments, "quiet", False))

    # From here on a signal ends a job in order.
    if command.is_job:
        from .mpi.signals import end_on_signal

        end_on_signal(_launched_rank() == 0)

    with on_every_rank():
        options = command.read(command.options, arguments)
        if command.is_job:
            from .mpi.job import wait_for_ranks

            wait_for_ranks(options.start_seconds)
    _remark(command, options)
    return command.run(options)


def _missing(error: ImportError) -> int:
    """Print what can't be imported; if it is a module of this package, that is a fault."""
    if (error.name or "").partition(".")[0] == __package__ or "--debug" in sys.argv:
        traceback.print_exc()
    reason = " ".join(str(error).split())
    hint = "install it with `pip install hpc-remetrics`, or run where that was done"
    if error.name in sys.stdlib_module_names:
        hint = "this command runs on Linux; report, plot, export and compare run anywhere"
    _complain(f"error: {sys.executable} can't import {error.name or 'a package'}: {reason}; {hint}")
    return MissingComponentError.exit_code


def _remark(command: Command, options: Any) -> None:
    """Print, once a job, what the user should know about the settings."""
    if _launched_rank() > 0 or getattr(options, "quiet", False):
        return
    texts = remarks(command.options, getattr(options, "config", None))
    lines = [f"{PROGRAM}: {escape(text)}" for text in texts]
    if command.is_job:
        from .mpi.job import remark

        remark(lines)
        return
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def _launched_rank() -> int:
    from .mpi.launch import launched_rank

    return launched_rank() or 0


def _complain(text: str) -> None:
    print(f"{PROGRAM}: {escape(text)}", file=sys.stderr, flush=True)


def _command_name(words: Sequence[str]) -> str:
    """Return the command that a command line names.

    Only where it names none, as in `--help`, all commands are imported to list them.
    """
    if words and not words[0].startswith("-"):
        return words[0]
    parser = _main_parser()
    parser.parse_args(words)
    parser.error("the name of the command comes first")


def _main_parser() -> Parser:
    """Return the parser that lists all commands."""
    text = "Profile every layer and every file of many container images into one HDF5 dataset."
    parser = Parser(PROGRAM, description=text, epilog=_EXAMPLES, **STYLE)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in COMMANDS.names():
        commands.add_parser(name, help=_help_of(name))
    return parser


def _help_of(name: str) -> str:
    """Return what a command does; one of another package may not be importable."""
    try:
        command: Command = COMMANDS.load(name)
    except MissingComponentError as error:
        return f"({error})".replace("%", "%%")
    return command.help.replace("%", "%%")
