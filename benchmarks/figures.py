"""CPU time of `plot`: all figures in all formats, in one format each, and a single figure.

    python -m benchmarks.figures [DATASET.h5] [--runs 5] [--json FILE]

Without a dataset, that of the demo is made first. The difference between the whole and one format
is what the other formats cost; a single figure shows what the start of matplotlib costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from .measure import machine, measure

CASES: dict[str, list[str]] = {
    "all formats": [],
    "png": ["--format", "png"],
    "svg": ["--format", "svg"],
    "pdf": ["--format", "pdf"],
    "figure 1 as png": ["--format", "png", "--figure", "1"],
}
"""Name -> options of `plot`."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    program = [sys.executable, "-m", "hpc_remetrics"]
    figures: dict[str, Any] = {"machine": machine(), "cpu": {}}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        log = directory / "log"
        dataset = options.dataset
        if dataset is None:
            dataset = directory / "demo.h5"
            measure([*program, "analyze", "-q", "demo:", "-o", dataset], log)

        # Take the cases in turns, so that a busy machine is unfair to none
        seconds: dict[str, list[float]] = {case: [] for case in CASES}
        for _ in range(options.runs):
            for case, words in CASES.items():
                command = [*program, "plot", dataset, "-o", directory / "figures", *words]
                seconds[case].append(measure(command, log).cpu)
    print(f"CPU seconds: median (min-max) of {options.runs} runs")
    for case, values in seconds.items():
        figures["cpu"][case] = statistics.median(values)
        print(f"  {case:<16}{figures['cpu'][case]:6.2f} ({min(values):.2f}-{max(values):.2f})")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
