"""The command that prints the numbers of a dataset, as text, as JSON and as an HTML page."""

import dataclasses
import json

import pytest
from support.made import Made

from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.report import html as module
from hpc_remetrics.report import report_command, run_section, summary
from hpc_remetrics.report.text import page
from hpc_remetrics.summaries.jobs import run_totals
from hpc_remetrics.summaries.totals import totals


def test_text(made, dataset, capsys):
    assert report_command(made, as_json=False) == 0
    parts = [
        page(totals(dataset), str(made)),
        *summary.section(dataset),
        *run_section.section(run_totals(dataset)),
    ]
    assert capsys.readouterr().out.splitlines() == "\n".join(parts).splitlines()


@pytest.fixture(scope="module")
def read(made):
    """Return a function that prints a dataset as JSON, which has no NaN, and reads that."""

    def refuse(word):
        raise AssertionError(word)

    def print_and_read(capsys, path=made):
        assert report_command(path, as_json=True) == 0
        return json.loads(capsys.readouterr().out, parse_constant=refuse)

    return print_and_read


def test_json_has_all_numbers_but_those_of_single_layers_and_images(read, dataset, capsys):
    found = read(capsys)
    assert found.pop("run") == dataclasses.asdict(run_totals(dataset))
    of_metrics = found.pop("metrics")
    assert found == json.loads(json.dumps(dataclasses.asdict(totals(dataset))))

    # Check some of the metrics
    found = of_metrics
    metrics = dataset.metrics
    left_out = {"layers", "images", "bases", "image_steps", "updates", "quantiles", "histograms"}
    assert set(found) == set(metrics) - left_out
    assert found["totals"] == metrics.totals
    copies = found["distributions"]["contents/copies"]
    assert (copies["count"], copies["max"], copies["unit"]) == (64, 4.0, "1")
    assert copies["bin_count"] == [61, 1, 0, 2]
    assert set(found["distributions"]) == set(metrics.distributions)
    assert [row["class"] for row in found["classes"]] == ["documents", "executables"]
    assert [row["files"] for row in found["classes"]] == [37, 34]
    assert found["top_paths"][0] == {"path": "etc/motd", "contents": 2, "files": 2}
    assert found["chunks"] == []


def test_json_has_null_for_what_is_no_number(read, without_images, capsys):
    found = read(capsys, without_images)
    assert found["metrics"]["totals"]["dedup_ratio_by_count"] is None
    assert found["metrics"]["distributions"]["layers/CLS"]["mean"] is None
    assert found["metrics"]["what_if"][0]["ratio"] is None


def test_json_without_metrics(read, tmp_path, capsys):
    found = read(capsys, Made([[]], [[0]]).write(tmp_path / "made", metrics=False))
    assert "metrics" not in found and found["images"] == 1


def test_an_html_page_replaces_one_of_this_program_alone(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "FIGURES", {})
    target = tmp_path / "new" / "page.html"
    for _ in range(2):
        assert report_command(made, as_json=False, html=target) == 0
    text = target.read_text()
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [f"{target}: {len(text) / 1e6:.1f} MB"] * 2

    # A file of somebody else, and the dataset itself
    target.write_text("precious")
    with pytest.raises(UsageError, match="is no page of this program"):
        report_command(made, as_json=False, html=target)
    assert target.read_text() == "precious"
    report_command(made, as_json=False, html=target, force=True)
    assert target.read_text() == text
    with pytest.raises(UsageError, match="input"):
        report_command(made, as_json=False, html=made, force=True)
    with pytest.raises(OutputError, match="/dev/null"):
        report_command(made, as_json=False, html="/dev/null" / target.relative_to("/"))
