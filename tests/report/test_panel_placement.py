"""Places of panels, titles and legends of a figure, in points."""

import pytest
from matplotlib.figure import Figure

from hpc_remetrics.report.figures.panel_placement import PanelPlacement
from hpc_remetrics.report.figures.panels import empty, legend
from hpc_remetrics.report.figures.recording import recorder
from hpc_remetrics.report.figures.style import style

GAP = 3.5


@pytest.fixture
def figure():
    """An empty figure of 360 × 216 points; a pixel is a point."""
    with style():
        yield Figure((5, 3), 72, layout=PanelPlacement())


def place(figure):
    figure.get_layout_engine().execute(figure)


def box(artist):
    return artist.get_window_extent(recorder(72))


def bare(axes):
    """Take all texts from a panel."""
    axes.set(xticks=[], yticks=[])
    return axes


def test_panels_without_texts_share_the_figure(figure):
    panels = [bare(axes) for axes in figure.subplots(2, 2).flat]
    place(figure)
    bounds = [axes.bbox.bounds for axes in panels]
    assert bounds[0] == pytest.approx((GAP, 108 + GAP, 180 - 2 * GAP, 108 - 2 * GAP))
    assert bounds[3] == pytest.approx((180 + GAP, GAP, 180 - 2 * GAP, 108 - 2 * GAP))


def test_subfigures_have_their_ratios(figure):
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2])
    left, right = bottom.subfigures(1, 2)
    panels = [bare(part.subplots()) for part in (top, left, right)]
    place(figure)
    sizes = [(axes.bbox.x0, axes.bbox.y1, axes.bbox.height) for axes in panels]
    assert sizes[0] == pytest.approx((GAP, 216 - GAP, 72 - 2 * GAP))
    assert sizes[1] == pytest.approx((GAP, 144 - GAP, 144 - 2 * GAP))
    assert sizes[2] == pytest.approx((180 + GAP, 144 - GAP, 144 - 2 * GAP))


def test_panels_are_equally_large_and_the_longest_label_makes_the_margin(figure):
    upper, right, lower, _ = figure.subplots(2, 2).flat
    upper.set_yticks([0, 1], ["a very long name", "b"])
    lower.set(xlabel="two\nlines", ylabel="label")
    right.set_title("title", loc="right")
    place(figure)
    assert len({(axes.bbox.width, axes.bbox.height) for axes in figure.axes}) == 1
    assert upper.bbox.x0 == lower.bbox.x0
    assert box(upper.get_yticklabels()[0]).x0 == pytest.approx(GAP, abs=1)
    assert box(lower.xaxis.label).y0 == pytest.approx(GAP, abs=1)
    assert box(right.get_children()[-2]).y1 < 216
    ticks = lower.yaxis.get_tightbbox(recorder(72))
    assert box(lower.yaxis.label).x1 <= ticks.x1
    assert box(lower.xaxis.label).y1 < min(box(tick).y0 for tick in lower.get_xticklabels())


def test_title_label_and_legend_stand_around_the_panels(figure):
    title = figure.suptitle("title", x=0.01, ha="left")
    shared = figure.supylabel("shared label")
    first, second = figure.subplots(2, 1)
    first.plot([0, 1], label="a line")
    legend(figure)
    place(figure)
    below = box(figure.legends[0])
    assert box(title).y1 == pytest.approx(216 - GAP, abs=1)
    assert first.bbox.y1 < box(title).y0 - GAP / 2
    assert box(shared).x0 == pytest.approx(GAP, abs=1)
    assert (box(shared).y0 + box(shared).y1) / 2 == pytest.approx(108, abs=1)
    assert box(shared).x1 < min(box(tick).x0 for tick in second.get_yticklabels())
    assert (below.x0 + below.x1) / 2 == pytest.approx(180, abs=1)
    assert 0 < below.y0 < 5 and below.y1 < min(box(tick).y0 for tick in second.get_xticklabels())


def test_an_empty_panel_keeps_its_title_clear(figure):
    upper, lower = (part.subplots() for part in figure.subfigures(2, 1))
    upper.set_xlabel("values")
    empty(lower, "no data")
    lower.set_title("title", loc="left")
    place(figure)
    assert lower.bbox.y0 == pytest.approx(GAP)
    assert lower.bbox.y1 < 108 - GAP - 8.5


def test_a_figure_that_is_too_small_has_panels_all_the_same(figure):
    figure.set_size_inches(0.2, 0.2)
    for axes in figure.subplots(2, 2).flat:
        axes.set_ylabel("label")
    place(figure)
    assert {axes.bbox.size.round(6).tolist()[0] for axes in figure.axes} == {1}


def test_placing_again_changes_nothing(figure):
    axes = figure.subplots()
    axes.set(xlabel="x", ylabel="y")
    bounds = []
    for _ in range(2):
        figure.draw_without_rendering()
        boxes = (axes.bbox, box(axes.xaxis.label), box(axes.yaxis.label))
        bounds.append([number for one in boxes for number in one.bounds])
    assert bounds[0] == pytest.approx(bounds[1], abs=1)
