"""Figures 1 to 4: layers."""

from __future__ import annotations

from typing import Any

from ..numbers import Numbers
from .panels import MOST_BARS, bars, cdf, cdf_and_histogram, legend, short


def sizes(figure: Any, numbers: Numbers) -> None:
    curves = {
        "layers/CLS": "CLS (compressed)",
        "layers/TLS": "TLS (tar)",
        "layers/FLS": "FLS (files)",
    }
    cdf_and_histogram(
        figure.subfigures(1, 1), numbers.metrics, curves, "size of a layer (bytes)", "layers"
    )


def ratios(figure: Any, numbers: Numbers) -> None:
    curves = {"layers/FLS_CLS": "FLS / CLS", "layers/TLS_CLS": "TLS / CLS"}
    cdf_and_histogram(
        figure.subfigures(1, 1), numbers.metrics, curves, "compression ratio (1)", "layers"
    )


def files(figure: Any, numbers: Numbers) -> None:
    top, bottom = figure.subfigures(2, 1)
    curves = {"layers/files": "files", "layers/directories": "directories"}
    cdf_and_histogram(
        top, numbers.metrics, curves, "files or directories in a layer (number)", "layers"
    )
    curves = {"layers/depth": "greatest depth"}
    cdf_and_histogram(bottom, numbers.metrics, curves, "greatest depth of a path (parts)", "layers")


def references(figure: Any, numbers: Numbers) -> None:
    row = figure.subfigures(1, 1)
    left, right = row.subplots(1, 2, width_ratios=[1, 1])
    curves = {"layers/images": "images that use a layer"}
    cdf(left, numbers.metrics, curves, "images that use a layer (number)", "share of layers")
    table = numbers.metrics["top_layers"]
    names = zip(table.readable("image"), table.readable("digest"), strict=True)
    labels = [f"{short(image, 26)} {digest[:8]}" for image, digest in names]
    bars(
        right,
        labels[:MOST_BARS],
        {"": table["images"]},
        "images that use it (number)",
        "count",
        none="no layer",
    )
    right.set_title("most shared layers: their first image, digest", loc="right")
    legend(row)
