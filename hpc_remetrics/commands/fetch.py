"""`fetch`: one thing of a registry."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Verbs, add_force_option, add_verb
from .access_options import access_of, add_access_options

_EXAMPLES = """
examples:
  hpc-remetrics fetch manifest localhost:5000/library/redis:7 -o redis.json
  hpc-remetrics fetch config localhost:5000/library/redis:7 --platform linux/arm64 -o - | jq .rootfs
  hpc-remetrics fetch blob localhost:5000/library/redis@sha256:… -o layer.tar.gz

A blob is verified, has its name only when it is whole, and goes on where it was when it is fetched again.

exit codes: 0 it is there, 1 a fault of the program, 2 wrong use, 3 it can't be had,
4 the registry's limit is used up (start again later), 5 output not writable
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    parser = add_verb(
        verbs, "fetch", "fetch one manifest, blob or config of a registry", _EXAMPLES, _run
    )
    parser.add_argument("kind", choices=("manifest", "blob", "config"), help="what is wanted")
    parser.add_argument(
        "reference", metavar="HOST/NAME[:TAG|@DIGEST]", help="of what (a blob: @DIGEST)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to; - is the standard output (default: -)"
    )
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="OS/ARCH[/VARIANT]",
        help="which image of an index, for a config (default: the only one)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings (default: remetrics.toml, if it is there)",
    )
    add_force_option(parser, "a file that has other bytes")
    add_access_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    from ..download.fetch import FetchOptions, fetch_command

    output = Path(arguments.output or "-")
    platforms, access = tuple(arguments.platform), access_of(arguments)
    options = FetchOptions(
        arguments.kind, arguments.reference, output, platforms, access, arguments.force
    )
    return fetch_command(options)
