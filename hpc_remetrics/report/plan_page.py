"""The plan as a page of 80 columns or as JSON: buckets of sizes, and layers of each rank."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any

from ..config import PlanOptions
from ..log import escape
from ..progress import clock_time
from ..summaries.forecast import Forecast
from ..summaries.plan import plan_numbers
from ..wording import counted
from .text import line, size

_MOST_ROWS = 20
"""Ranks that have a row each."""


def plan_command(options: PlanOptions) -> int:
    """Print the layers of sources, and how they are divided among ranks; return the exit code."""
    numbers, found = plan_numbers(options)
    if options.json:
        print(json.dumps(numbers | ({"forecast": asdict(found)} if found else {}), indent=2))
    else:
        print(page(numbers, found, options))
    return 0


def page(numbers: dict[str, Any], found: Forecast | None, options: PlanOptions) -> str:
    """Return the page.

    :param numbers: the plan, as `plan_numbers` returns it with its forecast.
    """
    lines = [
        f"{counted(numbers['images'], 'image')}, {counted(numbers['layers'], 'layer')}, "
        f"{numbers['bytes'] / 1e9:.3f} GB compressed, {counted(numbers['skipped'], 'descriptor')} not profiled",
        *_reused(numbers["reused"]),
        "",
        f"{'bucket':<14}{'layers':>12}{'GB':>14}",
    ]
    lines += [_row(bucket["name"], bucket) for bucket in numbers["buckets"]]
    lines += ["", f"{'assigned to':<14}{'layers':>12}{'GB':>14}"]
    shares = numbers["shares"]
    lines += [_row(f"rank {share['rank']}", share) for share in shares[:_MOST_ROWS]]
    if len(shares) > _MOST_ROWS:
        lines.append(f"… and {counted(len(shares) - _MOST_ROWS, 'more rank')} (--json shows all)")
    lines.append(_row("on demand", numbers["tail"]) + "   handed out while ranks work")
    return "\n".join([*lines, *(_times(found, options) if found else [])])


def _reused(reused: dict[str, int]) -> list[str]:
    if not reused["layers"]:
        return []
    layers = counted(reused["layers"], "more layer")
    return [f"{layers}, {reused['bytes'] / 1e9:.3f} GB, of earlier datasets, not to be profiled"]


def _times(found: Forecast, options: PlanOptions) -> list[str]:
    """Return the forecast, and the line that submits the job."""
    limit = f"{found.limit_seconds // 3600}:{found.limit_seconds % 3600 // 60:02}:00"
    memory = -(-found.rank_memory_bytes // 10**6)
    reuse = [word for path in options.reuse for word in ("--reuse", str(path))]
    extract = ["--extract"] if options.extract else []
    words = shlex.join([*options.sources, *extract, *reuse])
    return [
        "",
        f"forecast for {counted(found.ranks, 'rank')} on {counted(found.nodes, 'node')}, "
        f"by the times of {escape(str(options.calibration))}",
        line(
            "profiling",
            clock_time(found.profile_seconds),
            f"the longest layer {clock_time(found.longest_seconds)}",
        ),
        line(
            "gathering",
            clock_time(found.gather_seconds),
            counted(found.entries, "entry", "entries"),
        ),
        line("scratch", size(found.scratch_bytes), "of the fullest node"),
        line("memory", size(found.memory_bytes), "of the fullest node, without what tmpfs holds"),
        "",
        f"sbatch -N {found.nodes} -n {found.ranks} --time={limit} --mem-per-cpu={memory}M \\",
        f"    slurm/analyze.sbatch {words} -o hub.h5",
    ]


def _row(name: str, numbers: dict[str, Any]) -> str:
    return f"{name:<14}{numbers['layers']:>12,}{numbers['bytes'] / 1e9:>14.3f}"
