"""Figures 21 and 22: what images have from the images that they are built on, and how old it is."""

from __future__ import annotations

from typing import Any

from ..report_data import ReportData
from .panels import bars, cdf, legend, value_counts
from .style import two_panels

_NONE = "no image is built on another one"

_SHARES = {
    "base_share": "images with a base",
    "inherited_CLS_share": "compressed bytes from bases",
    "inherited_FLS_share": "bytes of files from bases",
}
"""Shares among the totals, and their labels."""


def inherited(figure: Any, numbers: ReportData) -> None:
    """Draw figure 21: shares that images inherit, bases of most images, claims about bases."""
    metrics, totals = numbers.metrics, numbers.totals
    top, bottom = figure.subfigures(2, 1)
    left, right = two_panels(top)
    curves = {
        "images/inherited_layers_share": "layers",
        "images/inherited_files_share": "files",
        "images/inherited_FLS_share": "bytes of files",
        "images/inherited_CLS_share": "compressed bytes",
    }
    cdf(left, metrics, curves, "share that its base has (%)", "share of images with a base")
    shares = _SHARES if totals["images"] else {}
    values = [totals[name] for name in shares]
    bars(right, list(shares.values()), {"": values}, "share of all images (%)", none="no image")
    legend(top)

    # Draw the bases of most images, and what images claim about theirs
    left, right = two_panels(bottom)
    table = metrics["top_bases"]
    names = table.readable("name").tolist()
    bars(left, names, {"": table["images"]}, "images (number)", "count", none=_NONE, most=30)
    left.set_title("bases of the most images", loc="right")
    value_counts(right, metrics, "base_claim", "images (number)")
    right.set_title("claims about bases", loc="left")


def ages(figure: Any, numbers: ReportData) -> None:
    """Draw figure 22: ages of bases, how far they are behind, and how many are outdated."""
    row = figure.subfigures(1, 1)
    left, right = two_panels(row)
    curves = {
        "images/base_age": "age of the base when its image was made",
        "images/base_behind": "from the base to the newest image of its repository",
    }
    cdf(left, numbers.metrics, curves, "time (days)", "share of images with a base")
    value_counts(right, numbers.metrics, "base", "images (number)")
    right.set_title("bases of images", loc="left")
    legend(row)
