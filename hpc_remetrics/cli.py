"""The command line: one subcommand a verb, each a few lines; what it needs is imported when it is called."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from . import __version__
from .config import PlanOptions, analyze_options, parse_limits, settings
from .errors import RemetricsError, UsageError
from .limits import Limits
from .log import escape, set_up

PROGRAM = "hpc-remetrics"

_MAIN = """
examples:
  hpc-remetrics doctor                                      is this machine fit for it?
  hpc-remetrics plan oci:/data/layout                       what is there to do?
  mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5
  hpc-remetrics report hub.h5
  hpc-remetrics analyze --help                              sources, limits, exit codes

What a site sets once stands in remetrics.toml or in REMETRICS_… variables; flags win.
"""

_SOURCES = """
sources (as containers-transports(5) writes them):
  oci:DIR[:REF]              an OCI image layout
  oci-archive:FILE[:REF]     the same in a tar
  docker-archive:FILE[:REF]  what `docker save` and `podman save` write
  dir:DIR                    what `skopeo copy … dir:DIR` writes
  seed2017:DIR               the 2017 tool's manifests/, configs/, layers/
  demo:[DIR]                 real images assembled from this Python installation
"""

_ANALYZE = """
examples:
  hpc-remetrics analyze                                     the demo images, in one process
  mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5
  srun python -m hpc_remetrics analyze seed2017:/gpfs/hub -o hub.h5
  hpc-remetrics analyze docker-archive:app.tar --platform linux/amd64 --limit entries=1000000

Run it again with the same output and it goes on where it was, whatever ended it.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done with failed or partial layers,
4 stopped early (start again), 5 output not writable, 6 another job holds this output
"""

_PLAN = """
examples:
  hpc-remetrics plan oci:/data/layout
  hpc-remetrics plan seed2017:/gpfs/hub --ranks 64 --json
"""

_REPORT = """
examples:
  hpc-remetrics report hub.h5
  hpc-remetrics report hub.h5 --json | jq .layers
