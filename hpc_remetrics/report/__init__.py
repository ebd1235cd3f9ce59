"""Pages about datasets and plans: they print and draw what `metrics` computed, and compute nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path


def report_command(path: Path, as_json: bool) -> int:
    """Print the totals of a dataset as a page or as JSON; return the exit code."""
    from ..metrics.totals import totals
    from ..store.dataset import Dataset
    from .text import page

    with Dataset(path) as dataset:
        found = totals(dataset)
    print(json.dumps(dataclasses.asdict(found), indent=2) if as_json else page(found, str(path)))
    return 0
