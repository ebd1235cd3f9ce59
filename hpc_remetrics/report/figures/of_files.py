"""Figures 9 to 12: files, their contents, types and paths."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..hub_2017 import CLASS_BYTES, CLASS_FILES
from ..report_data import ReportData
from .panels import bars, cdf, cdf_and_histogram, largest, legend, mark, panels_of, value_counts
from .style import two_panels

_SAME = {
    "paths_one_content": "paths with one content",
    "paths_several_contents": "paths with several contents",
    "contents_one_path": "contents at one path",
    "contents_several_paths": "contents at several paths",
}


def sizes(figure: Any, numbers: ReportData) -> None:
    """Draw figure 9: sizes of all files, and of contents of one and of several files."""
    curves = {
        "files/size": "all files",
        "contents/size_once": "contents of one file",
        "contents/size_repeated": "contents of several files",
    }
    cdf_and_histogram(
        figure.subfigures(1, 1),
        numbers.metrics,
        curves,
        "file size (bytes)",
        "files or contents",
    )


def copies(figure: Any, numbers: ReportData) -> None:
    """Draw figure 10: files, layers and images of a content, and the most copied contents."""
    row = figure.subfigures(1, 1)
    left, right = two_panels(row)
    curves = {
        "contents/copies": "files per content",
        "contents/layers": "layers per content",
        "contents/images": "images per content",
    }
    cdf(
        left,
        numbers.metrics,
        curves,
        "files, layers, images per content (number)",
        "share of contents",
    )
    table = numbers.metrics["top_contents"]
    chosen = table.readable("ranked_by") == "copies"
    bars(
        right,
        [path or "?" for path in table.readable("path")[chosen]],
        {"": table["copies"][chosen]},
        "copies (number)",
        "count",
        none="no file",
        most=34,
    )
    right.set_title("contents with the most copies (first path)", loc="right")
    legend(row)


def types(figure: Any, numbers: ReportData) -> None:
    """Draw figure 11: classes, groups and types of files, their extensions, kinds of entries."""
    metrics = numbers.metrics
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[1.15, 1.2, 1.1])
    _classes(top, numbers)
    left, right = two_panels(middle)
    _shares(left, metrics["groups"], "group", "bytes", "groups")
    _shares(right, metrics["types"], "type", "bytes", "types")
    left, right = two_panels(bottom)
    _shares(left, metrics["extensions"], "extension", "files", "extensions")
    value_counts(right, metrics, "kind", "entries (number)")
    right.set_title("kinds of entries", loc="left")
    _one_mark_each(figure)


def _classes(row: Any, numbers: ReportData) -> None:
    """Draw the shares of the classes with those of 2017, and the mean size of their files."""
    left, right = two_panels(row)
    table = numbers.metrics["classes"]
    names = table.readable("class").tolist()
    series = {"share of files": table["share_of_files"], "share of bytes": table["share_of_bytes"]}
    bars(left, names, series, "share (%)", none="no file")

    # Mark the published shares on the bars: of files on the upper, of bytes on the lower one
    for place, name in enumerate(names):
        for number, (known, offset) in enumerate(((CLASS_FILES, -0.2), (CLASS_BYTES, 0.2))):
            if name in known:
                mark(left, known[name].value, place + offset, known[name], number)
    left.set_title("classes", loc="left")
    bars(
        right,
        names,
        {"": table["mean_size"]},
        "mean file size (bytes)",
        "byte",
        none="no file",
    )
    right.set_title("mean file size by class", loc="left")


def _one_mark_each(figure: Any) -> None:
    """Give a figure its legend, with one label for the marks of files and one for those of bytes."""
    for axes in panels_of(figure):
        for one in axes.lines:
            source = one.get_label().rpartition("(")[2]
            if "of files" in one.get_label():
                one.set_label(f"2017: share of files ({source}")
            elif "of bytes" in one.get_label():
                one.set_label(f"2017: share of bytes ({source}")
    legend(figure)


def _shares(axes: Any, table: Any, column: str, by: str, title: str) -> None:
    """Draw the shares of the rows of a table with the most files or bytes."""
    rows = largest(table, by)
    names = [name or "none" for name in table.readable(column)[rows]]
    if "is_other" in table.columns:
        names = [
            "all others" if rest else name
            for name, rest in zip(names, table["is_other"][rows], strict=True)
        ]
    series = {f"share of {name}": table[f"share_of_{name}"][rows] for name in ("files", "bytes")}
    bars(axes, names, series, "share (%)", none="no file")
    axes.set_title(f"{title}, most {by} first", loc="left")


def paths(figure: Any, numbers: ReportData) -> None:
    """Draw figure 12: contents at one path, and paths of one content."""
    metrics = numbers.metrics
    top, bottom = figure.subfigures(2, 1)
    left, right = two_panels(top)
    cdf(
        left,
        metrics,
        {"paths/contents": "contents per path"},
        "contents per path (number)",
        "share of paths",
    )
    cdf(
        right,
        metrics,
        {"contents/paths": "paths per content"},
        "paths per content (number)",
        "share of contents",
    )
    left.set_title("same path, different content", loc="left")
    right.set_title("same content, different path", loc="left")

    # Draw how many paths and contents there are of each kind, and the paths with most contents
    left, right = two_panels(bottom)
    table = metrics["same_path"]
    names = [_SAME.get(name, name) for name in table.readable("category")]
    series = {
        "share of paths or contents": table["share"],
        "share of files": table["share_of_files"],
    }
    bars(left, names, series, "share (%)", none="no file")
    table = metrics["top_paths"]
    bars(
        right,
        table.readable("path").tolist(),
        {"": np.asarray(table["contents"])},
        "contents (number)",
        "count",
        none="no file",
        most=34,
    )
    right.set_title("paths with the most contents", loc="right")
    legend(bottom)
