"""Figure 18: throughput and time of each rank of the run, and failures by cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..hub_2017 import ANALYZE_RATE, DOWNLOAD_RATE, PublishedValue
from ..report_data import ReportData
from .panels import empty, legend, line, units, value_counts
from .style import COLORS, MARKERS, two_panels

_FEW = 10
"""Ranks that are numbered one by one."""


def run(figure: Any, numbers: ReportData) -> None:
    """Draw figure 18: rates of the ranks above; below, their time, and failures by cause."""
    top, bottom = figure.subfigures(2, 1)
    left, right = two_panels(top)
    ranks = numbers.ranks
    _by_rank(
        left,
        ranks.rank,
        {"": ranks.layers_per_second},
        "layers per second (1/s)",
        "count",
        ANALYZE_RATE,
    )
    _by_rank(
        right,
        ranks.rank,
        {"": ranks.bytes_per_second},
        "compressed (bytes/s)",
        "byte/s",
        DOWNLOAD_RATE,
        ":",
    )
    legend(top)
    left, right = two_panels(bottom)
    _by_rank(left, ranks.rank, ranks.seconds, "time (s)", "s")
    value_counts(right, numbers.metrics, "cause", "failures (layers)")
    right.set_title("failed and partial layers by cause", loc="left")
    legend(bottom)


def _by_rank(
    axes: Any,
    rank: Iterable[int],
    series: Mapping[str, Iterable[float]],
    ylabel: str,
    kind: str,
    reference: PublishedValue | None = None,
    dashes: str = "--",
) -> None:
    """Draw one or more values of each rank, and a published value as a line.

    :param rank: (r,) numbers of the ranks.
    :param series: label -> (r,) values; a single one has the label "".
    :param kind: what the values are, as for `panels.units`.
    :param dashes: line style of the published value.
    """
    from matplotlib.ticker import FixedLocator, MaxNLocator

    rank = list(rank)
    if not rank:
        empty(axes, "the dataset has no data of ranks")
        return
    axes.margins(y=0.2)
    for number, (name, values) in enumerate(series.items()):
        # The first series is filled, so that black on white tells it from the others
        style = {
            "color": COLORS[number],
            "fillstyle": "full" if not number else "none",
            "linestyle": "none",
        }
        axes.plot(rank, list(values), MARKERS[number], markersize=4, label=name or None, **style)
    axes.set_ylim(0)
    if reference:
        line(axes, reference.value, reference, vertical=False, dashes=dashes)
    axes.set_xlim(min(rank) - 0.5, max(rank) + 0.5)
    axes.xaxis.set_major_locator(
        FixedLocator(rank) if len(rank) <= _FEW else MaxNLocator(_FEW, integer=True)
    )
    units(axes.yaxis, kind if kind != "count" else "ratio")
    axes.set_xlabel("rank (number)")
    axes.set_ylabel(ylabel)
