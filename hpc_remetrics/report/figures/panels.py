"""Panels of figures: CDFs, histograms, bars and marks; they draw numbers as they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...dataset.metrics import Distribution, Metrics
from ...log import escape
from ..hub_2017 import DISTRIBUTIONS, PublishedValue
from .fonts import FAMILY, font_of
from .style import COLORS, GREY, HATCHES, LINES, MARKERS

MOST_BARS = 12
_LABEL = 38
_LEGEND, _HANDLE = 112, 10
"""Width of a legend, and of a line with its space, in characters."""

_FEW_BARS = 3
DECADES = 30
"""Counts and ratios up to this stand on a linear axis."""

_KINDS = {"count": "", "ratio": "", "byte": "B", "byte/s": "B/s", "s": "s"}


def empty(axes: Any, text: str) -> None:
    """Write in an empty panel why there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=GREY)


def legend(row: Any) -> None:
    """Put the legend of a row of panels below it, each label once, published values last."""
    found: dict[str, Any] = {}
    for axes in panels_of(row):
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        labels = sorted(found, key=lambda label: label.startswith("2017"))
        handles = [found[label] for label in labels]
        row.legend(handles, labels, loc="outside lower center", ncols=_columns(labels))


def _columns(labels: list[str]) -> int:
    """Return the number of columns in which a legend with these labels fits below a figure."""
    for columns in (4, 3, 2):
        parts = [part for part in np.array_split(labels, columns) if len(part)]
        if sum(max(map(len, part)) + _HANDLE for part in parts) <= _LEGEND:
            return columns
    return 1


def panels_of(row: Any) -> list[Any]:
    """Return the panels of a figure or subfigure, those of its subfigures too."""
    return [*row.axes, *(axes for part in row.subfigs for axes in panels_of(part))]


def cdf_and_histogram(
    row: Any, metrics: Metrics, curves: Mapping[str, str], xlabel: str, counted: str
) -> None:
    """Draw distributions of one unit: CDFs on the left, histograms on the right, a legend below.

    :param curves: name of a distribution -> label.
    :param counted: plural of what has the values, such as layers.
    """
    left, right = row.subfigures(1, 2)
    cdf(left.subplots(), metrics, curves, xlabel, f"share of {counted}")
    histograms(right, metrics, curves, xlabel, counted)
    legend(row)


def cdf(axes: Any, metrics: Metrics, curves: Mapping[str, str], xlabel: str, ylabel: str) -> None:
    """Draw the CDFs of distributions, and the published values.

    :param curves: name of a distribution -> label.
    """
    drawn = _with_values(metrics, curves)
    if not drawn:
        empty(axes, "no data")
        return
    marks: list[float] = []
    for number, (label, one) in enumerate(drawn):
        style = {
            "color": COLORS[number],
            "linestyle": LINES[number],
            "drawstyle": "steps-post",
            "label": label,
        }
        axes.plot(one.value, one.probability, **style)
        for reference in DISTRIBUTIONS.get(one.name, ()):
            mark(axes, reference.value, reference.share, reference, len(marks))
            marks.append(reference.value)
    _scale(axes, [one for _, one in drawn], marks)
    axes.set_ylim(-0.03, 1.04)
    percent(axes.yaxis)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)


def histograms(
    part: Any, metrics: Metrics, curves: Mapping[str, str], xlabel: str, counted: str
) -> None:
    """Draw histograms one below another, with the line styles of their CDFs."""
    drawn = _with_values(metrics, curves)
    if not drawn:
        empty(part.subplots(), "no data")
        return
    panels = part.subplots(len(drawn), 1, sharex=True, squeeze=False).flat
    for number, (axes, (_, one)) in enumerate(zip(panels, drawn, strict=True)):
        bounds, style = (
            [*one.low, one.high[-1]],
            {"color": COLORS[number], "linestyle": LINES[number]},
        )
        axes.stairs(one.bin_count, bounds, fill=True, color="#e4e4e4")
        axes.stairs(one.bin_count, bounds, linewidth=0.9, **style)
        axes.set_ylim(0)
        units(axes.yaxis, "count", most=4 if len(drawn) == 1 else 2)
    _scale(axes, [one for _, one in drawn])
    axes.set_xlabel(xlabel)
    part.supylabel(f"{counted} in a bin", fontsize=8)


def bars(
    axes: Any,
    labels: Sequence[str],
    series: Mapping[str, Iterable[float]],
    xlabel: str,
    kind: str = "share",
    none: str = "no data",
) -> None:
    """Draw horizontal bars, the first on top, for each label one of each series.

    Counts and bytes that span decades stand on a logarithmic axis.

    :param kind: what the values are: share, count, ratio, byte, byte/s or s.
    """
    labels = list(labels)[:MOST_BARS]
    if not labels:
        empty(axes, none)
        return
    height = 0.8 / len(series)
    drawn = {
        name: np.nan_to_num(np.asarray(list(values)[:MOST_BARS], float))
        for name, values in series.items()
    }
    for number, (name, shown) in enumerate(drawn.items()):
        places = np.arange(len(labels)) + height * (number - (len(series) - 1) / 2)
        face = "#dddddd" if number else "#555555"
        hatch = {
            "hatch": HATCHES[number],
            "facecolor": face,
            "edgecolor": "black",
            "linewidth": 0.5,
        }
        axes.barh(places, shown, height, label=name if len(series) > 1 else None, **hatch)
    axes.set_ylim(max(len(labels), _FEW_BARS) - 0.4, -0.6)
    names = [short(label) for label in labels]
    axes.set_yticks(range(len(names)), names, **font_of(names))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    if kind in ("count", "byte") and _spans_decades(np.concatenate(list(drawn.values()))):
        logarithmic(axes, 0, max(axes.get_xlim()))
    percent(axes.xaxis) if kind == "share" else units(axes.xaxis, kind)
    axes.set_xlabel(xlabel)


