"""Draw one panel of a figure: a CDF, a histogram, bars or dots, and published values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from string import ascii_lowercase
from textwrap import fill
from typing import Any

import numpy as np

from ...dataset.metrics import Distribution, Metrics
from ...log import escape
from ..figure_defaults import WIDTH
from ..hub_2017 import DISTRIBUTIONS, PublishedValue
from .fonts import FAMILY, font_of
from .style import COLORS, GREY, HATCHES, LINES, MARKERS, look

MOST_BARS = 12
_LABEL = 38
_LEGEND = 112
"""Characters in a line of the legend of a figure of the usual width."""

_COLUMN_LABEL = 28
"""Characters of a label in a narrow figure; `_COLUMN_LEGEND` of a line of its legend."""

_COLUMN_LEGEND = 44

_HANDLE = 10
"""Characters that the line or marker before a label takes with its space."""

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
        if look().is_narrow:
            labels = [fill(label, _COLUMN_LEGEND) for label in labels]
        row.legend(handles, labels, loc="outside lower center", ncols=_columns(labels))


def _columns(labels: list[str]) -> int:
    """Return the number of columns in which a legend with these labels fits below a figure."""
    for columns in (4, 3, 2):
        parts = [part for part in np.array_split(labels, columns) if len(part)]
        chars = sum(max(map(len, part)) + _HANDLE for part in parts)
        if chars <= _LEGEND * look().width / WIDTH:
            return columns
    return 1


def letter(figure: Any) -> None:
    """Call the panels of a figure (a), (b), …, before their titles."""
    for name, axes in zip(ascii_lowercase, panels_of(figure), strict=False):
        place = "right" if axes.get_title("right") else "left"
        axes.set_title(f"({name}) {axes.get_title(place)}".rstrip(), loc=place)


def fit_column(figure: Any) -> None:
    """Wrap the axis labels of a narrow figure, and end its titles at the right edge."""
    for axes in panels_of(figure):
        axes.set_xlabel(fill(axes.get_xlabel(), _COLUMN_LABEL))
        if title := axes.get_title("left"):
            axes.set_title("", loc="left")
            axes.set_title(title, loc="right")


def panels_of(row: Any) -> list[Any]:
    """Return the panels of a figure or subfigure, those of its subfigures too."""
    found = [*row.axes, *(axes for part in row.subfigs for axes in panels_of(part))]
    # A figure has the panels of its subfigures among its own
    return list(dict.fromkeys(found))


def cdf_and_histogram(
    row: Any, metrics: Metrics, curves: Mapping[str, str], xlabel: str, counted: str
) -> None:
    """Draw distributions of one unit: CDFs on the left, histograms on the right, a legend below.

    :param curves: name of a distribution -> label.
    :param counted: plural of what has the values, such as layers.
    """
    left, right = row.subfigures(2, 1) if look().is_narrow else row.subfigures(1, 2)
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
    for number, (label, one) in enumerate(drawn):
        style = {
            "color": COLORS[number],
            "linestyle": LINES[number],
            "drawstyle": "steps-post",
            "label": label,
        }
        axes.plot(one.value, one.probability, **style)
    _scale(axes, [one for _, one in drawn])
    axes.set_ylim(-0.03, 1.04)
    published = [value for _, one in drawn for value in DISTRIBUTIONS.get(one.name, ())]
    for number, reference in enumerate(published):
        mark(axes, reference.value, reference.share, reference, number)
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
    panels = list(part.subplots(len(drawn), 1, sharex=True, squeeze=False).flat)
    shown = [one for _, one in drawn]
    scale = _scale_of(shown)
    for number, (axes, (_, one)) in enumerate(zip(panels, drawn, strict=True)):
        heights = density(one, scale)
        bounds = [*one.low, one.high[-1]]
        style = {"color": COLORS[number], "linestyle": LINES[number]}
        axes.stairs(heights, bounds, fill=True, color="#e4e4e4")
        axes.stairs(heights, bounds, linewidth=0.9, **style)
        axes.set_ylim(0)
        units(axes.yaxis, "ratio", most=4 if len(drawn) == 1 else 2)
    _scale(axes, shown)
    axes.set_xlabel(xlabel)
    part.supylabel(f"{counted} per {_PER[scale]}", fontsize="medium")


_PER = {"log": "octave", "linear": "unit", "share": "bin"}
"""Scale of an axis -> the width to which the heights of a histogram refer."""


def density(one: Distribution, scale: str) -> np.ndarray:
    """Return the heights of a histogram, (b,) float.

    Bins are not equally wide: they are quarters of powers of two, and of counts below 8 single
    numbers. Counts by themselves would show a comb that is not in the data.

    :param scale: of the axis: `log`: values per octave, where a bin from 0 to 1 is one octave;
        `linear`: values per 1; `share`: values in a bin, since those are equally wide.
    """
    if scale == "share":
        return one.bin_count.astype(float)
    if scale == "linear":
        return one.bin_count / (one.high - one.low)
    octaves = np.ones(len(one.low))
    positive = one.low > 0
    octaves[positive] = np.log2(one.high[positive] / one.low[positive])
    return one.bin_count / octaves


def bars(
    axes: Any,
    labels: Sequence[str],
    series: Mapping[str, Iterable[float]],
    xlabel: str,
    kind: str = "share",
    none: str = "no data",
    most: int = _LABEL,
) -> None:
    """Draw horizontal bars, the first on top, for each label one of each series.

    Counts and bytes that span decades are dots on a logarithmic axis: it has no zero from which
    the length of a bar could be read.

    :param labels: as they are; here they are cut, once.
    :param kind: what the values are: share, count, ratio, byte, byte/s or s.
    :param most: characters of a label, of which a narrow figure shows fewer.
    """
    labels = list(labels)[:MOST_BARS]
    if not labels:
        empty(axes, none)
        return

    drawn = {
        name: np.nan_to_num(np.asarray(list(values)[:MOST_BARS], float))
        for name, values in series.items()
    }
    every = np.concatenate(list(drawn.values()))
    has_dots = kind in ("count", "byte") and _spans_decades(every)
    _draw_groups(axes, drawn, has_dots)
    _label_groups(axes, labels, most)
    axes.grid(axis="y", visible=has_dots)

    # Label the axis of the values
    if has_dots:
        logarithmic(axes, every.min(), every.max())
    else:
        axes.set_xlim(0, axes.get_xlim()[1] if every.max() > 0 else 1)
    if kind == "share":
        percent(axes.xaxis)
    else:
        units(axes.xaxis, kind)
    axes.set_xlabel(xlabel)


def _draw_groups(axes: Any, series: Mapping[str, np.ndarray], has_dots: bool) -> None:
    """Draw a group of bars, or of dots, at each label; a group takes 0.8 of its room.

    :param series: name -> (labels,) f8.
    """
    height = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = np.arange(len(values)) + height * (number - (len(series) - 1) / 2)
        face = "#dddddd" if number else "#555555"
        label = name if len(series) > 1 else None
        if has_dots:
            axes.plot(values, places, "o", markersize=4.5, color=face, label=label)
            continue
        axes.barh(
            places,
            values,
            height,
            label=label,
            hatch=HATCHES[number],
            facecolor=face,
            edgecolor="black",
            linewidth=0.5,
        )


def _label_groups(axes: Any, labels: Sequence[str], most: int) -> None:
    """Put the labels beside the groups of bars, the first on top, few of them in the middle.

    :param most: characters of a label, of which a narrow figure shows fewer.
    """
    room = (max(_FEW_BARS - len(labels), 0) + 1.2) / 2
    axes.set_ylim(len(labels) - 1 + room, -room)
    most = min(most, _COLUMN_LABEL) if look().is_narrow else most
    names = [short(label, most) for label in labels]
    axes.set_yticks(range(len(names)), names, **font_of(names))
    axes.tick_params(axis="y", length=0)


def intervals(axes: Any, table: Any) -> None:
    """Draw the confidence intervals of the bars of a table's rows that are estimates."""
    for place, (low, high) in enumerate(zip(table["ci_low"], table["ci_high"], strict=True)):
        if table["is_estimated"][place]:
            label = "95 % confidence interval"
            axes.plot([low, high], [place, place], color="#B00020", linewidth=2, label=label)


