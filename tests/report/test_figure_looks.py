"""Look of a figure by itself and in place of axes: its title, letters, and panels in a column."""

import pytest
from matplotlib.figure import Figure

import hpc_remetrics
from hpc_remetrics.report.figures import FIGURES, drawn
from hpc_remetrics.report.figures.panels import panels_of
from hpc_remetrics.report.figures.style import Look, look, style
from hpc_remetrics.report.report_data import read_report_data

WRAPPED = "compressed bytes stored\n(bytes)"


@pytest.mark.parametrize("has_letters", [False, True])
@pytest.mark.parametrize(("width", "label"), [(3.4, WRAPPED), (7.5, WRAPPED.replace("\n", " "))])
def test_a_figure_by_itself(dataset, has_letters, width, label):
    with style(look=Look(width=width, has_letters=has_letters)):
        canvas = drawn(FIGURES[13], read_report_data(dataset))
    left, right = panels_of(canvas)
    assert left.get_xlabel() == label
    titles = [axes.get_title("left") + axes.get_title("right") for axes in (left, right)]
    assert titles == (["(a)", "(b)"] if has_letters else ["", ""])
    assert canvas.get_suptitle() == "13 · Layer sharing · made.h5"


@pytest.mark.parametrize(("width", "label"), [(8, WRAPPED), (12, WRAPPED.replace("\n", " "))])
def test_a_figure_in_place_of_axes_is_as_wide_as_these(dataset, width, label):
    own = Figure((width, 4), layout="constrained")
    left, right = own.subplots(1, 2)
    part = hpc_remetrics.plot(dataset, 13, ax=right)
    assert own.axes == [left, *panels_of(part)]
    assert panels_of(part)[0].get_xlabel() == label
    assert part.get_suptitle() == ""
    with pytest.raises(ValueError, match="stands in no grid"):
        hpc_remetrics.plot(dataset, 13, ax=own.add_axes((0, 0, 1, 1)))


def test_the_look_ends_with_the_style():
    with style(look=Look(has_letters=True)):
        assert look().has_letters
    assert look() == Look()
