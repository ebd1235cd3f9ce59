"""`analyze`: images in, one dataset out."""

from __future__ import annotations

import argparse

from ..config import analyze_options, parse_share
from ..settings import parse_limits
from . import (
    MEMORY_HELP,
    SOURCES,
    Verbs,
    add_force_option,
    add_job_options,
    add_source_options,
    add_talk_options,
    add_verb,
    on_every_rank,
)
from .access_options import access_of, add_access_options

_EXAMPLES = """
examples:
  hpc-remetrics analyze                                     the demo images, in one process
  mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5
  srun python -m hpc_remetrics analyze seed2017:/gpfs/hub -o hub.h5
  hpc-remetrics analyze oci:/data/layout --exec 'clamscan -ri {dir} >> scan-{digest}.txt'
  hpc-remetrics analyze repos:repos.csv -o hub.h5 --keep mirror    (then: analyze oci:mirror, skopeo, umoci)
  hpc-remetrics analyze oci:/data/layout --chunks --chunk-sample 1/100
  hpc-remetrics analyze docker-archive:app.tar --platform linux/amd64 --limit entries=1000000

Run it again with the same output and it goes on where it was, whatever ended it.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done, but some layers or images are not whole,
4 stopped early (start again), 5 output not writable, 6 another job holds this output
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    text = "profile the layers of all images of the sources into one dataset, or go on with that"
    parser = add_verb(verbs, "analyze", text, SOURCES + _EXAMPLES, _run)
    add_job_options(parser)
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="where images are (default: demo:)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DATASET.h5", help="the dataset (default: remetrics.h5)"
    )
    add_source_options(parser)
    parser.add_argument(
        "--types",
        choices=("exact", "plain", "none"),
        help="types as libmagic gives them, for a fraction of its time or plainly, or none (default: exact)",
    )
    parser.add_argument(
        "--scratch",
        action="append",
        metavar="DIR[=SIZE]",
        help="node-local folder, fastest first, and what layers may take of it (default: /dev/shm, $TMPDIR)",
    )
    parser.add_argument(
        "--node-layers",
        metavar="A,B,C,D",
        help="layers up to 50 MB, 1 GB, 2 GB and above on a node's scratch at once (default: 60,20,5,5)",
    )
    parser.add_argument(
        "--publish-seconds",
        type=float,
        metavar="S",
        help="longest wait of a whole layer for its part (default: 30 to 1200)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="try every failed layer again")
    parser.add_argument(
        "--warm-types",
        metavar="DATASET.h5",
        help="take over the types of contents from this dataset (default: none)",
    )
    parser.add_argument(
        "--keep",
        metavar="DIR",
        help="keep what is fetched from registries in this OCI image layout (default: nothing is kept)",
    )
    parser.add_argument(
        "--compress-sample",
        metavar="SHARE",
        help="share of the contents that are compressed, to estimate what all would take; 0: none (default: 1/256)",
    )
    parser.add_argument(
        "--chunks",
        action="store_true",
        help="cut contents into chunks, fixed and by content, and count",
    )
    parser.add_argument(
        "--chunk-sample",
        metavar="SHARE",
        help="share of the chunks that --chunks keeps, to estimate how many there are (default: 1)",
    )
    parser.add_argument(
        "--extract", action="store_true", help="unpack each layer on scratch and profile that"
    )
    parser.add_argument(
        "--exec",
        metavar="'CMD {dir}'",
        help="run a command of yours on each unpacked layer; {digest} is its name (default: none)",
    )
    parser.add_argument(
        "--share",
        metavar="K/N",
        help="only the K-th of N shares of the layers, beside others; a start without it gathers (default: all)",
    )
    add_force_option(parser, "an output that is no dataset, or one whose layers would be lost")
    parser.add_argument("--memory", type=float, metavar="MB", help=MEMORY_HELP)
    add_access_options(parser)
    add_talk_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    with on_every_rank():
        flags = {
            "sources": arguments.sources,
            "output": arguments.output,
            "platforms": arguments.platform,
            "limits": parse_limits(arguments.limit),
            "types": arguments.types,
            "scratch": arguments.scratch,
            "node_layers": arguments.node_layers,
            "publish_seconds": arguments.publish_seconds,
            "retry_failed": arguments.retry_failed,
            "warm_types": arguments.warm_types,
            "compress_sample": arguments.compress_sample,
            "chunks": arguments.chunks or None,
            "chunk_sample": arguments.chunk_sample,
            "memory": arguments.memory,
            "keep": arguments.keep,
            "extract": arguments.extract or None,
            "exec": arguments.exec,
            "force": arguments.force or None,
            "share": parse_share(arguments.share),
            "access": access_of(arguments, 0.0),
        }
        options = analyze_options(flags, arguments.config, arguments.quiet)
        if options.chunks:
            from ..profile.chunking import chunker

            chunker()  # says what is missing before anything starts
    from ..analyze.run import analyze

    return analyze(options)
