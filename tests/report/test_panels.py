"""Panels of figures: densities, dots, marks and ticks, each with a distribution made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from hpc_remetrics.dataset.metrics import Distribution
from hpc_remetrics.report.figures.panels import (
    bars,
    cdf,
    cdf_and_histogram,
    density,
    fit_column,
    histograms,
    legend,
    letter,
    line,
    logarithmic,
    mark,
    panels_of,
    percent,
    short,
    units,
)
from hpc_remetrics.report.figures.style import GREY, Look, style
from hpc_remetrics.report.hub_2017 import PublishedValue

VALUE = PublishedValue("much", 50.0, 0.5)


@pytest.fixture
def axes():
    with style():
        yield Figure().subplots()


def distribution(low, high, counts, scale="log", **chosen):
    numbers = dict.fromkeys(("count", "sum", "mean", "min", "median", "p90", "p99", "max"), 1)
    numbers |= chosen
    arrays = {"probability": np.ones(1), "value": np.ones(1), "bin_sum": np.ones(len(low))}
    return Distribution(
        **{"name": "x", "unit": "byte", "population": "x", "description": ""} | numbers,
        scale=scale,
        low=np.array(low, float),
        high=np.array(high, float),
        bin_count=np.array(counts),
        **arrays,
    )


def of(*distributions):
    """Return metrics that have these distributions, and their curves: name -> label."""
    names = [str(place) for place in range(len(distributions))]
    by_name = dict(zip(names, distributions, strict=True))
    return SimpleNamespace(distribution=by_name.__getitem__), {n: f"curve {n}" for n in names}


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
        (1, 5e5, [1, 1e3, 1e6]),
        (1e3, 5e7, [1e3, 1e4, 1e5, 1e6, 1e7, 1e8]),
        (1, 100, [1, 10, 100]),
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


def test_a_panel_without_values_says_so(axes):
    bars(axes, [], {"": []}, "share (%)", none="no file")
    part = axes.figure.add_subfigure(axes.get_subplotspec())
    histograms(part, *of(distribution([1], [2], [0], count=0)), "x", "layers")
    cdf(part.add_subplot(), *of(distribution([1], [2], [0], count=0)), "x", "y")
    texts = [(one.texts[0], one.axison) for one in axes.figure.axes]
    assert [(text.get_text(), on) for text, on in texts] == [
        ("no file", False),
        ("no data", False),
        ("no data", False),
    ]
    for text, _ in texts:
        assert text.get_position() == (0.5, 0.5) and text.get_color() == GREY
        assert text.get_transform() == text.axes.transAxes


@pytest.mark.parametrize(
    ("lengths", "columns"),
    [
        ([18] * 4, 4),
        ([18] * 3 + [19], 3),
        ([27, 27, 28], 4),
        ([27, 27, 29], 2),
        ([46, 46], 4),
        ([46, 47], 1),
        ([30, 5, 5, 60], 2),
    ],
)
def test_a_legend_has_as_many_columns_as_fit(axes, lengths, columns):
    """A column takes its longest label and ten characters, a figure has room for 112."""
    for place, length in enumerate(lengths):
        axes.plot([0], [0], label=f"{place}" + "x" * (length - 1))
    legend(axes.figure)
    (drawn,) = axes.figure.legends
    assert drawn._ncols == columns


def test_a_legend_has_each_label_once_and_published_values_last():
    with style(look=Look(width=3.75)):
        figure = Figure()
        left, right = figure.subplots(1, 2)
        left.plot([0], [0], label="2017: x")
        left.plot([0], [0], label="a label of more characters than stand in one line")
        right.plot([0], [0], label="2017: x")
        right.plot([0], [0], label="b")
        legend(figure)
        empty = Figure()
        empty.subplots()
        legend(empty)
    (drawn,) = figure.legends
    wrapped = "a label of more characters than stand in one\nline"
    assert [text.get_text() for text in drawn.get_texts()] == [wrapped, "b", "2017: x"]
    assert drawn._ncols == 1  # half of 112 characters
    assert empty.legends == []


@pytest.mark.parametrize(("width", "below"), [(4.9, True), (5.0, False)])
def test_narrow_figures_have_their_panels_one_below_another(width, below):
    one = distribution([1, 2], [2, 4], [3, 5])
    with style(look=Look(width=width)):
        figure = Figure()
        cdf_and_histogram(figure, *of(one, one), "size (bytes)", "layers")
    first, second = figure.subfigs
    assert (first.bbox.y0 > second.bbox.y0) == below
    assert (first.bbox.x0 < second.bbox.x0) != below
    assert second._supylabel.get_text() == "layers per octave"
    assert len(second.axes) == 2


@pytest.mark.parametrize(("number", "most"), [(1, 4), (2, 2)])
def test_histograms_stand_one_below_another(number, most):
    one = distribution([1, 2], [2, 4], [300, 500], unit="1", max=3)
    with style():
        figure = Figure()
        histograms(figure, *of(*[one] * number), "copies (number)", "contents")
    assert len(figure.axes) == number
    for place, axes in enumerate(figure.axes):
        filled, outline = axes.patches
        assert filled.get_fill() and not outline.get_fill()
        assert outline.get_linestyle() == ["-", "--"][place]
        assert axes.get_ylim()[0] == 0
        assert axes.yaxis.get_major_locator()._nbins == most
    assert figure._supylabel.get_text() == "contents per unit"
    assert figure.axes[-1].get_xlabel() == "copies (number)"


def test_curves_differ_in_line_style(axes):
    one = distribution([0], [1], [1], scale="share", unit="1")
    cdf(axes, *of(one, one), "x (%)", "share of images")
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    assert [line.get_color() for line in axes.lines] == ["#000000", "#0072B2"]
    assert [line.get_drawstyle() for line in axes.lines] == ["steps-post"] * 2
    assert axes.get_xlim() == (-0.02, 1.02) and axes.get_ylim() == (-0.03, 1.04)
    for axis in (axes.xaxis, axes.yaxis):
        assert axis.get_major_formatter()(0.5) == "50 %"
        assert axis.get_major_locator()._nbins == 5


@pytest.mark.parametrize(
    ("low", "high", "unit", "scales", "scale"),
    [
        (1, 31, "1", ["log"], "log"),
        (1, 30, "1", ["log"], "linear"),
        (1, 31, "1", ["log", "linear"], "linear"),
        (1, 2, "byte", ["log"], "log"),
        (0, 2, "byte", ["log"], "symlog"),
        (0.5, 100, "1", ["share", "log"], "linear"),
    ],
)
def test_values_over_decades_have_a_logarithmic_axis(axes, low, high, unit, scales, scale):
    found = [
        distribution([low], [high], [1], scale=one, unit=unit, min=low, max=high) for one in scales
    ]
    cdf(axes, *of(*found), "x", "y")
    assert axes.get_xscale() == scale
    assert (axes.get_xlim()[0] == -0.1) == (scale == "symlog")
    tick = axes.xaxis.get_major_formatter()(2000)
    assert tick == ("2 kB" if unit == "byte" else "2k")


def test_bars_stand_in_groups_around_their_labels(axes):
    bars(axes, ["a", "b"], {"x": [1, 2], "y": [3, float("nan")]}, "files (number)", "count")
    first, second = axes.containers
    places = [[bar.get_y() + bar.get_height() / 2 for bar in one] for one in (first, second)]
    assert places == [pytest.approx([-0.2, 0.8]), pytest.approx([0.2, 1.2])]
    assert [bar.get_height() for bar in (*first, *second)] == pytest.approx([0.4] * 4)
    assert [bar.get_width() for bar in (*first, *second)] == [1, 2, 3, 0]
    assert [bar.get_hatch() for bar in (first[0], second[0])] == ["", "////"]
    assert [bar.get_facecolor()[0] for bar in (first[0], second[0])] == [0x55 / 255, 0xDD / 255]
    assert [one.get_label() for one in (first, second)] == ["x", "y"]
    assert axes.get_ylim() == pytest.approx((2.1, -1.1))  # as high as three, in the middle
    assert axes.get_yticks().tolist() == [0, 1]
    assert not any(line.get_visible() for line in axes.get_ygridlines())
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 3


def test_of_many_bars_the_first_twelve_are_drawn(axes):
    bars(axes, map(str, range(20)), {"": range(20)}, "share (%)")
    assert [text.get_text() for text in axes.get_yticklabels()] == [str(n) for n in range(12)]
    assert [bar.get_width() for bar in axes.patches] == list(range(12))
    assert axes.get_ylim() == (11.6, -0.6)


@pytest.mark.parametrize(("width", "chars"), [(7.5, 38), (3.4, 28)])
def test_long_labels_are_cut(width, chars):
    with style(look=Look(width=width)):
        axes = Figure().subplots()
        bars(axes, ["a" * 38 + "b"], {"": [1]}, "share (%)")
    (label,) = axes.get_yticklabels()
    assert len(label.get_text()) == chars and label.get_text().endswith("ab")


@pytest.mark.parametrize(
    ("values", "kind", "has_dots"),
    [
        ([901, 30], "byte", True),
        ([900, 1], "count", False),
        ([901, 31], "count", False),
        ([901, 0], "count", False),
        ([0, 0], "count", False),
        ([901, 30], "ratio", False),
        ([901, 30], "share", False),
    ],
)
def test_only_counts_and_bytes_over_decades_are_dots(axes, values, kind, has_dots):
    bars(axes, ["a", "b"], {"": values}, "x", kind)
    assert bool(axes.lines) == has_dots and bool(axes.patches) != has_dots
    assert any(line.get_visible() for line in axes.get_ygridlines()) == has_dots


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("count", ["0", "12.5", "999", "1k", "1.5M"]),
        ("ratio", ["0", "12.5", "999", "1k", "1.5M"]),
        ("byte", ["0 B", "12.5 B", "999 B", "1 kB", "1.5 MB"]),
        ("byte/s", ["0 B/s", "12.5 B/s", "999 B/s", "1 kB/s", "1.5 MB/s"]),
        ("s", ["0 s", "12.5 s", "999 s", "1 ks", "1.5 Ms"]),
    ],
)
def test_ticks_have_a_prefix_and_a_unit(axes, kind, texts):
    units(axes.xaxis, kind)
    write = axes.xaxis.get_major_formatter()
    assert [write(value) for value in (0, 12.5, 999, 1000, 1.5e6)] == texts
    locator = axes.xaxis.get_major_locator()
    assert (locator._nbins, locator._integer) == (4, kind == "count")


def test_a_logarithmic_axis_keeps_its_ticks(axes):
    logarithmic(axes, 1, 1000)
    units(axes.xaxis, "count")
    assert isinstance(axes.xaxis.get_major_locator(), FixedLocator)
    assert axes.xaxis.get_major_formatter()(2000) == "2k"
    assert axes.xaxis.get_minor_locator()().tolist() == [1, 10, 100, 1000]
    assert axes.xaxis.get_minor_formatter()(10) == ""


def test_percents_are_short(axes):
    percent(axes.xaxis)
    write = axes.xaxis.get_major_formatter()
    assert [write(value) for value in (0, 1, 0.025, 0.00002)] == [
        "0 %",
        "100 %",
        "2.5 %",
        "0.002 %",
    ]


@pytest.mark.parametrize(
    ("text", "most", "label"),
    [
        ("library/python", 14, "library/python"),
        ("library/python", 13, "librar…python"),
        ("library/python", 9, "libr…thon"),
        ("a\n日", 38, r"a\n\u65e5"),
    ],
)
def test_labels_are_cut_in_the_middle(text, most, label):
    assert short(text, most) == label
