"""The HTML page in a real browser, at the width of a desk and of a phone: whole, quiet, and nothing
leaves it."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import h5py
import pytest
from support.browser import Browser

import hpc_remetrics
from hpc_remetrics.report.figures import FIGURES
from hpc_remetrics.report.html import html

NIGHT = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}


@pytest.fixture(scope="session")
def pages(datasets, tmp_path_factory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for name, path in datasets.items():
        with hpc_remetrics.open(path) as dataset:
            found[name] = folder / f"{name}.html"
            found[name].write_text(html(dataset), encoding="utf-8")
    return found


class Outline(HTMLParser):
    """Checks that tags are closed in order; collects anchors and what is linked to."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.ids, self.links, self.urls = [], set(), set(), set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        if values.get("href", "").startswith("#"):
            self.links.add(values["href"][1:])
        self.urls |= {
            values[name] for name in ("src", "href", "srcset", "action") if name in values
        }
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["empty", "one", "fifty"])
def test_the_page_is_whole(pages, scale):
    text = pages[scale].read_text()
    outline = Outline(text)
    assert outline.links <= outline.ids
    assert {f"figure-{number}" for number in FIGURES} <= outline.ids
    assert all(url.startswith(("#", "data:image/svg+xml;base64,")) for url in outline.urls)
    assert "<script" not in text and "url(" not in text
    assert ("the dataset is empty" in text) == (scale == "empty")
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text).lower().split()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height", "phone"), [(1280, 900, False), (390, 844, True)])
@pytest.mark.parametrize("scale", ["empty", "fifty"])
def test_in_a_browser(pages, tmp_path, scale, width, height, phone):
    with Browser(tmp_path / "profile", width, height, phone) as browser:
        browser.open(pages[scale])
        browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert browser.console() == []
        asked = browser.requested()
        assert asked[0] == pages[scale].as_uri()
        assert [url for url in asked[1:] if not url.startswith("data:")] == []
        assert browser.run("return innerWidth") == width
        assert browser.run("return document.documentElement.scrollWidth") <= width
        images = browser.run(
            "return [...document.images].map(one => one.complete && one.naturalWidth > 300)"
        )
        assert images == [True] * len(FIGURES)
        low = browser.run(
            "return [...document.querySelectorAll('p,li,dd,td,figcaption')].filter(one => one.textContent"
            " && parseFloat(getComputedStyle(one).fontSize) < 11).length"
        )
        assert low == 0


@pytest.mark.slow
def test_by_night(pages, tmp_path):
    with Browser(tmp_path / "profile", 1280, 900) as browser:
        browser.command("Emulation.setEmulatedMedia", NIGHT)
        browser.open(pages["one"])
        ground, text = browser.run(
            "const look = getComputedStyle(document.body); return [look.backgroundColor, look.color]"
        )
        dark, light = (sum(map(int, re.findall(r"\d+", color))) for color in (ground, text))
        assert dark < 100 and light > 600
        assert "invert" in browser.run("return getComputedStyle(document.images[0]).filter")


@pytest.mark.slow
def test_hostile_names_are_text(datasets, tmp_path):
    """A name in a dataset can't become a tag: the file's own name shows it."""
    path = tmp_path / "<img src=x onerror=alert(1)>&.h5"
    shutil.copy(datasets["one"], path)
    with hpc_remetrics.open(path) as dataset:
        text = html(dataset)
    Outline(text)
    assert "<img src=x" not in text and "&lt;img src=x" in text


@pytest.mark.slow
def test_the_command(runs, datasets):
    result = runs.run(runs.command("report", datasets["one"], "--html", "page.html"))
    assert (runs.folder / "page.html").read_text().startswith("<!doctype html>")
    assert result.stdout == "" and result.stderr.count("\n") == 1
    result = runs.run(
        runs.command("report", datasets["one"], "--html", "/dev/null/page.html"), code=5
    )
    assert result.stderr.count("\n") == 1
    runs.run(runs.command("report", datasets["one"], "--html", "x", "--json"), code=2)


@pytest.mark.slow
def test_json_has_every_number(runs, datasets):
    def refuse(text):
        raise AssertionError(text)

    found = {}
    for name, path in datasets.items():
        text = runs.run(runs.command("report", path, "--json")).stdout
        found[name] = json.loads(text, parse_constant=refuse)
        assert runs.run(runs.command("report", path)).stdout.count("\n") > 10
    with hpc_remetrics.open(datasets["fifty"]) as dataset:
        metrics = dataset.metrics
        got = found["fifty"]["metrics"]
        assert set(got) == set(metrics.tables) - {"layers", "images", "quantiles", "histograms"}
        assert got["totals"] == pytest.approx(metrics.totals)
        assert set(got["distributions"]) == set(metrics.distributions)
        one = metrics.distribution("images/CLS")
        assert got["distributions"]["images/CLS"]["value"] == one.value.tolist()
        assert [row["bytes"] for row in got["classes"]] == metrics["classes"]["bytes"].tolist()
    assert found["empty"]["metrics"]["totals"]["dedup_ratio_by_count"] is None


@pytest.mark.slow
def test_a_dataset_without_metrics_says_how_to_get_them(runs, datasets):
    shutil.copy(datasets["one"], runs.folder / "old.h5")
    with h5py.File(runs.folder / "old.h5", "a") as file:
        del file["metrics"]
    assert "reduce old.h5` computes them" in runs.run(runs.command("report", "old.h5")).stdout
    assert "metrics" not in json.loads(runs.run(runs.command("report", "old.h5", "--json")).stdout)
    for command in (("report", "old.h5", "--html", "x.html"), ("plot", "old.h5")):
        assert "reduce" in runs.run(runs.command(*command), code=2).stderr
