"""Figures 1 to 4: layers."""

from __future__ import annotations

from typing import Any

from ..report_data import ReportData
from .panels import MOST_BARS, bars, cdf, cdf_and_histogram, legend
from .style import two_panels


def sizes(figure: Any, numbers: ReportData) -> None:
    """Draw figure 1: sizes of layers, compressed, as tar, and of their files."""
    curves = {
        "layers/CLS": "CLS (compressed)",
        "layers/TLS": "TLS (tar)",
        "layers/FLS": "FLS (files)",
    }
    cdf_and_histogram(
        figure.subfigures(1, 1), numbers.metrics, curves, "layer size (bytes)", "layers"
    )


def ratios(figure: Any, numbers: ReportData) -> None:
    """Draw figure 2: compression ratios of layers."""
    curves = {"layers/FLS_CLS": "FLS / CLS", "layers/TLS_CLS": "TLS / CLS"}
    cdf_and_histogram(
        figure.subfigures(1, 1), numbers.metrics, curves, "compression ratio (1)", "layers"
    )


def files(figure: Any, numbers: ReportData) -> None:
    """Draw figure 3: files and directories of layers, and the depth of their paths."""
    top, bottom = figure.subfigures(2, 1)
    curves = {"layers/files": "files", "layers/directories": "directories"}
    cdf_and_histogram(
        top, numbers.metrics, curves, "files, directories per layer (number)", "layers"
    )
    curves = {"layers/depth": "maximum depth"}
    cdf_and_histogram(bottom, numbers.metrics, curves, "maximum path depth (components)", "layers")


def references(figure: Any, numbers: ReportData) -> None:
    """Draw figure 4: how many images use a layer, and the layers that most use."""
    row = figure.subfigures(1, 1)
    left, right = two_panels(row)
    curves = {"layers/images": "images per layer"}
    cdf(left, numbers.metrics, curves, "images per layer (number)", "share of layers")

    # Name a layer by its first image and the first digits of its digest
    table = numbers.metrics["top_layers"]
    names = zip(table.readable("image"), table.readable("digest"), strict=True)
    labels = [f"{image} {digest.removeprefix('sha256:')[:8]}" for image, digest in names]
    bars(
        right,
        labels[:MOST_BARS],
        {"": table["images"]},
        "images (number)",
        "count",
        none="no layer",
        most=35,
    )
    right.set_title("layers in the most images (first image, digest)", loc="right")
    legend(row)
