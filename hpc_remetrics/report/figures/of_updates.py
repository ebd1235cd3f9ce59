"""Figure 24: what updates of images pull."""

from __future__ import annotations

from typing import Any

from ..report_data import ReportData
from .panels import DECADES, bars, empty, intervals, legend, logarithmic, units
from .style import COLORS, LINES, two_panels

_NONE = "no two images of a repository with a date"

_CURVES = {"image_bytes": "whole images", "layer_bytes": "layers", "content_bytes": "files"}
"""Column of `update_growth` -> what is pulled."""


def updates(figure: Any, numbers: ReportData) -> None:
    """Draw figure 24: bytes that all updates pull by method, and how they add up."""
    row = figure.subfigures(1, 1)
    left, right = two_panels(row)
    table = numbers.metrics["update_totals"]
    has_pairs = bool(len(numbers.metrics["updates"]))
    names = [name.replace("_", " ") for name in table.readable("method")] if has_pairs else []
    bars(left, names, {"": table["bytes"]}, "bytes pulled (bytes)", "byte", none=_NONE)
    if has_pairs:
        intervals(left, table)
    _growth(right, numbers.metrics["update_growth"])
    legend(row)


def _growth(axes: Any, table: Any) -> None:
    """Draw the bytes that the first n updates of every repository pull, against n."""
    count = table["updates"]
    if not len(count):
        empty(axes, _NONE)
        return
    # Of few points these are seen by a marker alone
    points = {"marker": "."} if len(count) < 4 else {}
    for number, (name, label) in enumerate(_CURVES.items()):
        style = {"color": COLORS[number], "linestyle": LINES[number], "label": label}
        axes.plot(count, table[name], **style, **points)
    if count[-1] > DECADES:
        logarithmic(axes, 1, count[-1])
    axes.set_ylim(0)
    units(axes.xaxis, "count")
    units(axes.yaxis, "byte")
    axes.set_xlabel("updates of each repository (number)")
    axes.set_ylabel("bytes pulled so far (bytes)")
