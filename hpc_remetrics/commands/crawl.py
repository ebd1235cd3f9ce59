"""`crawl`: list the repositories of a registry."""

from __future__ import annotations

from ..crawl.options import CrawlOptions
from . import Command

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

The list begins with the columns of the 2017 tool: stars, pulls, name. FILE.journal beside it has
every response, and FILE.about.json describes the list. The same command with the same output
continues after any interruption, and makes no request that the journal answers. Read Docker's
terms before you crawl Docker Hub; docs/crawling.md explains what to consider.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done, but some listings are
missing, 4 stopped early (run it again), 5 output not writable, 6 another job holds this output
"""


def _run(options: CrawlOptions) -> int:
    from ..crawl.run import crawl
    from ..mpi.job import run_job

    return run_job(lambda comm: crawl(comm, options))


COMMAND = Command(
    "list the repositories of a registry, those with most pulls first",
    CrawlOptions,
    _run,
    _EXAMPLES,
)
