"""The command line: parse, run one verb, and turn what went wrong into one line and an exit
code."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence

from . import __version__
from .commands import (
    STYLE,
    Parser,
    analyze,
    compare,
    crawl,
    doctor,
    download,
    export,
    fetch,
    merge,
    on_every_rank,
    plan,
    plot,
    reduce,
    report,
    status,
)
from .errors import MissingComponentError, OutputError, RemetricsError
from .log import escape, set_up
from .mpi.job import remark, wait_for_ranks
from .mpi.signals import end_on_signal
from .mpi.start_watch import START_SECONDS
from .settings import remarks, settings
from .streams import StdoutError, give_up_stdout, standard_streams

PROGRAM = "hpc-remetrics"

_MAIN = """
examples:
  hpc-remetrics doctor                                      is this machine fit for it?
  hpc-remetrics plan oci:/data/layout                       what is there to do?
  mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5
  hpc-remetrics status hub.h5                               how far is it?
  hpc-remetrics report hub.h5
  hpc-remetrics analyze --help                              sources, limits, exit codes

What a site sets once stands in remetrics.toml or in REMETRICS_… variables; flags win.
"""

_VERBS = (
    crawl,
    download,
    fetch,
    plan,
    analyze,
    status,
    reduce,
    report,
    plot,
    export,
    compare,
    merge,
    doctor,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; mistakes become one line on stderr."""
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
            # Rank 0 says it; an end of this one before that could make the launcher end rank 0.
            time.sleep(1)
        else:
            _complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # Who read the output has gone.
        give_up_stdout()
        return 0
    except StdoutError as error:
        give_up_stdout()
        _complain(
            f"error: can't write to the standard output: {error.strerror}; lead it to another place"
        )
        return OutputError.exit_code
    except ImportError as error:
        return _missing(error)
    except Exception:
        traceback.print_exc()
        _complain(
            f"error: this is a fault of the program (version {__version__}); please report it with the lines above"
        )
        return 1


def _run(argv: Sequence[str] | None) -> int:
    with on_every_rank():
        arguments = _parse(argv)
    set_up(getattr(arguments, "verbose", 0), getattr(arguments, "quiet", False))
    if getattr(arguments, "is_job", False):
        end_on_signal(_launched_rank() == 0)
        with on_every_rank():
            wait_for_ranks(_start_seconds(arguments))
    _remark(arguments)
    return int(arguments.run(arguments))


def _missing(error: ImportError) -> int:
    """Say what can't be imported; a module of this package is a fault of the program."""
    if (error.name or "").partition(".")[0] == __package__ or "--debug" in sys.argv:
        traceback.print_exc()
    reason = " ".join(str(error).split())
    hint = "install it with `pip install hpc-remetrics`, or run where that was done"
    _complain(f"error: {sys.executable} can't import {error.name or 'a package'}: {reason}; {hint}")
    return MissingComponentError.exit_code


def _remark(arguments: argparse.Namespace) -> None:
    """Say, once a job, what the user should know of the settings."""
    if _launched_rank() > 0 or getattr(arguments, "quiet", False):
        return
    texts = [
        f"{PROGRAM}: {escape(text)}"
        for text in remarks(getattr(arguments, "config", None), "config" in arguments)
    ]
    if getattr(arguments, "is_job", False):
        remark(texts)
    else:
        print(*texts, sep="\n", end="\n" * bool(texts), file=sys.stderr, flush=True)


def _start_seconds(arguments: argparse.Namespace) -> float:
    found = settings({"start_seconds": arguments.start_seconds}, arguments.config)
    return float(found.get("start_seconds", START_SECONDS))


def _launched_rank() -> int:
    from .mpi.launch import launched_rank

    return launched_rank() or 0


def _complain(text: str) -> None:
    print(f"{PROGRAM}: {escape(text)}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    text = "Profile every layer and every file of many container images into one HDF5 dataset."
    parser = Parser(PROGRAM, description=text, epilog=_MAIN, **STYLE)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for verb in _VERBS:
        verb.add(verbs)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; sources and datasets may stand before, between and after options.

    argparse alone can't do that.
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    many = next((name for name in ("sources", "datasets") if name in arguments), None)
    unknown = [word for word in rest if word.startswith("-") or many is None]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest and many:
        found = getattr(arguments, many)
        setattr(arguments, many, [*found, *map(type(found[0]) if found else str, rest)])
    return arguments
