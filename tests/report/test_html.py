"""The HTML page: every number in it, for a dataset by hand; and in a real browser, at the width of a
desk and of a phone: whole, quiet, and nothing leaves it."""

import base64
import json
import re
import shutil
from collections import defaultdict
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.browser import Browser
from support.made import Made

import hpc_remetrics
from hpc_remetrics.report import html as module
from hpc_remetrics.report.definitions import DEFINITIONS
from hpc_remetrics.report.figures import FIGURES
from hpc_remetrics.report.html import html
from hpc_remetrics.report.hub_2017 import SOURCES
from hpc_remetrics.report.page_style import is_page

from .made_dataset import BASE, LONG, MADE

YEAR_2024 = 1_704_067_200
NIGHT = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}


@pytest.fixture(scope="session")
def pages(datasets, tmp_path_factory) -> dict[str, Path]:
    directory, found = tmp_path_factory.mktemp("pages"), {}
    for name, path in datasets.items():
        with hpc_remetrics.open(path) as dataset:
            found[name] = directory / f"{name}.html"
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


class Sections(HTMLParser):
    """What stands in each section: its texts by element, and its tables.

    :ivar texts: (section, element) -> texts; what is in no section is in "".
    :ivar elements: (section, element) -> attributes of each.
    :ivar tables: section -> tables: rows of cells, and beside them their classes.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.section, self.element = "", ""
        self.texts = defaultdict(list)
        self.elements = defaultdict(list)
        self.tables = defaultdict(list)
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "section":
            self.section = values["id"]
        if tag == "table":
            self.tables[self.section].append([])
        if tag == "tr":
            self.tables[self.section][-1].append([])
        if tag in ("td", "th"):
            self.tables[self.section][-1][-1].append(("", values.get("class", "")))
        self.elements[self.section, tag].append(values)
        self.element = tag

    def handle_endtag(self, tag):
        if tag == "section":
            self.section = ""
        self.element = ""

    def handle_data(self, data):
        if self.element in ("td", "th"):
            row = self.tables[self.section][-1][-1]
            row[-1] = (data, row[-1][1])
        elif self.element:
            self.texts[self.section, self.element].append(data)

    def rows(self, section, table=0):
        """Return the texts of a table."""
        return [[text for text, _ in row] for row in self.tables[section][table]]


def tables_of(number):
    """Return a figure without its picture."""
    return replace(FIGURES[number], draw=lambda canvas, numbers: None)


CHOSEN = {10: FIGURES[10], 12: tables_of(12), 17: tables_of(17)}
"""Figures of the page here: the copies of contents, one with many rows, one sorted by bytes."""


@pytest.fixture(scope="module")
def page(dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIGURES", CHOSEN)
        return html(dataset)


@pytest.fixture(scope="module")
def sections(page):
    Outline(page)
    return Sections(page)


def test_the_list_of_contents_links_to_every_section(sections):
    titles = {
        "summary": "Summary",
        "figure-10": "10 Copies of contents",
        "figure-12": "12 Paths and contents",
        "figure-17": "17 Deduplication by directory",
        "configs": "What images say about themselves",
        "failures": "Failures",
        "definitions": "Definitions",
        "sources": "Sources",
    }
    links = [link["href"] for link in sections.elements["", "a"]]
    assert links == [f"#{anchor}" for anchor in titles]
    headings = {anchor: sections.texts[anchor, "h2"] for anchor in titles}
    titles["sources"] = "Sources of the published values of 2017"
    assert headings == {anchor: [title] for anchor, title in titles.items()}


def test_the_head(sections, page, tmp_path):
    assert sections.texts["", "title"] == sections.texts["", "h1"] == ["made.h5"]
    policy = {meta.get("http-equiv"): meta.get("content") for meta in sections.elements["", "meta"]}
    assert policy["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert sections.texts["", "p"] == [
        "analyzed 2017-07-14 02:40 UTC; hpc_remetrics 9.9; sources: oci:first oci:second"
    ]
    (tmp_path / "page.html").write_text(page)
    assert is_page(tmp_path / "page.html")
    (tmp_path / "page.html").write_text(" " * 4096 + page)
    assert not is_page(tmp_path / "page.html")


def test_totals_stand_beside_those_of_2017(sections):
    assert sections.rows("summary") == [
        ["", "this dataset", "Docker Hub 2017"],
        ["repositories", "3", "457,627"],
        ["images", "3", ""],
        ["distinct layers", "4", "1,792,609"],
        ["their compressed bytes", "760 B", "47 TB"],
        ["their bytes as uncompressed tar", "38.9 kB", "167 TB"],
        ["bytes of their regular files", "38.4 kB", ""],
        ["regular files", "71", "5.28 G"],
        ["distinct contents", "64", ""],
        ["bytes of distinct contents", "32.5 kB", ""],
        ["reduction by layer sharing", "2.11", ""],
        ["compression ratio FLS / CLS", "50.5", ""],
        ["deduplication ratio by count", "1.11", ""],
        ["deduplication ratio by capacity", "1.18", ""],
        ["distinct contents / files", "90.14 %", "3 %"],
        ["redundant bytes / bytes", "15.27 %", "85.69 %"],
        ["share of files that other images have too", "100 %", ""],
        ["hidden share of all images' bytes", "6.201 %", ""],
        ["share of images that are built on another one", "33.33 %", ""],
        ["share of all images' bytes that their bases have", "7.869 %", ""],
        ["share of images with a base whose base is outdated", "0 %", ""],
    ]
    assert [kind for _, kind in sections.tables["summary"][0][1]] == ["text", "", ""]


def test_a_figure_with_its_caption(sections):
    assert sections.texts["figure-10", "figcaption"] == [FIGURES[10].caption]
    (image,) = sections.elements["figure-10", "img"]
    assert image["alt"] == "Figure 10: Copies of contents"
    kind, _, picture = image["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"figure by hpc_remetrics" in base64.b64decode(picture)


def test_the_numbers_of_a_figure(sections):
    """Of 64 contents, 61 are in one file, one is in two, and two are in four."""
    assert sections.texts["figure-10", "h3"] == ["distributions", "top_contents"]
    assert sections.rows("figure-10") == [
        ["", "number", "min", "median", "mean", "p90", "p99", "max"],
        ["files that have a content (contents/copies)", "64", *["1", "1", "1.11", "1", "4", "4"]],
        ["layers that have a content (contents/layers)", "64", *["1", "1", "1.05", "1", "3", "3"]],
        ["images that have a content (contents/images)", "64", *["2", "2", "2.05", "2", "3", "3"]],
    ]
    head, first, *_ = sections.tables["figure-10"][1]
    names = ["ranked by", "content", "digest", "size", "copies", "layers", "images"]
    names += ["redundant bytes", "type", "path"]
    kinds = ["text", "", "text", "", "", "", "", "", "text", "text"]
    assert head == list(zip(names, kinds, strict=True))
    digest = f"sha256:{MADE.layers[0][1].digest.hex()}"
    assert first[0] == ("copies", "text") and first[2] == (digest, "long")
    assert first[3:] == [
        ("919 B", ""),
        ("4", ""),
        ("3", ""),
        ("3", ""),
        ("2.76 kB", ""),
        ("ASCII text", "text"),
        ("usr/lib/new.txt", "text"),
    ]


def test_of_a_long_table_the_first_rows_are_shown(sections):
    """There are 69 paths, of which two have two contents."""
    rows = sections.rows("figure-12", 2)
    assert len(rows) == 1 + 25
    assert rows[1:3] == [["etc/motd", "2", "2"], ["etc/copy.txt", "2", "2"]]
    assert sections.tables["figure-12"][2][4] == [
        (f"{LONG.decode()}/file.so", "long"),
        ("1", ""),
        ("1", ""),
    ]
    assert sections.texts["figure-12", "p"][-1] == "44 more rows in the dataset (--json, export)."


def test_files_by_bytes(sections):
    rows = sections.rows("figure-17")
    bytes_of = [row[rows[0].index("share of bytes")] for row in rows[1:]]
    shares = [float(text.rstrip(" %")) for text in bytes_of]
    assert shares == sorted(shares, reverse=True) and len(set(shares)) > 3
    assert sections.texts["figure-17", "p"] == [
        "files by the first 1 to 4 parts of their directory; each depth has every file, most files first"
    ]


def test_failures_are_counted(sections):
    assert sections.rows("failures") == [
        ["", "number"],
        ["status: ok", "2"],
        ["status: failed", "1"],
        ["status: partial", "1"],
        ["stage: tar", "2"],
        ["cause: bad_header", "2"],
        ["skip_cause: artifact", "1"],
    ]


def test_definitions_and_sources_are_lists(sections):
    for section, texts in (("definitions", DEFINITIONS), ("sources", SOURCES)):
        assert sections.texts[section, "dt"] == list(texts)
        assert sections.texts[section, "dd"] == list(texts.values())


@pytest.fixture
def about(made, tmp_path, monkeypatch):
    """Return a function that changes a dataset, and returns what the page says it is made of."""
    monkeypatch.setattr(module, "FIGURES", {})

    def line(change):
        path = shutil.copy(made, tmp_path / "changed.h5")
        with h5py.File(path, "a") as file:
            change(file["run"])
        with hpc_remetrics.open(path) as dataset:
            (text,) = Sections(html(dataset)).texts["", "p"]
        return text

    return line


@pytest.mark.parametrize(("number", "more"), [(20, ""), (1020, " and 1,000 more")])
def test_of_many_sources_the_first_twenty_are_named(about, number, more):
    names = [f"oci:{place}" for place in range(number)]

    def change(run):
        del run["sources/source"]
        run["sources/source"] = np.array(names, "S")

    assert about(change).endswith(f"; sources: {' '.join(names[:20])}{more}")


def test_a_dataset_that_does_not_say_where_it_comes_from(about):
    def change(run):
        del run["sources"], run.attrs["version"], run.attrs["started"]

    assert about(change) == "hpc_remetrics of an unknown version; sources: unknown"


def test_an_empty_dataset_is_called_empty(without_images, monkeypatch):
    monkeypatch.setattr(module, "FIGURES", {4: tables_of(4)})
    with hpc_remetrics.open(without_images) as dataset:
        sections = Sections(html(dataset))
    (about,) = sections.texts["", "p"]
    assert about.endswith("; the dataset is empty: its sources held no image")
    assert sections.rows("figure-4", 1)[1:] == [["no rows"]]
    assert sections.rows("failures") == [["", "number"], ["no rows"]]


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
    assert (runs.directory / "page.html").read_text().startswith("<!doctype html>")
    assert result.stdout == "" and result.stderr.count("\n") == 1
    result = runs.run(
        runs.command("report", datasets["one"], "--html", "/dev/null/page.html"), code=5
    )
    assert result.stderr.count("\n") == 1
    runs.run(runs.command("report", datasets["one"], "--html", "x", "--json"), code=2)


def test_what_images_say_stands_escaped_in_a_table_for_each_kind_of_value(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIGURES", {})
    labels = [("<script>\x1b", "v"), *((f"key{number:02}", "v") for number in range(26))]
    made = Made(
        [BASE],
        [[0], [0]],
        created={0: YEAR_2024},
        configs={0: {"labels": tuple(labels), "cmd": "x" * 31}},
    )
    with hpc_remetrics.open(made.write(tmp_path / "made")) as dataset:
        found = Sections(html(dataset))
    assert found.rows("configs", 0) == [["year", "images"], ["(none)", "1"], ["2024", "1"]]
    assert found.rows("configs", 1)[:3] == [
        ["label", "images"],
        ["<script>\\x1b", "1"],
        ["key00", "1"],
    ]
    assert found.tables["configs"][2][1] == [("x" * 31, "long"), ("1", "")]
    assert len(found.tables["configs"]) == 3
    assert found.texts["configs", "p"] == ["2 more rows in the dataset (--json, export)."]


def test_a_page_without_configs_says_so(without_images, monkeypatch):
    monkeypatch.setattr(module, "FIGURES", {})
    with hpc_remetrics.open(without_images) as dataset:
        found = Sections(html(dataset))
    assert found.texts["configs", "p"] == ["No config of an image is in the dataset."]


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
        left_out = {"layers", "images", "bases", "image_steps", "updates"}
        assert set(got) == set(metrics) - left_out - {"quantiles", "histograms"}
        assert got["totals"] == pytest.approx(metrics.totals)
        assert set(got["distributions"]) == set(metrics.distributions)
        one = metrics.distribution("images/CLS")
        assert got["distributions"]["images/CLS"]["value"] == one.value.tolist()
        assert [row["bytes"] for row in got["classes"]] == metrics["classes"]["bytes"].tolist()
    assert found["empty"]["metrics"]["totals"]["dedup_ratio_by_count"] is None


@pytest.mark.slow
def test_a_dataset_without_metrics_says_how_to_get_them(runs, datasets):
    shutil.copy(datasets["one"], runs.directory / "old.h5")
    with h5py.File(runs.directory / "old.h5", "a") as file:
        del file["metrics"]
    assert "reduce old.h5` computes them" in runs.run(runs.command("report", "old.h5")).stdout
    assert "metrics" not in json.loads(runs.run(runs.command("report", "old.h5", "--json")).stdout)
    for command in (("report", "old.h5", "--html", "x.html"), ("plot", "old.h5")):
        assert "reduce" in runs.run(runs.command(*command), code=2).stderr
