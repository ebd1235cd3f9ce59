"""Every figure, at no image, one and fifty: nothing is cut, nothing overlaps, no panel is empty
without saying so."""

import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree
from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

import hpc_remetrics
from hpc_remetrics.report.figures import FIGURES, drawn, images
from hpc_remetrics.report.figures.panels import panels_of
from hpc_remetrics.report.figures.style import style
from hpc_remetrics.report.report_data import read_report_data

pytestmark = pytest.mark.slow

SCALES = ("empty", "one", "fifty")
UNIT = re.compile(
    r"\((bytes|number|parts|components|%|1|1/s|bytes/s|s|layers)\)$|^share of |^\w+( or \w+)* per (octave|unit|bin)$"
)
NOTHING = re.compile(r"no |nothing |the dataset (does not say|has no data of)")


@pytest.fixture
def canvas(datasets, monkeypatch, scale, number):
    """The figure as it is drawn, with `texts`: (text, box in pixels) of all that stands in it."""
    drawn_texts = []
    draw = Text.draw

    def record(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            drawn_texts.append(self)
        return draw(self, renderer, *args, **kwargs)

    with hpc_remetrics.open(datasets[scale]) as dataset, style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas = drawn(FIGURES[number], read_report_data(dataset))
        monkeypatch.setattr(Text, "draw", record)
        canvas.draw_without_rendering()
        canvas.texts_drawn = [
            (text.get_text(), text.get_window_extent()) for text in dict.fromkeys(drawn_texts)
        ]
        yield canvas


@pytest.mark.slow
@pytest.mark.parametrize("number", FIGURES)
@pytest.mark.parametrize("scale", SCALES)
def test_structure(canvas, scale, number):
    _no_text_is_cut_or_covered(canvas)
    for axes in panels_of(canvas):
        if not axes.axison:
            (text,) = [text.get_text() for text in axes.texts]
            assert NOTHING.match(text), text
            continue
        assert axes.lines or axes.patches or axes.collections, "an empty panel"
        _axes_are_labelled(axes, canvas)
        _everything_is_in_view(axes)
    legends = [part.legends for part in (canvas, *_parts(canvas))]
    for legend in (one for found in legends for one in found):
        looks = [_look(handle) for handle in legend.legend_handles]
        assert len(set(looks)) == len(looks), "two things look alike without colour"


def _parts(figure):
    return [part for one in figure.subfigs for part in (one, *_parts(one))]


def _no_text_is_cut_or_covered(canvas):
    whole = canvas.bbox
    for text, box in canvas.texts_drawn:
        inside = (
            whole.x0 - 1 <= box.x0
            and box.x1 <= whole.x1 + 1
            and whole.y0 - 1 <= box.y0
            and box.y1 <= whole.y1 + 1
        )
        assert inside, f"{text!r} is cut: {box} of {whole}"
    for (one, a), (other, b) in combinations(canvas.texts_drawn, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide < 1 or high < 1, f"{one!r} covers {other!r}"


def _axes_are_labelled(axes, canvas):
    shared = axes.get_shared_x_axes().get_siblings(axes)
    labels = [one.get_xlabel() for one in shared if one.get_xlabel()]
    assert labels and UNIT.search(labels[0]), labels
    if not isinstance(axes.yaxis.get_major_locator(), FixedLocator):  # bars have names there
        above = [part._supylabel.get_text() for part in _parts(canvas) if part._supylabel]
        assert UNIT.search(axes.get_ylabel()) or any(map(UNIT.search, above)), axes.get_ylabel()


def _everything_is_in_view(axes):
    (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    for line in axes.lines:
        if line.get_transform() != axes.transData:
            continue
        x, y = (np.asarray(values, float) for values in line.get_data())
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        assert (x >= left - 1e-9).all() and (x <= right * (1 + 1e-9)).all(), (
            line.get_label(),
            x,
            (left, right),
        )
        assert (y >= bottom - 1e-9).all() and (y <= top + 1e-9).all(), (
            line.get_label(),
            y,
            (bottom, top),
        )
    for bar in axes.patches:
        if hasattr(bar, "get_width"):
            assert bar.get_x() + bar.get_width() <= right * (1 + 1e-9)


def _look(handle):
    """What is left of a legend's handle in black and white."""
    hatch = getattr(handle, "get_hatch", lambda: None)()
    line = getattr(handle, "get_linestyle", lambda: None)()
    marker = getattr(handle, "get_marker", lambda: None)()
    dashes = getattr(handle, "_unscaled_dash_pattern", None)
    return type(handle).__name__, hatch, str(line), str(dashes), marker


@pytest.fixture(scope="session")
def files(datasets):
    formats = ("png", "svg", "pdf")
    with hpc_remetrics.open(datasets["fifty"]) as dataset, style(formats):
        numbers = read_report_data(dataset)
        return {number: images(FIGURES[number], numbers, formats) for number in (1, 11)}


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 11])
def test_fonts_print_and_files_are_what_they_are_called(files, number):
    found = files[number]
    assert b"/FontFile2" in found["pdf"] and b"/Type3" not in found["pdf"]
    assert xml.etree.ElementTree.fromstring(found["svg"]).tag.endswith("svg")
    assert found["png"].startswith(b"\x89PNG") and len(found["png"]) > 10_000


@pytest.mark.parametrize("number", [1, 11])
def test_no_file_tells_when_it_was_drawn(files, number):
    found = files[number]
    assert (
        b"Date" not in found["pdf"]
        and b"<dc:date>" not in found["svg"]
        and b"Time" not in found["png"]
    )
    # All that a PNG says in words is which program drew it.
    assert (
        found["png"].count(b"tEXt")
        == found["png"].count(b"tEXtSoftware\0figure by hpc_remetrics")
        == 1
    )


@pytest.mark.slow
def test_the_users_settings_stay_as_they_are(datasets):
    import matplotlib

    before = dict(matplotlib.rcParams)
    matplotlib.rcParams["font.size"] = 30
    try:
        with hpc_remetrics.open(datasets["one"]) as dataset:
            numbers = read_report_data(dataset)
            with style():
                one = images(FIGURES[1], numbers, ("png",))
            assert matplotlib.rcParams["font.size"] == 30
            matplotlib.rcParams["font.size"] = before["font.size"]
            with style():
                assert images(FIGURES[1], numbers, ("png",)) == one
    finally:
        matplotlib.rcParams.update(before)


@pytest.mark.slow
def test_the_command(runs, datasets):
    result = runs.run(
        runs.command("plot", datasets["fifty"], "-o", "out", "--figure", 14, "--figure", 2)
    )
    assert result.stderr.count("\n") == 2
    names = {path.name for path in (runs.directory / "out").iterdir()}
    assert names == {f"{FIGURES[n].file}.{form}" for n in (2, 14) for form in ("png", "svg", "pdf")}
    result = runs.run(
        runs.command("plot", datasets["empty"], "-o", "out", "--figure", 1, "--format", "pdf")
    )
    assert "the dataset is empty" in result.stderr
    for words, code, text in (
        (("plot", datasets["one"], "--figure", 99), 2, "there is no figure 99"),
        (("plot", "missing.h5"), 2, "is not there"),
        (("plot", datasets["one"], "-o", datasets["one"]), 5, "is a file"),
    ):
        result = runs.run(runs.command(*words), code)
        assert text in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_options_and_data(runs, datasets):
    (runs.directory / "big.mplstyle").write_text("font.size: 12\n")
    command = runs.command("plot", datasets["one"], "-o", "out", "--figure", 13, "--format", "png")
    options = ["--width", 3.4, "--dpi", 300, "--no-title", "--no-references", "--letters", "--data"]
    for _ in range(2):
        # The second run replaces the files of the first one
        runs.run([*command, *map(str, options), "--style", "big.mplstyle"])
    png = (runs.directory / "out" / f"{FIGURES[13].file}.png").read_bytes()
    assert int.from_bytes(png[16:20], "big") == 1020
    lines = (runs.directory / "out" / f"{FIGURES[13].file}.csv").read_text().splitlines()
    assert lines[:2] == ["table,row,column,value", "what_if,0,scenario,no_sharing"]
    (runs.directory / "big.mplstyle").write_text("font.size: many\n")
    result = runs.run([*command, "--style", "big.mplstyle"], 2)
    assert "big.mplstyle can't be read" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_figure_among_others(datasets):
    from matplotlib.figure import Figure

    with hpc_remetrics.open(datasets["one"]) as dataset:
        whole = hpc_remetrics.plot(dataset, 13)
        assert len(panels_of(whole)) == 2 and whole.get_suptitle() == ""
        own = Figure((8, 4), layout="constrained")
        left, right = own.subplots(1, 2)
        part = hpc_remetrics.plot(dataset, 13, ax=right)
        assert own.axes[0] is left and len(panels_of(part)) == 2 and len(own.axes) == 3
        own.draw_without_rendering()
        with pytest.raises(ValueError, match="stands in no grid"):
            hpc_remetrics.plot(dataset, 13, ax=own.add_axes((0, 0, 1, 1)))
        with pytest.raises(ValueError, match=f"there are 1 to {max(FIGURES)}"):
            hpc_remetrics.plot(dataset, max(FIGURES) + 1)


@pytest.mark.slow
def test_matplotlib_is_not_loaded_before_it_is_needed(runs):
    program = (
        "import hpc_remetrics.cli, hpc_remetrics.report.plot, sys; "
        "sys.exit('matplotlib' in sys.modules)"
    )
    runs.run([runs.command()[0], "-c", program])


@pytest.mark.slow
@pytest.mark.parametrize("what", ["pipe", "bytes", "backend"])
def test_a_matplotlibrc_of_the_current_directory_is_not_read(tmp_path, what):
    """Whoever put it there: matplotlib would hang on a pipe, and break on what is no text."""
    path = tmp_path / "matplotlibrc"
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"\xff\xfe" if what == "bytes" else b"backend: module://evil\n")
    code = (
        "from hpc_remetrics.report.figures.style import new_figure, style\n"
        "with style(): new_figure(1, 'title', 'x.h5')\n"
        "import os, matplotlib; print(os.getcwd(), matplotlib.rcParams['backend'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] == str(tmp_path)
    assert "evil" not in result.stdout
