"""Panels of figures: densities, dots, marks and ticks, each with a distribution made by hand."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpc_remetrics.dataset.metrics import Distribution
from hpc_remetrics.report.figures.panels import (
    bars,
    density,
    fit_column,
    letter,
    line,
    logarithmic,
    mark,
    panels_of,
)
from hpc_remetrics.report.figures.style import Look, style
from hpc_remetrics.report.hub_2017 import PublishedValue

VALUE = PublishedValue("much", 50.0, 0.5)


@pytest.fixture
def axes():
    with style():
        yield Figure().subplots()


def distribution(low, high, count, scale="log"):
    numbers = dict.fromkeys(("count", "sum", "mean", "min", "median", "p90", "p99", "max"), 1)
    arrays = {"probability": np.ones(1), "value": np.ones(1), "bin_sum": np.ones(len(low))}
    return Distribution(
        name="x",
        population="x",
        unit="byte",
        scale=scale,
        description="",
        low=np.array(low, float),
        high=np.array(high, float),
        bin_count=np.array(count),
        **numbers,
        **arrays,
    )


def test_equal_densities_of_unequal_bins_are_equally_high():
    bounds = np.array([8, 10, 12, 14, 16.0])
    octaves = np.log2(bounds[1:] / bounds[:-1])
    one = distribution(bounds[:-1], bounds[1:], 1000 * octaves)
    assert density(one, "log") == pytest.approx([1000] * 4)
    assert density(one, "linear") == pytest.approx(500 * octaves)
    assert density(one, "share") == pytest.approx(1000 * octaves)


def test_the_bin_of_zero_is_one_octave():
    assert density(distribution([0, 1, 2], [1, 2, 4], [5, 7, 9]), "log").tolist() == [5, 7, 9]


def test_counts_over_decades_are_dots_and_others_are_bars(axes):
    bars(axes, ["file", "hardlink"], {"": [41957, 5]}, "entries (number)", "count")
    assert not axes.patches and axes.get_xscale() == "log"
    assert axes.lines[0].get_xdata().tolist() == [41957, 5]
    assert axes.lines[0].get_ydata().tolist() == [0, 1]
    other = axes.figure.add_subplot()
    bars(other, ["file", "hardlink"], {"": [90, 5]}, "entries (number)", "count")
    assert [bar.get_width() for bar in other.patches] == [90, 5]
    assert other.get_xscale() == "linear"


def test_bars_begin_at_zero_even_if_all_are_zero(axes):
    bars(axes, ["a", "b"], {"": [0, 0]}, "share (%)")
    assert axes.get_xlim() == (0, 1)


@pytest.mark.parametrize(("x", "place", "arrow"), [(50, 10, " →"), (-3, 0, " ←"), (4, 4, "")])
def test_a_mark_beyond_the_range_stands_at_the_edge(axes, x, place, arrow):
    axes.set_xlim(0, 10)
    mark(axes, x, 0.5, VALUE, 1)
    (drawn,) = axes.lines
    assert (drawn.get_xdata(), drawn.get_marker()) == ([place], "s")
    assert drawn.get_label() == f"2017: much (CLUSTER 2019){arrow}"
    assert drawn.get_color() == ("#B00020" if arrow else "white")
    assert axes.get_xlim() == (0, 10)


@pytest.mark.parametrize(("vertical", "arrow"), [(True, "→"), (False, "↑")])
def test_a_line_beyond_the_range_is_at_the_edge(axes, vertical, arrow):
    axes.set(xlim=(0, 10), ylim=(0, 10))
    line(axes, 11, VALUE, vertical)
    line(axes, 9, VALUE, vertical)
    labels = ["2017: much (CLUSTER 2019) " + arrow, "2017: much (CLUSTER 2019)"]
    for drawn, label, place in zip(axes.lines, labels, [10, 9], strict=True):
        values = drawn.get_xdata() if vertical else drawn.get_ydata()
        assert (list(values), drawn.get_label()) == ([place] * 2, label)
    assert axes.get_xlim() == axes.get_ylim() == (0, 10)


def test_published_values_can_be_left_out():
    with style(look=Look(has_references=False)):
        axes = Figure().subplots()
        mark(axes, 0.5, 0.5, VALUE)
        line(axes, 0.5, VALUE)
    assert not axes.lines


@pytest.mark.parametrize(
    ("low", "high", "numbered"),
    [
        (3, 40, [1, 2, 5, 10, 20, 50, 100, 200, 500]),
        (5, 41957, [1, 10, 100, 1e3, 1e4, 1e5]),
        (0, 5000, [0, 10, 100, 1e3, 1e4]),
        (1, 5e8, [1, 1e3, 1e6, 1e9]),
    ],
)
def test_numbered_ticks(axes, low, high, numbered):
    logarithmic(axes, low, high)
    ticks = axes.xaxis.get_major_locator()().tolist()
    assert ticks == pytest.approx(numbered)


def test_letters_stand_before_titles():
    with style():
        figure = Figure()
        left, right = figure.subfigures(1, 2)
        left.subplots()
        for axes in right.subplots(2, 1):
            axes.set_title("title", loc="right")
        letter(figure)
    titles = [axes.get_title("left") + axes.get_title("right") for axes in panels_of(figure)]
    assert titles == ["(a)", "(b) title", "(c) title"]


def test_a_column_wraps_labels(axes):
    axes.set_xlabel("files, layers, images per content (number)")
    axes.set_title("classes", loc="left")
    fit_column(axes.figure)
    assert axes.get_xlabel() == "files, layers, images per\ncontent (number)"
    assert (axes.get_title("left"), axes.get_title("right")) == ("", "classes")
