"""Figures 5 to 8: images and repositories."""

from __future__ import annotations

from typing import Any

from ..report_data import ReportData
from .panels import bars, cdf, cdf_and_histogram, legend, value_counts
from .style import four_panels, two_panels


def sizes(figure: Any, numbers: ReportData) -> None:
    """Draw figure 5: sizes of images above, their compression ratios below."""
    top, bottom = figure.subfigures(2, 1)
    curves = {
        "images/CLS": "CLS (compressed)",
        "images/TLS": "TLS (tar)",
        "images/FLS": "FLS (files)",
    }
    cdf_and_histogram(top, numbers.metrics, curves, "image size (bytes)", "images")
    curves = {"images/FLS_CLS": "FLS / CLS", "images/TLS_CLS": "TLS / CLS"}
    cdf_and_histogram(bottom, numbers.metrics, curves, "compression ratio (1)", "images")


def layers(figure: Any, numbers: ReportData) -> None:
    """Draw figure 6: layers of images above, their files and directories below."""
    top, bottom = figure.subfigures(2, 1)
    cdf_and_histogram(
        top, numbers.metrics, {"images/layers": "layers"}, "layers per image (number)", "images"
    )
    curves = {"images/files": "files", "images/directories": "directories"}
    cdf_and_histogram(
        bottom, numbers.metrics, curves, "files, directories per image (number)", "images"
    )


def kinds(figure: Any, numbers: ReportData) -> None:
    """Draw figure 7: kinds of manifests and platforms, media types and compressions of layers."""
    first, second, third, fourth = four_panels(figure)
    value_counts(first, numbers.metrics, "manifest_type", "images (number)")
    first.set_title("manifest version", loc="left")
    value_counts(second, numbers.metrics, "platform", "images (number)")
    second.set_title("platform", loc="left")
    value_counts(third, numbers.metrics, "media_type", "layers (number)")
    third.set_title("media type", loc="left")
    value_counts(fourth, numbers.metrics, "compression", "layers (number)")
    fourth.set_title("compression, by magic bytes", loc="left")


def popularity(figure: Any, numbers: ReportData) -> None:
    """Draw figure 8: pulls, stars and images of repositories, and the most pulled ones."""
    row = figure.subfigures(1, 1)
    left, right = two_panels(row)
    curves = {
        "repositories/pulls": "pulls",
        "repositories/stars": "stars",
        "repositories/images": "images",
    }
    cdf(
        left,
        numbers.metrics,
        curves,
        "pulls, stars, images per repository (number)",
        "share of repositories",
    )
    table = numbers.metrics["top_repositories"]
    series = {"": table["pulls"]}
    bars(
        right,
        table.readable("name").tolist(),
        series,
        "pulls (number)",
        "count",
        none="no repository with known pulls",
    )
    right.set_title("most pulled repositories", loc="right")
    legend(row)