def _spans_decades(values: np.ndarray) -> bool:
    return bool(values.max() > DECADES**2 and values.max() > DECADES * values[values > 0].min())


def value_counts(axes: Any, metrics: Metrics, variable: str, xlabel: str) -> None:
    """Draw how often each value of a categorical variable occurs."""
    table = metrics["value_counts"]
    chosen = table.readable("variable") == variable
    names = [name or "not said" for name in table.readable("value")[chosen]]
    bars(
        axes,
        names,
        {"": table["count"][chosen]},
        xlabel,
        "count",
        none=f"no {xlabel.partition(' ')[0]}",
    )


def largest(table: Any, column: str, most: int = MOST_BARS) -> np.ndarray:
    """Return the rows with the largest values of a column, largest first, (most,) int64."""
    return np.argsort(-table[column], kind="stable")[:most]


def mark(axes: Any, x: float, y: float, reference: PublishedValue, number: int = 0) -> None:
    """Mark a published value at a point."""
    style = {
        "color": "white",
        "markeredgecolor": "#B00020",
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }
    label = f"2017: {reference.text} ({reference.source})"
    axes.plot(
        [x],
        [y],
        MARKERS[number % len(MARKERS)],
        markersize=5,
        label=label,
        zorder=5,
        clip_on=False,
        **style,
    )


def line(
    axes: Any, value: float, reference: PublishedValue, vertical: bool = True, dashes: str = "--"
) -> None:
    """Mark a published value by a line through the panel."""
    draw = axes.axvline if vertical else axes.axhline
    style = {"color": "#B00020", "linestyle": dashes, "linewidth": 1}
    draw(value, label=f"2017: {reference.text} ({reference.source})", **style)


def percent(axis: Any) -> None:
    """Label an axis in percent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_formatter(FuncFormatter(lambda value, _: _percent(value)))
    axis.set_major_locator(MaxNLocator(5))


def _percent(value: float) -> str:
    """Return a share as per cent, as short as it goes.

    >>> _percent(0.5), _percent(0.025), _percent(0.00002)
    ('50 %', '2.5 %', '0.002 %')
    """
    text = f"{value:.6%}".rstrip("%").rstrip("0").rstrip(".")
    return f"{text} %"


def units(axis: Any, kind: str, most: int = 4) -> None:
    """Label an axis with SI prefixes and a unit; a linear axis gets about `most` ticks."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    prefixed = EngFormatter(_KINDS[kind], sep=" " if _KINDS[kind] else "")
    plain = kind in ("count", "ratio")
    axis.set_major_formatter(
        lambda value, _: f"{value:.4g}" if plain and value < 1000 else prefixed(value)
    )
    if axis.get_scale() == "linear":
        axis.set_major_locator(MaxNLocator(most, integer=kind == "count", min_n_ticks=1))


def logarithmic(axes: Any, low: float, high: float) -> None:
    """Make an x axis logarithmic; with values below 1 it begins at 0 and is linear up to 1.

    Every decade has a tick; where there are many, only those of SI prefixes have a number.
    """
    from matplotlib.ticker import FixedLocator, NullFormatter

    last = math.ceil(math.log10(max(high, 10)))
    if low < 1:
        axes.set_xscale("symlog", linthresh=1, linscale=0.4)
        first, numbered = 0, [0.0]
    else:
        axes.set_xscale("log")
        first, numbered = math.floor(math.log10(low)), []
    step = 1 if last - first < 5 else 3
    numbered += [10.0**n for n in range(first, last + 1) if not n % step and (n or not numbered)]
    axes.xaxis.set_major_locator(FixedLocator(numbered))
    axes.xaxis.set_minor_locator(FixedLocator([10.0**n for n in range(first, last + 1)]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def short(text: str, most: int = _LABEL) -> str:
    """Return a label cut in its middle, with characters that the font lacks escaped.

    >>> short("library/python", 9), short("a\\n日")
    ('libr…thon', 'a\\\\n\\\\u65e5')
    """
    text = "".join(char if ord(char) in _glyphs() else ascii(char)[1:-1] for char in escape(text))
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-((most - 1) // 2) :]}"


@cache
def _glyphs() -> frozenset[int]:
    """Return the code points that the font of the figures has."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FAMILY)).get_charmap())


def _with_values(metrics: Metrics, curves: Mapping[str, str]) -> list[tuple[str, Distribution]]:
    found = [(label, metrics.distribution(name)) for name, label in curves.items()]
    return [(label, one) for label, one in found if one.count]


def _scale(axes: Any, shown: list[Distribution], marks: Sequence[float] = ()) -> None:
    """Choose the scale of an x axis, logarithmic where values span decades."""
    kind = "byte" if shown[0].unit == "byte" else "count"
    low = min(one.min for one in shown)
    high = max(*(one.max for one in shown), *marks, 0)
    if all(one.scale == "share" for one in shown):
        axes.set_xlim(-0.02, 1.02)
        percent(axes.xaxis)
        return
    if kind == "byte" or (high > DECADES and all(one.scale == "log" for one in shown)):
        logarithmic(axes, low, high)
        if low < 1:
            axes.set_xlim(-0.1)
    units(axes.xaxis, kind)
