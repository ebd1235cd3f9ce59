"""`download`: copy images from registries to disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..settings import parse_limits, settings
from . import (
    Verbs,
    add_config_option,
    add_job_options,
    add_limit_option,
    add_talk_options,
    add_verb,
    on_every_rank,
)
from .access_options import access_of, add_access_options

_EXAMPLES = """
examples:
  hpc-remetrics download redis debian:12 quay.io/quay/busybox -o mirror
  hpc-remetrics download repos.csv -o mirror --platform linux/amd64
  hpc-remetrics download repos.csv -o mirror --estimate    what would it cost?
  mpirun -n 8 python -m hpc_remetrics download repos.csv -o /gpfs/mirror
  hpc-remetrics download names.lst -o mirror -l layers.lst -r repositories.lst     (lists of the 2017 tool)
  hpc-remetrics analyze oci:mirror -o hub.h5
  skopeo inspect oci:mirror:library/redis:latest

The folder is an OCI image layout at every moment: what has its name there is whole and verified. Run it
again with the same output and it goes on where it was, down to the middle of a blob, whatever ended it;
images that failed are tried again. An image is called as in a dataset: NAME:TAG, HOST/NAME:TAG where it
is not from Docker Hub. MIRROR/.remetrics/failures.csv says which images can't be had whole.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done, but some images can't be had whole,
4 stopped early (start again), 5 output not writable, 6 another job holds this output
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "copy images from registries into an OCI image layout, or go on with that"
    parser = add_verb(verbs, "download", text, _EXAMPLES, _run)
    add_job_options(parser)
    parser.add_argument(
        "wishes", nargs="+", metavar="LIST.csv|NAME", help="a list of repositories, or an image"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="the layout (default: mirror)"
    )
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="OS/ARCH[/VARIANT]",
        help="of images that have several (repeat; default: all)",
    )
    text = "finished {}, {} a line: left out, and appended to (default: none)"
    parser.add_argument(
        "-l", "--layers", type=Path, metavar="FILE", help=text.format("layers", "a digest")
    )
    parser.add_argument(
        "-r",
        "--repositories",
        type=Path,
        metavar="FILE",
        help=text.format("repositories", "a name"),
    )
    parser.add_argument(
        "--update", action="store_true", help="look whether the tags of finished images have moved"
    )
    parser.add_argument("--estimate", action="store_true", help="say what it would cost, and end")
    parser.add_argument(
        "--threads", type=int, default=4, metavar="N", help="of each rank (default: 4)"
    )
    add_limit_option(parser)
    add_access_options(parser)
    add_config_option(parser)
    add_talk_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    from ..download.options import DownloadOptions
    from ..download.run import download
    from ..mpi.job import run_job
    from ..sources import platforms

    with on_every_rank():
        if not 1 <= arguments.threads <= 64:
            raise UsageError(f"--threads {arguments.threads} is not between 1 and 64")
        options = DownloadOptions(
            tuple(arguments.wishes),
            arguments.output or Path("mirror"),
            platforms.check(arguments.platform),
            arguments.layers,
            arguments.repositories,
            arguments.update,
            arguments.estimate,
            arguments.threads,
            arguments.quiet,
            access_of(arguments, 0.0),
            settings({"limits": parse_limits(arguments.limit)}, arguments.config)["limits"],
        )
    return run_job(lambda comm: download(comm, options))
