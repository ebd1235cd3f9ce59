"""Place the panels of a figure: measure each text once, and share out what is left.

A layout engine of matplotlib for the figures of this package, which are trees of subfigures with a
grid of panels at each leaf. Matplotlib's constrained layout solves equations for any figure, and
measures each text a dozen times. From the outside to the inside:

    ┌ title ─────────────────────────┐
    │ ┌ subfigure ─────────────────┐ │   subfigures share the height, or the width, by their ratios
    │ │ ┌─────────┐    ┌─────────┐ │ │
    │ │ │ panel   │    │ panel   │ │ │   panels of a subfigure are equally large; the margins of
    │ │ └─────────┘    └─────────┘ │ │   a row or column are those of its largest texts
    │ │          legend            │ │
    │ └────────────────────────────┘ │
    └────────────────────────────────┘

Import this module within :func:`.style.style` only, since it imports matplotlib.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from matplotlib.layout_engine import LayoutEngine
from matplotlib.text import Text

from .recording import recorder

_GAP = 3.5
"""Points between the texts of neighbours, and to the edge of the figure."""


@dataclass(frozen=True)
class _Box:
    """A rectangle in pixels of the whole figure, from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom


class PanelPlacement(LayoutEngine):
    """The layout engine of the figures of this package."""

    _adjust_compatible = False
    _colorbar_gridspec = False

    def execute(self, fig: Any) -> None:
        """Place all panels, titles and legends of a figure."""
        _place(fig, _Box(0, 0, fig.bbox.width, fig.bbox.height), _GAP * fig.dpi / 72)


def _place(part: Any, box: _Box, gap: float) -> None:
    """Place what stands in a figure or subfigure within a box."""
    # Take off the title, the label of several y axes, and the legends
    renderer = recorder(part.dpi)
    left, bottom, top = box.left, box.bottom, box.top
    for text in part.texts:
        size = text.get_window_extent(renderer)
        if text.get_rotation():
            text.set_position(_relative(part, left + gap, (box.bottom + box.top) / 2))
            text.set_ha("left")
            left += size.width + gap
        else:
            text.set_y(_relative(part, 0, top - gap)[1])
            top -= size.height + gap
    for legend in part.legends:
        legend.set_bbox_to_anchor(_relative(part, (box.left + box.right) / 2, bottom))
        bottom = legend.get_window_extent(renderer).y1
    inner = _Box(left, bottom, box.right, top)

    # Share out the rest
    _place_panels([axes for axes in part.axes if axes.figure is part], inner, gap)
    for child in part.subfigs:
        _place(child, _share(child, part, inner), gap)


def _relative(part: Any, x: float, y: float) -> tuple[float, float]:
    """Return a place in pixels as shares of the width and height of a subfigure."""
    whole = part.bbox
    return (x - whole.x0) / whole.width, (y - whole.y0) / whole.height


def _share(child: Any, part: Any, box: _Box) -> _Box:
    """Return the share of a box that a subfigure has of the whole of its part."""
    left, bottom = _relative(part, child.bbox.x0, child.bbox.y0)
    right, top = _relative(part, child.bbox.x1, child.bbox.y1)
    return _Box(
        box.left + box.width * left,
        box.bottom + box.height * bottom,
        box.left + box.width * right,
        box.bottom + box.height * top,
    )


def _place_panels(panels: list[Any], box: _Box, gap: float) -> None:
    """Place the panels of a grid in a box, all of one size.

    :param panels: of one subfigure.
    """
    if not panels:
        return

    # Measure the margins of the rows and columns
    margins = {axes: _Margins.of(axes, gap) for axes in panels}
    lefts: dict[int, float] = defaultdict(float)
    rights: dict[int, float] = defaultdict(float)
    bottoms: dict[int, float] = defaultdict(float)
    tops: dict[int, float] = defaultdict(float)
    for axes, margin in margins.items():
        row = axes.get_subplotspec().rowspan.start
        column = axes.get_subplotspec().colspan.start
        lefts[column] = max(lefts[column], margin.left)
        rights[column] = max(rights[column], margin.right)
        bottoms[row] = max(bottoms[row], margin.bottom)
        tops[row] = max(tops[row], margin.top)

    # Give what the margins leave to the panels
    width = (box.width - sum(lefts.values()) - sum(rights.values())) / len(lefts)
    height = (box.height - sum(bottoms.values()) - sum(tops.values())) / len(tops)
    width = max(width, 1)
    height = max(height, 1)
    for axes, margin in margins.items():
        row = axes.get_subplotspec().rowspan.start
        column = axes.get_subplotspec().colspan.start
        before = sum(lefts[n] + width + rights[n] for n in range(column))
        above = sum(tops[n] + height + bottoms[n] for n in range(row))
        x, y = _relative(
            axes.figure,
            box.left + before + lefts[column],
            box.top - above - tops[row] - height,
        )
        whole = axes.figure.bbox
        axes.set_position((x, y, width / whole.width, height / whole.height))
        axes.xaxis.set_label_coords(0.5, -margin.xlabel / height)
        axes.yaxis.set_label_coords(-margin.ylabel / width, 0.5)


@dataclass(frozen=True)
class _Margins:
    """What a panel needs around it, in pixels, and the distance of its labels from it."""

    left: float
    right: float
    bottom: float
    top: float
    xlabel: float
    ylabel: float

    @staticmethod
    def of(axes: Any, gap: float) -> _Margins:
        """Measure the texts around a panel."""
        # Measure how far the ticks reach
        panel = axes.bbox
        renderer = recorder(axes.figure.dpi)
        x_ticks = (axes.axison and _ticks(axes.xaxis)) or panel
        y_ticks = (axes.axison and _ticks(axes.yaxis)) or panel
        left = max(panel.x0 - y_ticks.x0, panel.x0 - x_ticks.x0)
        right = x_ticks.x1 - panel.x1
        bottom = max(panel.y0 - x_ticks.y0, panel.y0 - y_ticks.y0)
        top = y_ticks.y1 - panel.y1

        # Put the labels of the axes beyond these
        pad = axes.xaxis.labelpad * axes.figure.dpi / 72
        xlabel = panel.y0 - x_ticks.y0 + pad
        ylabel = panel.x0 - y_ticks.x0 + pad
        if axes.get_xlabel():
            bottom = max(bottom, xlabel + axes.xaxis.label.get_window_extent(renderer).height)
        if axes.get_ylabel():
            left = max(left, ylabel + axes.yaxis.label.get_window_extent(renderer).width)

        # Measure the title, which stands on the panel
        for text in axes.get_children():
            if isinstance(text, Text) and text.get_text():
                top = max(top, text.get_window_extent(renderer).y1 - panel.y1)
        return _Margins(
            left=max(left, 0) + gap,
            right=max(right, 0) + gap,
            bottom=max(bottom, 0) + gap,
            top=max(top, 0) + gap,
            xlabel=xlabel,
            ylabel=ylabel,
        )


def _ticks(axis: Any) -> Any:
    """Return the box around the labels of the ticks of an axis in pixels, None without any."""
    label = axis.label
    was_visible = label.get_visible()
    label.set_visible(False)
    # Without a place of its own, matplotlib would measure the ticks once more to find one
    axis.set_label_coords(0, 0)
    box = axis.get_tightbbox(recorder(axis.axes.figure.dpi))
    label.set_visible(was_visible)
    return box
