"""The command that writes figures as files, and their numbers as CSV."""

import csv
import io
from dataclasses import replace

import pytest

from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.report import plot as module
from hpc_remetrics.report.figures import FIGURES
from hpc_remetrics.report.figures.style import Look
from hpc_remetrics.report.plot import plot_command

CHOSEN = {
    number: replace(FIGURES[number], draw=lambda canvas, numbers: None) for number in (3, 10, 13)
}
"""Figures without panels, so that they are drawn at once."""


@pytest.fixture
def plot(made, tmp_path, monkeypatch):
    """Return a function that writes figures to a directory, and returns the names of its files."""
    monkeypatch.setattr(module, "FIGURES", CHOSEN)

    def write(*numbers, path=made, formats=("svg",), **options):
        directory = tmp_path / "figures"
        assert plot_command(path, directory, numbers, formats, look=Look(), **options) == 0
        return sorted(file.name for file in directory.iterdir())

    return write


def test_chosen_figures_in_their_order(plot, tmp_path, capsys):
    names = plot(13, 3, 13, formats=("svg", "pdf"))
    assert names == [
        "figure-03-layer-files.pdf",
        "figure-03-layer-files.svg",
        "figure-13-layer-sharing.pdf",
        "figure-13-layer-sharing.svg",
    ]
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}/figures/figure-03-layer-files.{{svg,pdf}}: {FIGURES[3].title}",
        f"{tmp_path}/figures/figure-13-layer-sharing.{{svg,pdf}}: {FIGURES[13].title}",
    ]
    assert (tmp_path / "figures" / names[0]).read_bytes().startswith(b"%PDF")


def test_all_figures_if_none_is_chosen(plot, capsys):
    assert [name[:9] for name in plot()] == ["figure-03", "figure-10", "figure-13"]
    assert "empty" not in capsys.readouterr().err


def test_a_file_in_the_place_of_the_directory_is_refused_before_anything_is_drawn(made, tmp_path):
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a directory"):
        module._check(tmp_path / "figures", [tmp_path / "figures" / "a.svg"], made, force=False)


def test_an_empty_dataset_is_called_empty(plot, without_images, capsys):
    plot(13, path=without_images)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "the dataset is empty: its figures say so, and nothing else"
    ]


def test_files_of_this_program_are_replaced_and_no_others(plot, tmp_path):
    names = plot(13, has_data=True)
    assert names == ["figure-13-layer-sharing.csv", "figure-13-layer-sharing.svg"]
    targets = [tmp_path / "figures" / name for name in names]
    before = [target.read_bytes() for target in targets]
    plot(13, has_data=True)
    for target, data in zip(targets, before, strict=True):
        target.write_text("table,row,column,valued\n")
        refusal = f"{target.name} exists and is no figure of this program"
        with pytest.raises(UsageError, match=refusal):
            plot(13, has_data=True)
        target.write_bytes(data)
    targets[0].write_text("precious")
    plot(13, has_data=True, force=True)
    assert [target.read_bytes() for target in targets] == before


def test_the_numbers_of_a_figure(plot, tmp_path, dataset):
    (name, _) = plot(10, has_data=True)
    text = (tmp_path / "figures" / name).read_text()
    head, *rows = csv.reader(io.StringIO(text))
    assert head == ["table", "row", "column", "value"]
    found = {}
    for table, row, column, value in rows:
        found.setdefault((table, column), []).append(value)
        assert int(row) == len(found[table, column]) - 1

    # Of the contents, 61 are in one file, one is in two, and two are in four
    bins = {column: found["contents/copies histogram", column] for column in ("low", "count")}
    assert bins == {"low": ["1.0", "2.0", "3.0", "4.0"], "count": ["61", "1", "0", "2"]}
    copies = dataset.metrics.distribution("contents/copies")
    for column in ("probability", "value"):
        values = found["contents/copies quantiles", column]
        assert list(map(float, values)) == getattr(copies, column).tolist()
    assert found["top_contents", "copies"][:2] == ["4", "4"]
    assert found["top_contents", "path"][0] == "usr/lib/new.txt"
    assert {table for table, _ in found} == {
        *(f"{name} quantiles" for name in FIGURES[10].distributions),
        *(f"{name} histogram" for name in FIGURES[10].distributions),
        "top_contents",
    }
