"""Pages about datasets and plans: they print and draw what `metrics` computed, and compute nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path


def report_command(path: Path, as_json: bool) -> int:
    """Print the totals of a dataset as a page or as JSON; return the exit code."""
    from ..metrics.run import run_totals
    from ..metrics.totals import totals
    from ..store.dataset import Dataset
    from .run import section
    from .text import page

    with Dataset(path) as dataset:
        found, run = totals(dataset), run_totals(dataset)
    if as_json:
        print(json.dumps({**dataclasses.asdict(found), "run": dataclasses.asdict(run)}, indent=2))
    else:
        print("\n".join([page(found, str(path)), *section(run)]))
    return 0
