"""`analyze`: profile the layers of images into one dataset."""

from __future__ import annotations

from ..config import AnalyzeOptions
from . import SOURCES_HELP, Command, on_every_rank

_EXAMPLES = """
examples:
  hpc-remetrics analyze                                     the demo images, in one process
  mpirun -n 4 python -m hpc_remetrics analyze oci:/data/layout -o hub.h5
  srun python -m hpc_remetrics analyze seed2017:/gpfs/hub -o hub.h5
  hpc-remetrics analyze oci:/data/layout --exec 'clamscan -ri {dir} >> scan-{digest}.txt'
  hpc-remetrics analyze repos:repos.csv -o hub.h5 --keep mirror     then: analyze oci:mirror
  hpc-remetrics analyze repos:repos.csv -o week-02.h5 --reuse week-01.h5
  hpc-remetrics analyze oci:/data/layout --chunks --chunk-sample 1/100
  hpc-remetrics analyze docker-archive:app.tar --platform linux/amd64 --limit entries=1000000

The same command with the same output continues after any interruption.

exit codes: 0 all done, 1 a fault of the program, 2 wrong use, 3 done, but some layers or images
are incomplete, 4 stopped early (run it again), 5 output not writable, 6 another job holds this
output
"""


def _run(options: AnalyzeOptions) -> int:
    if options.chunks:
        from ..profile.chunking import chunker

        # Say what is missing before anything starts.
        with on_every_rank():
            chunker()
    from ..analyze.run import analyze

    return analyze(options)


COMMAND = Command(
    "profile the layers of all images of the sources into one dataset, or go on with that",
    AnalyzeOptions,
    _run,
    SOURCES_HELP + _EXAMPLES,
)
