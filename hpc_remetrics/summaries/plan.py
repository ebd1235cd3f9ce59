"""Numbers of the command `plan`: layers by size, layers of each rank, and the forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..analyze.plan import Plan, cost, make_plan
from ..analyze.reuse import takeable_digests
from ..buckets import divide, total_size
from ..claimed_sizes import unique_layers
from ..config import PlanOptions
from ..mpi.comm import SerialComm
from ..records import Catalog, Layer
from ..registry.registries import Registries
from ..sources import open_source
from ..sources.base import Source
from ..sources.resolver import Resolver
from .forecast import Forecast, forecast, rates_of


def plan_numbers(options: PlanOptions) -> tuple[dict[str, Any], Forecast | None]:
    """Resolve the sources, and return the numbers of a plan for their layers.

    :returns: the numbers, and a forecast if the options name an earlier run to calibrate it.
    """
    registries = Registries(options.access)
    sources = [open_source(reference, registries) for reference in options.sources]
    for source in sources:
        source.prepare()
    resolver = Resolver(options.platforms, options.limits)
    catalog = resolver.resolve(SerialComm(), sources, registries) or Catalog()
    everything = unique_layers(catalog)
    taken = takeable_digests(options.reuse, everything)
    layers = [layer for digest, layer in everything.items() if digest not in taken]
    reused = [layer for digest, layer in everything.items() if digest in taken]
    # Rank 0 of several ranks profiles nothing
    plan = make_plan(layers, max(options.ranks - 1, 1))
    numbers = _numbers(catalog, layers, reused, plan, options.ranks)
    return numbers, _forecast(options, sources, layers, reused)


def _forecast(
    options: PlanOptions,
    sources: Sequence[Source],
    layers: Sequence[Layer],
    reused: Sequence[Layer],
) -> Forecast | None:
    if options.calibration is None:
        return None
    sizes = [layer.size for layer in layers]
    is_fetched = any(source.is_remote for source in sources)
    return forecast(
        rates_of(options.calibration),
        sizes,
        sizes if is_fetched else [0] * len(sizes),
        ranks=options.ranks,
        nodes=options.nodes,
        unpack=options.extract,
        reused=[layer.size for layer in reused],
    )


def _numbers(
    catalog: Catalog, layers: list[Layer], reused: list[Layer], plan: Plan, ranks: int
) -> dict[str, Any]:
    first = 1 if ranks > 1 else 0  # number of the first rank that profiles
    return {
        "images": len(catalog.images),
        "skipped": len(catalog.skipped),
        **_sum(layers),
        "reused": {"layers": len(reused), "bytes": total_size(reused)},
        "buckets": [{"name": bucket.name, **_sum(bucket.layers)} for bucket in divide(layers)],
        "ranks": ranks,
        "shares": [{"rank": first + n, **_sum(share)} for n, share in enumerate(plan.assigned)],
        "tail": _sum(plan.tail),
    }


def _sum(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the number of layers, their bytes, and their cost in seconds."""
    return {
        "layers": len(layers),
        "bytes": total_size(layers),
        "estimated_cost": round(sum(map(cost, layers)), 3),
    }
