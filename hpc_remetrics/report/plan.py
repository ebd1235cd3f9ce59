"""The plan as a page: the four buckets, and what each rank would take (the 2017 tool's job divider)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..buckets import divide
from ..cluster.comm import SerialComm
from ..config import PlanOptions
from ..log import escape
from ..metrics.forecast import Forecast, forecast, rates_of
from ..plan import Plan, cost, make_plan, unique_layers
from ..progress import clock_time
from ..records import Catalog, Layer
from ..registry.pool import Registries
from ..resolving import Resolver
from ..sources import open_source
from ..sources.base import Source
from ..wording import counted
from .text import line, size

_MOST_ROWS = 20
"""Ranks that are shown one by one."""


def plan_command(options: PlanOptions) -> int:
    """Print what there is to profile in the sources and how it would be dealt out; return the exit code."""
    registries = Registries(options.access)
    sources = [open_source(reference, registries) for reference in options.sources]
    for source in sources:
        source.prepare()
    catalog = Resolver(options.platforms, options.limits).resolve(SerialComm(), sources, registries) or Catalog()
    layers = unique_layers(catalog)
    # Rank 0 of several profiles nothing.
    plan = make_plan(layers.values(), max(options.ranks - 1, 1))
    numbers = _numbers(catalog, list(layers.values()), plan, options.ranks)
    found = _forecast(options, sources, list(layers.values()))
    if options.json:
        print(json.dumps(numbers | ({"forecast": asdict(found)} if found else {}), indent=2))
    else:
        print("\n".join([_page(numbers), *(_times(found, options) if found else [])]))
    return 0


def _forecast(options: PlanOptions, sources: Sequence[Source], layers: Sequence[Layer]) -> Forecast | None:
    if options.calibration is None:
        return None
    remote = any(source.is_remote for source in sources)
    sizes = [layer.size for layer in layers]
    rates = rates_of(options.calibration)
    return forecast(rates, sizes, sizes if remote else [0] * len(sizes), options.ranks, options.nodes, options.extract)


def _times(found: Forecast, options: PlanOptions) -> list[str]:
    """Return the forecast, and the line that submits the job."""
    limit = f"{found.limit_seconds // 3600}:{found.limit_seconds % 3600 // 60:02}:00"
    memory = -(-found.rank_memory_bytes // 10**6)
    words = shlex.join([*options.sources, *(["--extract"] if options.extract else [])])
    return [
        "",
        f"forecast for {counted(found.ranks, 'rank')} on {counted(found.nodes, 'node')}, "
        f"by the times of {escape(str(options.calibration))}",
        line("profiling", clock_time(found.profile_seconds), f"the longest layer {clock_time(found.longest_seconds)}"),
        line("gathering", clock_time(found.gather_seconds), counted(found.entries, "entry", "entries")),
        line("scratch", size(found.scratch_bytes), "of the fullest node"),
        line("memory", size(found.memory_bytes), "of the fullest node, without what tmpfs holds"),
        "",
        f"sbatch -N {found.nodes} -n {found.ranks} --time={limit} --mem-per-cpu={memory}M \\",
        f"    slurm/analyze.sbatch {words} -o hub.h5",
    ]


def _numbers(catalog: Catalog, layers: list[Layer], plan: Plan, ranks: int) -> dict[str, Any]:
    first = 1 if ranks > 1 else 0
    return {
        "images": len(catalog.images),
        "skipped": len(catalog.skipped),
        **_sum(layers),
        "buckets": [{"name": bucket.name, **_sum(bucket.layers)} for bucket in divide(layers)],
        "ranks": ranks,
        "shares": [{"rank": first + n, **_sum(share)} for n, share in enumerate(plan.shares)],
        "tail": _sum(plan.tail),
    }


def _sum(layers: Any) -> dict[str, Any]:
    return {
        "layers": len(layers),
        "bytes": sum(max(layer.size, 0) for layer in layers),
        "estimated_cost": round(sum(map(cost, layers)), 3),
    }


def _page(numbers: dict[str, Any]) -> str:
    lines = [
        f"{counted(numbers['images'], 'image')}, {counted(numbers['layers'], 'layer')}, "
        f"{numbers['bytes'] / 1e9:.3f} GB compressed, {counted(numbers['skipped'], 'thing')} counted apart",
        "",
        f"{'bucket':<14}{'layers':>12}{'GB':>14}",
    ]
    lines += [_row(bucket["name"], bucket) for bucket in numbers["buckets"]]
    lines += ["", f"{'share of':<14}{'layers':>12}{'GB':>14}"]
    shares = numbers["shares"]
    lines += [_row(f"rank {share['rank']}", share) for share in shares[:_MOST_ROWS]]
    if len(shares) > _MOST_ROWS:
        lines.append(f"… and {counted(len(shares) - _MOST_ROWS, 'more rank')} (--json shows all)")
    lines.append(_row("the tail", numbers["tail"]) + "   dealt out on demand")
    return "\n".join(lines)


def _row(name: str, numbers: dict[str, Any]) -> str:
    return f"{name:<14}{numbers['layers']:>12,}{numbers['bytes'] / 1e9:>14.3f}"
