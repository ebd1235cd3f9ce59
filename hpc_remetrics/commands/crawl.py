"""`crawl`: which repositories there are."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..limits import EMPTY_PAGES
from . import (
    Verbs,
    add_config_option,
    add_force_option,
    add_job_options,
    add_talk_options,
    add_verb,
    on_every_rank,
)
from .access_options import access_of, add_access_options

_EXAMPLES = """
targets:
  hub                        all of Docker Hub, by its search
  hub:NAMESPACE[,…]          the repositories of some namespaces of Docker Hub
  catalog:HOST               a registry's catalog

examples:
  hpc-remetrics crawl hub:library,bitnami -o repos.csv
  hpc-remetrics crawl hub -o hub.csv --estimate            what would it cost?
  hpc-remetrics crawl hub -o hub.csv --sample 10000 --seed 7 --tags 3
  hpc-remetrics crawl catalog:localhost:5000 -o local.csv
  mpirun -n 4 python -m hpc_remetrics crawl hub -o hub.csv --rate 10

The list begins with the 2017 tool's columns: stars, pulls, name. Beside it stand FILE.journal, every answer
that was ever got, and FILE.about.json, what the list is. Run it again with the same output and it goes on
where it was, whatever ended it; what the journal knows is not asked again. Read Docker's terms before
you crawl Docker Hub; docs/crawling.md has what to know.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done, but some listings can't be had,
4 stopped early (start again), 5 output not writable, 6 another job holds this output
"""


def add(verbs: Verbs) -> None:
    """Add the verb to the command line."""
    parser = add_verb(
        verbs, "crawl", "list the repositories of a registry, by pulls", _EXAMPLES, _run
    )
    add_job_options(parser)
    parser.add_argument("target", metavar="TARGET", help="hub, hub:NAMESPACE[,…] or catalog:HOST")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.csv", help="the list (default: repos.csv)"
    )
    parser.add_argument(
        "--tags",
        metavar="latest|all|N",
        help="which tags: latest costs no request, all and the N newest one a repository or more "
        "(default: latest; of a catalog: all)",
    )
    parser.add_argument(
        "--sample", type=int, metavar="N", help="draw N of them, stratified by pulls (default: all)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the sample (default: 0)"
    )
    parser.add_argument(
        "--budget", type=int, metavar="N", help="stop after N requests (default: none needed)"
    )
    parser.add_argument(
        "--namespaces",
        action="store_true",
        help="also list each namespace that a search of Docker Hub met",
    )
    parser.add_argument(
        "--empty-pages",
        type=int,
        default=EMPTY_PAGES,
        metavar="N",
        help="give a listing up after N pages in a row without anything new (default: %(default)s)",
    )
    parser.add_argument("--estimate", action="store_true", help="say what it would cost, and end")
    parser.add_argument(
        "--api", default="", metavar="HOST", help="what to ask (default: hub.docker.com)"
    )
    add_force_option(parser, "a list that no crawl has made")
    add_access_options(parser)
    add_config_option(parser)
    add_talk_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    from ..crawl.options import CrawlOptions, parse_tags, parse_target
    from ..crawl.run import crawl
    from ..mpi.job import run_job

    with on_every_rank():
        target = parse_target(arguments.target, arguments.api)
        for name in ("sample", "budget", "empty_pages"):
            if (value := getattr(arguments, name)) is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value} is not above 0")
        options = CrawlOptions(
            target,
            arguments.output or Path("repos.csv"),
            parse_tags(arguments.tags or ("latest" if target.is_hub else "all")),
            arguments.sample,
            arguments.seed,
            arguments.budget,
            arguments.namespaces,
            arguments.estimate,
            arguments.empty_pages,
            quiet=arguments.quiet,
            access=access_of(arguments, 5.0 if target.is_hub else 50.0),
            force=arguments.force,
        )
    return run_job(lambda comm: crawl(comm, options))
