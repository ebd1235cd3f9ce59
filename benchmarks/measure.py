"""What benchmarks share: costs of commands and processes, their options, runs of several sizes."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What a command took.

    :ivar cpu: seconds of user and system time.
    :ivar wall: seconds.
    :ivar peak: bytes of memory that its largest process had at once.
    """

    cpu: float
    wall: float
    peak: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.wall + other.wall, max(self.peak, other.peak))


NOTHING = Cost(0.0, 0.0, 0)


def measure(command: Sequence[object], output: Path, **options: Any) -> Cost:
    """Run a command to its end; what it prints goes to `output`.

    :raises RuntimeError: it failed.
    """
    with open(output, "wb") as file:
        started = os.times().elapsed
        process = subprocess.Popen([*map(str, command)], stdout=file, stderr=file, **options)
        _, status, usage = os.wait4(process.pid, 0)
        wall = os.times().elapsed - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = output.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(map(str, command))}\n{said}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def machine() -> dict[str, Any]:
    """Return what a reader must know about where figures come from."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def used_cpu() -> float:
    """Return the seconds of user and system time that this process has taken."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_bytes() -> int:
    """Return the most memory that this process has had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def launched(ranks: int) -> list[str]:
    """Return what stands before a command that runs on so many ranks."""
    return ["mpirun", "-n", str(ranks)] if ranks > 1 else []


def arguments(
    name: str, description: str | None, steps: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have that make their data.

    :param description: the docstring of the benchmark, whose first line is shown.
    :param steps: what the benchmark runs in processes of its own, by `--step`.
    """
    parser = argparse.ArgumentParser(
        prog=f"benchmarks.{name}", description=(description or "").partition("\n")[0]
    )
    parser.add_argument("--work", type=Path, help="where the data goes (default: $TMPDIR)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", choices=steps, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    return parser


def sized_runs(
    file: Path | None,
    sizes: Sequence[int],
    run: Callable[[int], dict[str, Any]],
    line: Callable[[dict[str, Any]], str],
) -> None:
    """Run a benchmark with each of some sizes, print a line for each, and write the figures.

    :param file: for the figures as JSON, None: nowhere.
    """
    results = []
    for size in sizes:
        results.append(run(size))
        print(line(results[-1]), flush=True)
    if file:
        file.write_text(json.dumps({"machine": machine(), "runs": results}, indent=1) + "\n")
