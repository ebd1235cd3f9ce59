"""Figure 23: bytes of images and layers by the kind of the step that made them."""

from __future__ import annotations

from typing import Any

from ..report_data import ReportData
from ..values import kinds_with_layers
from .panels import bars, legend
from .style import two_panels

_NONE = "no image says which steps made its layers"

_BY_PANEL = (
    (
        ("compressed bytes", "share of all compressed bytes (%)"),
        {"share_of_image_CLS": "in each image", "share_of_CLS": "each layer once"},
    ),
    (
        ("bytes of files", "share of all bytes (%)"),
        {"share_of_image_FLS": "in each image", "share_of_FLS": "each layer once"},
    ),
    (
        ("hidden bytes of images", "hidden share (%)"),
        {
            "hidden_byte_share": "of the bytes of the kind",
            "share_of_hidden_bytes": "of all hidden or redundant bytes",
        },
    ),
    (
        ("redundant bytes of layers", "redundant share (%)"),
        {
            "redundant_byte_share": "of the bytes of the kind",
            "share_of_redundant_bytes": "of all hidden or redundant bytes",
        },
    ),
)
"""Title and axis label of each panel, and its series: column of `steps` -> label."""


def steps(figure: Any, numbers: ReportData) -> None:
    """Draw figure 23: bytes, hidden and redundant ones, by kind of step."""
    table = numbers.metrics["steps"]
    rows = kinds_with_layers(table)
    kinds = [kind.replace("_", " ") for kind in table.readable("kind")[rows]]
    parts = figure.subfigures(2, 1)
    for part, panels in zip(parts, (_BY_PANEL[:2], _BY_PANEL[2:]), strict=True):
        for axes, ((title, xlabel), columns) in zip(two_panels(part), panels, strict=True):
            series = {label: table[name][rows] for name, label in columns.items()}
            bars(axes, kinds, series, xlabel, none=_NONE)
            axes.set_title(title, loc="left")
        legend(part)
