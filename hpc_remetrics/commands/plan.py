"""`plan`: show what there is to profile, and which rank would profile it."""

from __future__ import annotations

from ..config import PlanOptions
from . import SOURCES_HELP, Command

_EXAMPLES = """
examples:
  hpc-remetrics plan oci:/data/layout
  hpc-remetrics plan seed2017:/gpfs/hub --ranks 64 --json
  hpc-remetrics plan oci:/data/layout --ranks 64 --nodes 4 --time --calibration sample.h5
  hpc-remetrics plan repos:repos.csv --reuse week-01.h5

--time predicts hours, scratch and memory from the times in the dataset of an earlier run, for
example over a few hundred of the same layers on the same machine, and prints an sbatch command.
--reuse leaves out the layers that an earlier dataset has; whether it was made with the options of
the run is what `analyze` checks.
"""


def _run(options: PlanOptions) -> int:
    from ..report.plan_page import plan_command

    return plan_command(options)


COMMAND = Command(
    "show the layers by size, and how they would be divided among ranks",
    PlanOptions,
    _run,
    SOURCES_HELP + _EXAMPLES,
)
