"""CPU time that compressing a sample and cutting chunks add to profiling the images of a source.

    python -m benchmarks.what_if [SOURCE] [--repeat N] [--json FILE]

Each variant profiles the same layers in one process; of the repeats the least time counts. All
contents are compressed, and what the default sample costs is its share of that, which a run of its
own would show with noise of that order.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import hpc_remetrics
from hpc_remetrics.config import SAMPLE

from .measure import machine

VARIANTS = {
    "neither": ["--compress-sample", "0"],
    "all compressed": ["--compress-sample", "1"],
    "chunks": ["--compress-sample", "0", "--chunks"],
}


def seconds(source: str, options: list[str], directory: Path) -> tuple[float, int]:
    """Return the CPU seconds of one run's passes over its layers, and the bytes of their files."""
    output = directory / "what_if.h5"
    command = [
        sys.executable,
        "-m",
        "hpc_remetrics",
        "analyze",
        source,
        "-o",
        str(output),
        "-q",
        *options,
    ]
    if (code := subprocess.run(command).returncode) not in (0, 3):  # 3: some layers are not whole
        raise SystemExit(code)
    with hpc_remetrics.open(output) as dataset:
        return float(dataset.ranks["profile_cpu_seconds"].sum()), int(dataset.layers["FLS"].sum())


def measured(source: str, repeat: int) -> dict[str, Any]:
    """Return the times of all variants and what they mean."""
    found: dict[str, float] = {}
    size = 0
    for name in [*VARIANTS] * repeat:
        with tempfile.TemporaryDirectory() as directory:
            cpu, size = seconds(source, VARIANTS[name], Path(directory))
        found[name] = min(found.get(name, cpu), cpu)
        print(f"{name}: {cpu:.2f} s", file=sys.stderr, flush=True)
    base = found["neither"]
    return {
        "machine": machine(),
        "bytes": size,
        "seconds": {name: round(cpu, 3) for name, cpu in found.items()},
        "sample_share": round((found["all compressed"] / base - 1) * float(SAMPLE), 4),
        "chunks_share": round(found["chunks"] / base - 1, 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.what_if", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("source", nargs="?", default="demo:", metavar="SOURCE")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = measured(options.source, options.repeat)
    print(
        f"a sample of {SAMPLE} takes {result['sample_share']:.1%} more CPU time, "
        f"--chunks {result['chunks_share']:.0%}"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
