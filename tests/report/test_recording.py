"""A recorded figure is the figure itself, in every format and at every resolution."""

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpc_remetrics.report.figures.panel_placement import PanelPlacement
from hpc_remetrics.report.figures.recording import recorded
from hpc_remetrics.report.figures.style import encode, style


@pytest.fixture(autouse=True)
def _styled():
    with style(("pdf",)):
        yield


def figure():
    """Return a figure with all that the figures of the package have in them."""
    drawn = Figure((4, 2), 60, layout=PanelPlacement())
    left, right = drawn.subplots(1, 2)
    left.plot([1, 10, 1000], [1, 3, 2], "--", label="line")
    left.plot([1, 10, 1000], [2, 1, 3], "s", color="white", markeredgecolor="red")
    left.fill_between([1, 1000], [1, 1], [2, 3], color="#cccccc")
    left.set_xscale("log")
    left.set_title("title", loc="left")
    right.barh([0, 1], [3, 4], hatch="////", edgecolor="black", facecolor="#dddddd")
    right.set(xlabel="values (1)", ylabel="names", xlim=(0, 3.5))
    drawn.legend(loc="outside lower center")
    return drawn


def pixels(drawn, dpi):
    """Return what a figure looks like at some dots per inch, (height, width) of 0 to 255."""
    file = io.BytesIO()
    drawn.savefig(file, format="rgba", dpi=dpi)
    return (
        np.frombuffer(file.getvalue(), np.uint8).reshape(2 * dpi, 4 * dpi, 4)[:, :, 0].astype(int)
    )


@pytest.mark.parametrize(("dpi", "most"), [(60, 0.001), (120, 0.01)])
def test_a_recording_looks_like_the_figure(dpi, most):
    direct = figure()
    FigureCanvasAgg(direct)
    difference = np.abs(pixels(direct, dpi) - pixels(recorded(figure()), dpi))
    assert np.mean(difference > 60) <= most
    assert np.mean(pixels(direct, dpi) < 200) > 0.05


@pytest.fixture
def files():
    """A figure of 288 × 144 points, a line from (72, 36) to (216, 108), and a text at (72, 36)."""
    drawn = Figure((4, 2), 144, layout=PanelPlacement())
    axes = drawn.subplots()
    axes.set_axis_off()
    axes.plot([72, 216], [36, 108], color="#123456", linewidth=2)
    axes.set(xlim=(3.5, 284.5), ylim=(3.5, 140.5))
    axes.text(72, 36, "AV", fontsize=10)
    with matplotlib.rc_context({"pdf.compression": 0}):
        return encode(drawn, ("png", "svg", "pdf"))


def test_strokes_and_texts_are_where_each_format_counts_from(files):
    svg = files["svg"].decode()
    assert 'viewBox="0 0 288 144"' in svg
    assert "M 72 108 \nL 216 36 \n" in svg and "stroke-width: 2" in svg
    assert "translate(72 108) scale(0.1 -0.1)" in svg
    pdf = b" ".join(files["pdf"].split())
    assert b" 72 36 m 216 108 l " in pdf and b" 2 w " in pdf
    # Matplotlib writes texts with kerning, and those without, by different commands
    assert b" 72 36 Td " in pdf or b" 72 36 cm " in pdf
    assert files["png"][16:24] == (576).to_bytes(4, "big") + (288).to_bytes(4, "big")


def test_a_line_is_clipped_to_its_panel_in_every_format(files):
    assert '<rect x="3.5" y="3.5" width="281" height="137"/>' in files["svg"].decode()
    assert b"3.5 3.5 281 137 re W n" in files["pdf"]


def test_only_what_is_asked_for_is_written():
    assert list(encode(figure(), ("svg",))) == ["svg"]
