"""Figures 13 to 17, 19 and 20: redundant files, hidden files, and what a registry could save."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..hub_2017 import DUPHUNTER_RATIO, TOTALS
from ..report_data import ReportData
from .panels import (
    DECADES,
    MOST_BARS,
    bars,
    cdf,
    empty,
    intervals,
    largest,
    legend,
    line,
    logarithmic,
    mark,
    units,
)
from .style import GREY, four_panels, two_panels

_SHARES = {
    "unique_file_share": "distinct contents / files",
    "redundant_byte_share": "redundant bytes / bytes",
}
"""Shares among the totals, and their labels."""

_RATIOS = {"dedup_ratio_by_count": "by count", "dedup_ratio_by_capacity": "by capacity"}
"""Ratios among the totals, and their labels."""


def sharing(figure: Any, numbers: ReportData) -> None:
    """Draw figure 13: bytes stored without and with layer sharing, and the reduction."""
    left, right = two_panels(figure)
    table = numbers.metrics["what_if"]
    names = table.readable("scenario").tolist()
    chosen = [names.index(name) for name in ("no_sharing", "layer_sharing") if name in names]
    labels = ["no layer sharing", "layers shared"][: len(chosen)]
    bars(
        left,
        labels,
        {"": table["bytes"][chosen]},
        "compressed bytes stored (bytes)",
        "byte",
        none="no layer",
    )
    bars(
        right,
        labels,
        {"": table["ratio"][chosen]},
        "reduction against no sharing (1)",
        "ratio",
        none="no layer",
    )


def levels(figure: Any, numbers: ReportData) -> None:
    """Draw figure 14: redundant files and bytes, of all, by level and by image."""
    metrics, totals = numbers.metrics, numbers.totals
    top, bottom = figure.subfigures(2, 1, height_ratios=[0.7, 1.3])
    left, right = two_panels(top)
    has_files = bool(totals["files"])

    # Draw the shares of all files and bytes, beside those of 2017
    shares = _SHARES if has_files else {}
    bars(left, list(shares.values()), {"": [totals[name] for name in shares]}, "share (%)")
    for place, name in enumerate(shares):
        mark(left, TOTALS[name].value, place, TOTALS[name], place)

    # Draw the same as ratios
    ratios = _RATIOS if has_files else {}
    values = [totals[name] for name in ratios]
    bars(right, list(ratios.values()), {"": values}, "deduplication ratio (1)", "ratio")
    legend(top)

    # Draw how much of it lies within a layer and between layers, and the shares of images
    left, right = two_panels(bottom)
    table = metrics["dedup_levels"]
    names = [name.replace("_", " ") for name in table.readable("level")] if has_files else []
    series = {"share of files": table["share_of_files"], "share of bytes": table["share_of_bytes"]}
    bars(left, names, series, "redundant share (%)")
    curves = {"images/shared_file_share": "files", "images/shared_byte_share": "bytes"}
    cdf(right, metrics, curves, "share that other images have too (%)", "share of images")
    legend(bottom)


def growth(figure: Any, numbers: ReportData) -> None:
    """Draw figure 15: how the deduplication ratio grows with the number of layers."""
    row = figure.subfigures(1, 1)
    axes = two_panels(row)
    spread, orders = numbers.metrics["growth_summary"], numbers.metrics["growth"]
    for one, name in zip(axes, ("count", "capacity"), strict=True):
        _growth(one, spread, orders, name)
    legend(row)


def _growth(axes: Any, spread: Any, orders: Any, name: str) -> None:
    """Draw the growth of one ratio: each random order, their range, and their mean.

    :param spread: the table `growth_summary`; `orders`: the table `growth`.
    :param name: count or capacity.
    """
    layers = spread["layers"]
    if not len(layers):
        empty(axes, "no layer with a file")
        return

    # Draw a thin line for each order
    number = orders["order"]
    x = orders["layers"]
    y = orders[f"dedup_ratio_by_{name}"]
    for order in np.unique(number):
        axes.plot(x[number == order], y[number == order], color=GREY, linewidth=0.4)

    # Draw the range and the mean; of few points these are seen by a marker alone
    low = spread[f"dedup_ratio_by_{name}_min"]
    high = spread[f"dedup_ratio_by_{name}_max"]
    axes.fill_between(
        layers,
        low,
        high,
        color="#cccccc",
        linewidth=0,
        label="range of the random orders",
    )
    points = {"marker": ".", "markersize": 5} if len(layers) < 4 else {}
    axes.plot(
        layers,
        spread[f"dedup_ratio_by_{name}_mean"],
        color="black",
        label="mean of the random orders",
        **points,
    )
    if layers[-1] > DECADES:
        logarithmic(axes, 1, layers[-1])
    units(axes.xaxis, "count")
    axes.set_xlabel("layers, in random order (number)")
    axes.set_ylabel(f"deduplication ratio by {name} (1)")


def by_type(figure: Any, numbers: ReportData) -> None:
    """Draw figure 16: deduplication of each class, group and type."""
    for row, (name, column) in zip(
        figure.subfigures(3, 1, height_ratios=[1, 1.3, 1.3]),
        (("classes", "class"), ("groups", "group"), ("types", "type")),
        strict=True,
    ):
        _ratio_and_share(row, numbers.metrics[name], column, f"{name}, most redundant bytes first")
    legend(figure)


def _ratio_and_share(row: Any, table: Any, column: str, title: str) -> None:
    """Draw the ratios of the rows with the most redundant bytes, and their share of these."""
    left, right = two_panels(row)
    rows = largest(table, "redundant_bytes")
    labels = table.readable(column)[rows].tolist()
    series = {
        "by count": table["dedup_ratio_by_count"][rows],
        "by capacity": table["dedup_ratio_by_capacity"][rows],
    }
    bars(left, labels, series, "deduplication ratio (1)", "ratio", none="no file", most=30)
    left.set_title(title, loc="left")
    series = {"of all redundant bytes": table["share_of_redundant_bytes"][rows]}
    bars(right, labels, series, "share of all redundant bytes (%)", none="no file", most=30)


def by_directory(figure: Any, numbers: ReportData) -> None:
    """Draw figure 17: redundant bytes by the first one to four parts of the directory."""
    row = figure.subfigures(1, 1)
    for depth, axes in enumerate(four_panels(row), 1):
        _directories(axes, numbers.metrics["directories"], depth)
        axes.set_title(
            f"first {depth} level{'s' if depth > 1 else ''} of the directory", loc="left"
        )
    legend(row)


def _directories(axes: Any, table: Any, depth: int) -> None:
    """Draw the shares of the directories of one depth with the most redundant bytes."""
    order = largest(table, "redundant_bytes", len(table))
    rows = order[table["depth"][order] == depth][:MOST_BARS]
    names = np.where(table["is_other"][rows], "all others", table.readable("directory")[rows])
    labels = [name or "/" for name in names]
    series = {"redundant": "share_of_redundant_bytes", "all": "share_of_bytes"}
    values = {f"of {name} bytes": table[column][rows] for name, column in series.items()}
    bars(axes, labels, values, "share (%)", none="no file", most=30)


def hidden(figure: Any, numbers: ReportData) -> None:
    """Draw figure 19: bytes that later layers hide, of images and layers, by cause and image."""
    metrics = numbers.metrics
    top, bottom = figure.subfigures(2, 1)
    left, right = two_panels(top)
    cdf(
        left,
        metrics,
        {"images/hidden_byte_share": "of images"},
        "hidden share of an image's bytes (%)",
        "share of images",
    )
    curves = {"images/hidden_bytes": "of images", "layers/hidden_bytes_max": "of layers"}
    cdf(right, metrics, curves, "hidden bytes (bytes)", "share of images or layers")
    legend(top)

    # Draw what hides them, and the images that have most of them
    left, right = two_panels(bottom)
    table = metrics["hidden"]
    names = [name.replace("_", " ") for name in table.readable("cause")]
    bars(
        left,
        names,
        {"": table["share_of_bytes"]},
        "share of all images' bytes (%)",
        none="nothing is hidden",
    )
    left.set_title("hidden bytes by cause", loc="left")
    table = metrics["top_hidden"]
    bars(
        right,
        table.readable("name").tolist(),
        {"": table["hidden_bytes"]},
        "hidden bytes (bytes)",
        "byte",
        none="nothing is hidden",
        most=30,
    )
    right.set_title("images with the most hidden bytes", loc="right")


def what_if(figure: Any, numbers: ReportData) -> None:
    """Draw figure 20: bytes that a registry would store in each scenario, and the reduction."""
    row = figure.subfigures(1, 1)
    left, right = two_panels(row)
    table = numbers.metrics["what_if"]
    names = [name.replace("_", " ") for name in table.readable("scenario")]
    bars(left, names, {"": table["bytes"]}, "bytes stored (bytes)", "byte", none="no layer")

    intervals(left, table)
    bars(
        right,
        names,
        {"": table["ratio"]},
        "reduction against no sharing (1)",
        "ratio",
        none="no layer",
    )
    if names:
        line(right, DUPHUNTER_RATIO.value, DUPHUNTER_RATIO)
    legend(row)
