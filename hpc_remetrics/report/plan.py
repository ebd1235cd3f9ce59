"""The plan as a page: the four buckets, and what each rank would take (the 2017 tool's job divider)."""

from __future__ import annotations

import json
from typing import Any

from ..cluster.comm import SerialComm
from ..config import PlanOptions
from ..plan import Plan, cost, divide, make_plan, unique_layers
from ..records import Catalog, Layer
from ..registry.pool import Registries
from ..resolving import Resolver
from ..sources import open_source

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
    print(json.dumps(numbers, indent=2) if options.json else _page(numbers))
    return 0


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
        f"{numbers['images']} images, {numbers['layers']} layers, {numbers['bytes'] / 1e9:.3f} GB compressed, "
        f"{numbers['skipped']} things counted apart",
        "",
        f"{'bucket':<14}{'layers':>12}{'GB':>14}",
    ]
    lines += [_row(bucket["name"], bucket) for bucket in numbers["buckets"]]
    lines += ["", f"{'share of':<14}{'layers':>12}{'GB':>14}"]
    shares = numbers["shares"]
    lines += [_row(f"rank {share['rank']}", share) for share in shares[:_MOST_ROWS]]
    if len(shares) > _MOST_ROWS:
        lines.append(f"… and {len(shares) - _MOST_ROWS} ranks more (--json shows all)")
    lines.append(_row("the tail", numbers["tail"]) + "   dealt out on demand")
    return "\n".join(lines)


def _row(name: str, numbers: dict[str, Any]) -> str:
    return f"{name:<14}{numbers['layers']:>12,}{numbers['bytes'] / 1e9:>14.3f}"