"""

_DOCTOR = """
examples:
  hpc-remetrics doctor
  hpc-remetrics doctor -o /gpfs/project/hub.h5 --scratch /dev/shm --scratch /local
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; mistakes become one line on stderr."""
    try:
        with _on_every_rank():
            arguments = _parse(argv)
        set_up(getattr(arguments, "verbose", 0), getattr(arguments, "quiet", False))
        code = arguments.run(arguments)
        sys.stdout.flush()
        return int(code)
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
        # Who read the output has gone; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        _complain(
            f"error: this is a fault of the program (version {__version__}); please report it with the lines above"
        )
        return 1


@contextlib.contextmanager
def _on_every_rank() -> Iterator[None]:
    """Mark an error as one that every rank of a job meets, since they have the same command line and settings."""
    try:
        yield
    except RemetricsError as error:
        error.shared = True
        raise


def _launched_rank() -> int:
    from .cluster.comm import launched_rank

    return launched_rank() or 0


def _complain(text: str) -> None:
    print(f"{PROGRAM}: {escape(text)}", file=sys.stderr, flush=True)


_STYLE: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see `{self.prog} --help`")


_Verbs: TypeAlias = "argparse._SubParsersAction[_Parser]"


def _parser() -> argparse.ArgumentParser:
    text = "Profile every layer and every file of many container images into one HDF5 dataset."
    parser = _Parser(PROGRAM, description=text, epilog=_MAIN, **_STYLE)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_analyze(verbs)
    _add_plan(verbs)
    _add_report(verbs)
    _add_doctor(verbs)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; sources may stand before, between and after options, which argparse alone can't do."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    unknown = [word for word in rest if word.startswith("-") or "sources" not in arguments]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        arguments.sources = [*arguments.sources, *rest]
    return arguments


def _verb(
    verbs: _Verbs,
    name: str,
    text: str,
    epilog: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog, **_STYLE)
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform", action="append", metavar="OS/ARCH[/VARIANT]", help="only images for it (repeat; default: all)"
    )
    limits = ", ".join(f"{field.name}={field.default}" for field in fields(Limits))
    parser.add_argument(
        "--limit", action="append", metavar="NAME=VALUE", help=f"change a limit (repeat; default: {limits})"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (default: remetrics.toml, if it is there)"
    )


def _add_analyze(verbs: _Verbs) -> None:
    text = "profile the layers of all images of the sources into one dataset, or go on with that"
    parser = _verb(verbs, "analyze", text, _SOURCES + _ANALYZE, _analyze)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="where images are (default: demo:)")
    parser.add_argument("-o", "--output", metavar="DATASET.h5", help="the dataset (default: remetrics.h5)")
    _add_common(parser)
    parser.add_argument("--types", choices=("plain", "none"), help="ask libmagic for types, or don't (default: plain)")
    parser.add_argument(
        "--scratch",
        action="append",
        metavar="DIR",
        help="node-local folder, fastest first (default: /dev/shm, $TMPDIR)",
    )
    parser.add_argument(
        "--publish-seconds",
        type=float,
        metavar="S",
        help="longest wait of a whole layer for its part (default: 30 to 1200)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="try every failed layer again")
    parser.add_argument(
        "--warm-types", metavar="DATASET.h5", help="take over the types of contents from this dataset (default: none)"
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="tell what is done (-vv: more)")
    parser.add_argument("-q", "--quiet", action="store_true", help="tell errors only")


def _add_plan(verbs: _Verbs) -> None:
    text = "show the layers by size, and how they would be dealt out to ranks"
    parser = _verb(verbs, "plan", text, _SOURCES + _PLAN, _plan)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="where images are")
    parser.add_argument("--ranks", type=int, default=4, metavar="N", help="ranks, rank 0 included (default: 4)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_common(parser)


def _add_report(verbs: _Verbs) -> None:
    parser = _verb(verbs, "report", "show the totals of a dataset", _REPORT, _report)
    parser.add_argument("dataset", type=Path, metavar="DATASET.h5")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_doctor(verbs: _Verbs) -> None:
    text = "check this machine: what is missing or wrong, and how to mend it"
    parser = _verb(verbs, "doctor", text, _DOCTOR, _doctor)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DATASET.h5", help="the output to check (default: remetrics.h5)"
    )
    parser.add_argument(
        "--scratch",
        action="append",
        type=Path,
        metavar="DIR",
        help="scratch folder to check (default: /dev/shm, $TMPDIR)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _analyze(arguments: argparse.Namespace) -> int:
    with _on_every_rank():
        flags = {
            "sources": arguments.sources,
            "output": arguments.output,
            "platforms": arguments.platform,
            "limits": parse_limits(arguments.limit),
            "types": arguments.types,
            "scratch": arguments.scratch,
            "publish_seconds": arguments.publish_seconds,
            "retry_failed": arguments.retry_failed,
            "warm_types": arguments.warm_types,
        }
        options = analyze_options(flags, arguments.config, arguments.quiet)
    from .analyze import analyze

    return analyze(options)


def _plan(arguments: argparse.Namespace) -> int:
    flags = {
        "sources": arguments.sources,
        "platforms": arguments.platform,
        "limits": parse_limits(arguments.limit),
    }
    merged = settings(flags, arguments.config)
    if not merged.get("sources"):
        raise UsageError("no source named", "for example `hpc-remetrics plan oci:/data/layout`, or `plan demo:`")
    if arguments.ranks < 1:
        raise UsageError(f"--ranks {arguments.ranks} is not above 0")
    from .report.plan import plan_command

    platforms = tuple(merged.get("platforms", ()))
    sources = tuple(merged["sources"])
    return plan_command(PlanOptions(sources, arguments.ranks, arguments.json, platforms, merged["limits"]))


def _report(arguments: argparse.Namespace) -> int:
    from .report import report_command

    return report_command(arguments.dataset, arguments.json)


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import doctor_command

    return doctor_command(arguments.output, tuple(arguments.scratch or ()), arguments.json)