def _spans_decades(values: np.ndarray) -> bool:
    """Say whether values, (n,), are so large and so different that a linear axis hides some."""
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
    """Mark a published value at a point of a panel whose axes have their range already.

    A value beyond the range stands at the edge, filled, with an arrow in its label: what others
    measured stretches no axis.
    """
    if not look().has_references:
        return
    low, high = axes.get_xlim()
    place = min(max(x, low), high)
    style = {
        "color": "white" if place == x else "#B00020",
        "markeredgecolor": "#B00020",
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }
    symbol = MARKERS[number % len(MARKERS)]
    label = _label(reference, x - place)
    axes.plot([place], [y], symbol, markersize=5, label=label, zorder=5, clip_on=False, **style)
    axes.set_xlim(low, high)


def _label(reference: PublishedValue, beyond: float, arrows: str = "←→") -> str:
    """Return the label of a published value, with an arrow if it is beyond the range of the axis.

    :param beyond: by how much; negative: below it.
    """
    arrow = f" {arrows[int(beyond > 0)]}" if beyond else ""
    return f"2017: {reference.text} ({reference.source}){arrow}"


def line(
    axes: Any, value: float, reference: PublishedValue, vertical: bool = True, dashes: str = "--"
) -> None:
    """Mark a published value by a line through a panel whose axes have their range already.

    A value beyond the range is a line at the edge, with an arrow in its label.
    """
    if not look().has_references:
        return
    low, high = axes.get_xlim() if vertical else axes.get_ylim()
    place = min(max(value, low), high)
    label = _label(reference, value - place, "←→" if vertical else "↓↑")
    draw = axes.axvline if vertical else axes.axhline
    draw(place, label=label, color="#B00020", linestyle=dashes, linewidth=1, clip_on=False)


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

    Every decade has a tick; where there are many, only those of SI prefixes have a number, and
    where there are fewer than three, 2 and 5 times a decade have one too.
    """
    from matplotlib.ticker import FixedLocator, NullFormatter

    last = math.ceil(math.log10(max(high, 10)))
    if low < 1:
        axes.set_xscale("symlog", linthresh=1, linscale=0.4)
        first, numbered = 0, [0.0]
    else:
        axes.set_xscale("log")
        first, numbered = math.floor(math.log10(low)), []
    step = 1 if last - first < 6 else 3
    numbered += [10.0**n for n in range(first, last + 1) if not n % step and (n or not numbered)]
    if low >= 1 and high < 100 * low:
        numbered = [m * 10.0**n for n in range(first, last + 1) for m in (1, 2, 5)]
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
    """Return labels and distributions of those that have values."""
    found = [(label, metrics.distribution(name)) for name, label in curves.items()]
    return [(label, one) for label, one in found if one.count]


def _scale_of(shown: list[Distribution]) -> str:
    """Return the scale of the x axis of some distributions: `log` where values span decades."""
    if all(one.scale == "share" for one in shown):
        return "share"
    high = max(one.max for one in shown)
    spans_decades = high > DECADES and all(one.scale == "log" for one in shown)
    return "log" if shown[0].unit == "byte" or spans_decades else "linear"


def _scale(axes: Any, shown: list[Distribution]) -> None:
    """Set the scale, range and ticks of the x axis on which some distributions are drawn."""
    scale = _scale_of(shown)
    if scale == "share":
        axes.set_xlim(-0.02, 1.02)
        percent(axes.xaxis)
        return
    if scale == "log":
        low = min(one.min for one in shown)
        logarithmic(axes, low, max(one.max for one in shown))
        if low < 1:
            axes.set_xlim(-0.1)
    units(axes.xaxis, "byte" if shown[0].unit == "byte" else "count")
