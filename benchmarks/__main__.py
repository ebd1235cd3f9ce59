"""Run benchmarks one after the other, each in a process of its own.

    python -m benchmarks [NAME…]     all by default; `python -m benchmarks.NAME --help` for one

Tables go to the terminal, figures to bench-data/NAME.json.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALL = (
    "startup",
    "figures",
    "compare",
    "gather",
    "images",
    "download",
    "registry",
    "scale",
    "ranks",
    "reduce",
    "what_if",
)


def main() -> int:
    names = sys.argv[1:] or ALL
    if unknown := [name for name in names if name not in ALL]:
        print(
            f"no benchmark is called {unknown[0]!r}; choose from {', '.join(ALL)}", file=sys.stderr
        )
        return 2
    results = Path("bench-data")
    results.mkdir(exist_ok=True)
    for name in names:
        print(f"\n{name}", flush=True)
        subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json", results / f"{name}.json"],
            check=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
