"""One subcommand of the command line a module: its words, and the call that does it.

Each module has `add(verbs)`, which adds its parser; what a verb needs is imported when it is
called. Here stands what several of them share.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from ..errors import RemetricsError, UsageError
from ..limits import Limits

SOURCES = """
sources (as containers-transports(5) writes them):
{registered sources}
"""
"""What the help of every verb that takes sources says of them."""

_REGISTERED = "{registered sources}"

MEMORY_HELP = "memory of each rank for rows on their way while metrics are computed (default: 1000)"

STYLE: dict[str, Any] = {
    "allow_abbrev": False,
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see `{self.prog} --help`")

    def format_help(self) -> str:
        """Return the help; the registered sources are imported only if it lists them."""
        text = super().format_help()
        if _REGISTERED in text:
            from ..sources import source_help

            text = text.replace(_REGISTERED, source_help())
        return text


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


@contextlib.contextmanager
def on_every_rank() -> Iterator[None]:
    """Mark an error as one that every rank of a job meets, since they have the same command line
    and settings."""
    try:
        yield
    except RemetricsError as error:
        error.shared = True
        raise


def add_verb(
    verbs: Verbs,
    name: str,
    text: str,
    epilog: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Return the parser of a new verb, which `run` does."""
    parser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog, **STYLE
    )
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which images are meant and what is too much."""
    parser.add_argument(
        "--platform",
        action="append",
        metavar="OS/ARCH[/VARIANT]",
        help="only images for it (repeat; default: all)",
    )
    add_limit_option(parser)
    add_config_option(parser)


def add_limit_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that changes what hostile or broken input may cost."""
    limits = ", ".join(f"{field.name}={field.default}" for field in fields(Limits))
    parser.add_argument(
        "--limit",
        action="append",
        metavar="NAME=VALUE",
        help=f"change a limit (repeat; default: {limits})",
    )


def add_force_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that lets an output replace `what` this program would not replace by
    itself."""
    parser.add_argument("--force", action="store_true", help=f"replace {what}")


def add_reduce_options(parser: argparse.ArgumentParser) -> None:
    """Add what commands that compute metrics share: memory, scratch, settings, and whether they
    talk."""
    parser.add_argument("--memory", type=float, metavar="MB", help=MEMORY_HELP)
    parser.add_argument(
        "--scratch",
        action="append",
        metavar="DIR[=SIZE]",
        help="node-local directory, fastest first (default: /dev/shm, $TMPDIR)",
    )
    add_config_option(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="tell errors only")


def add_talk_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how much a run tells."""
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="tell what is done (-vv: more)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="tell errors only")


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Mark a command as one that ranks do together, and add how long they may take to find each
    other."""
    parser.set_defaults(is_job=True)
    parser.add_argument(
        "--start-seconds",
        type=float,
        metavar="S",
        help="longest wait of the ranks for MPI to start (default: 900)",
    )


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the file of settings."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings (default: remetrics.toml, if it is there)",
    )
