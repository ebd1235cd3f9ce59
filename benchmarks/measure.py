"""Run a command and measure the CPU time and peak memory of all its processes."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence
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
