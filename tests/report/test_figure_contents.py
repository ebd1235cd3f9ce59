"""Panels of every figure, of a dataset by hand: titles, labels, values, legends.

`Curves` and `Bars` say what a panel shows. Nothing is rendered here.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from support.made import Entry

import hpc_remetrics
from hpc_remetrics.report.figures import FIGURES, draw_in_place
from hpc_remetrics.report.figures.panels import density, panels_of
from hpc_remetrics.report.figures.style import Look, style
from hpc_remetrics.report.hub_2017 import DISTRIBUTIONS
from hpc_remetrics.report.report_data import read_report_data

from .made_dataset import BASE, FAILED, LONG, MADE, OTHER, UPPER

FILES = [entry for entry in (*BASE, *UPPER, *OTHER) if entry.kind == "file"]
BYTES = sum(entry.size for entry in FILES)
CONTENTS = {entry.content: entry.size for entry in FILES}
CONTENT_BYTES = sum(CONTENTS.values())
TEXTS = [entry for entry in FILES if entry.content % 2]
PROGRAMS = [entry for entry in FILES if not entry.content % 2]

SHARES = ("share of files", "share of bytes")
BYTE, COUNT, SHARE = "2 kB", "2k", "200000 %"
"""How an axis of bytes, of a count or ratio, and of shares writes 2000."""


def shares(entries):
    """Return the shares of some entries in the files and in their bytes."""
    return len(entries) / len(FILES), sum(entry.size for entry in entries) / BYTES


@dataclass
class Curves:
    """A panel of CDFs, of distributions by label.

    :ivar per: unit to which the histograms beside it refer; "": there are none.
    :ivar of: what has the values.
    """

    xlabel: str
    of: str
    distributions: dict[str, str]
    per: str = ""
    title: str = ""
    ticks: str = COUNT
    has_legend: bool = True

    @property
    def labels(self):
        return [*self.distributions, *(label for label, _ in self.marks)]

    @property
    def marks(self):
        """Published values: the label and the height of each."""
        return [
            (f"2017: {one.text} ({one.source})", one.share)
            for name in self.distributions.values()
            for one in DISTRIBUTIONS.get(name, ())
        ]

    def check(self, axes, numbers):
        lines = axes.lines[: len(self.distributions)]
        assert [line.get_label() for line in lines] == list(self.distributions)
        for line, name in zip(lines, self.distributions.values(), strict=True):
            one = numbers.metrics.distribution(name)
            assert line.get_xdata().tolist() == one.value.tolist()
            assert line.get_ydata().tolist() == one.probability.tolist()
        assert marks_of(axes.lines[len(lines) :]) == self.marks
        assert axes.get_ylabel() == f"share of {self.of}"
        assert axes.yaxis.get_major_formatter()(0.5) == "50 %"
        assert axes.get_title("left") == self.title


@dataclass
class Bars:
    """A panel of bars or dots.

    :ivar values: name -> a value for each of the `series`.
    :ivar marks: published values or intervals: the label and the height of each.
    """

    xlabel: str
    values: dict[str, float | tuple[float, ...]]
    series: tuple[str, ...] = ()
    title: str = ""
    ticks: str = COUNT
    marks: list[tuple[str, float]] = field(default_factory=list)
    per = ""
    has_legend = True

    @property
    def labels(self):
        return [*self.series, *(label for label, _ in self.marks)]

    def check(self, axes, numbers):
        assert [text.get_text() for text in axes.get_yticklabels()] == list(self.values)
        count = max(len(self.series), 1)
        dots = [] if axes.containers else axes.lines[:count]
        found = [[bar.get_width() for bar in one] for one in axes.containers]
        found += [line.get_xdata().tolist() for line in dots]
        for values, number in zip(found, range(count), strict=True):
            wanted = [np.ravel(one)[number] for one in self.values.values()]
            assert values == pytest.approx(wanted)
        labels = [one.get_label() for one in (*axes.containers, *dots)]
        assert tuple(label for label in labels if not label.startswith("_")) == self.series
        assert marks_of(axes.lines[len(dots) :]) == self.marks
        assert self.title in (axes.get_title("left"), axes.get_title("right"))


def marks_of(lines):
    """Return the label, without its arrow, and the height of each published value."""
    return [
        (line.get_label().rstrip(" ←→↑↓"), pytest.approx(line.get_ydata()[0], abs=1e-9))
        for line in lines
    ]


def distinct(entries):
    """Return how many contents some files have, and their bytes."""
    sizes = {entry.content: entry.size for entry in entries}
    return len(sizes), sum(sizes.values())


def redundancy(entries):
    """Return the files of each content, and the bytes for each byte of the contents."""
    contents, size = distinct(entries)
    return len(entries) / contents, sum(entry.size for entry in entries) / size


def redundant_share(entries):
    """Return the share of some files in all redundant bytes."""
    return (sum(entry.size for entry in entries) - distinct(entries)[1]) / (BYTES - CONTENT_BYTES)


def directories(depth):
    """Return the panel of the first parts of the directories, most redundant bytes first."""
    groups = defaultdict(list)
    for entry in FILES:
        groups[b"/".join(entry.path.split(b"/")[:-1][:depth]).decode() or "/"].append(entry)
    by_files = sorted(groups, key=lambda name: (-len(groups[name]), name.strip("/")))
    names = sorted(by_files, key=lambda name: -redundant_share(groups[name]))
    return Bars(
        "share (%)",
        {
            name if len(name) <= 30 else f"{name[:15]}…{name[-14:]}": (
                redundant_share(groups[name]),
                shares(groups[name])[1],
            )
            for name in names
        },
        ("of redundant bytes", "of all bytes"),
        f"first {depth} level{'s' * (depth > 1)} of the directory",
        SHARE,
    )


def by_redundancy(names, title):
    """Return two panels of texts and programs."""
    groups = dict(zip(names, (TEXTS, PROGRAMS), strict=True))
    ratios = {name: redundancy(entries) for name, entries in groups.items()}
    ratio = Bars(
        "deduplication ratio (1)",
        ratios,
        ("by count", "by capacity"),
        f"{title}, most redundant bytes first",
    )
    of_all = {name: redundant_share(entries) for name, entries in groups.items()}
    return ratio, Bars("share of all redundant bytes (%)", of_all, ticks=SHARE)


def by_bytes(names, title):
    """Return a panel of the shares of texts and programs."""
    values = dict(zip(names, (shares(TEXTS), shares(PROGRAMS)), strict=True))
    return Bars("share (%)", values, SHARES, title, SHARE)


def with_ending(ending):
    return [entry for entry in FILES if entry.path.endswith(ending)]


def mean(entries):
    return sum(entry.size for entry in entries) / len(entries)


def size_of(layers):
    return 10 * sum(map(len, layers))


LAYERS = (BASE, UPPER, OTHER)
STORED = size_of(MADE.layers[layer] for image in MADE.images for layer in image)
SHIPPED = [
    entry
    for image in MADE.images
    for layer in image
    for entry in MADE.layers[layer]
    if entry.kind == "file"
]
SHIPPED_BYTES = sum(entry.size for entry in SHIPPED)
INHERITED_BYTES = sum(entry.size for entry in (*BASE, *UPPER) if entry.kind == "file")
IMAGE = "made0000:a-tag-of-more-than-thirty-characters"
PATH = (LONG + b"/file.so").decode()
COPIED = Entry("file", b"", 1).size
COPIED_OTHER = Entry("file", b"", 2).size
TOP = Entry("file", b"", 3).size

PATHS = Counter(path for path, _ in {(entry.path, entry.content) for entry in FILES})
PLACES = Counter(content for _, content in {(entry.path, entry.content) for entry in FILES})
ONE_PATH = [entry for entry in FILES if PATHS[entry.path] == 1]
ONE_PLACE = [entry for entry in FILES if PLACES[entry.content] == 1]
WITHIN = [
    len(files) - distinct(files)[0]
    for files in ([entry for entry in layer if entry.kind == "file"] for layer in LAYERS)
]
WITHIN_BYTES = [
    sum(entry.size for entry in files) - distinct(files)[1]
    for files in ([entry for entry in layer if entry.kind == "file"] for layer in LAYERS)
]


def levels():
    """Return the redundant shares within layers, across them, and in all."""
    within = sum(WITHIN) / len(FILES), sum(WITHIN_BYTES) / BYTES
    every = 1 - len(CONTENTS) / len(FILES), 1 - CONTENT_BYTES / BYTES
    across = every[0] - within[0], every[1] - within[1]
    return {"within layers": within, "across layers": across, "all": every}


def size(entries):
    return sum(entry.size for entry in entries if entry.kind == "file")


def of_steps():
    """Return the panels of figure 23.

    Two images have BASE and UPPER, one of them OTHER too; the third says nothing of BASE and OTHER.
    """
    in_images = {
        "no history": [BASE, OTHER, []],
        "COPY": [OTHER],
        "base": [BASE, BASE],
        "RUN apt": [UPPER, UPPER],
    }
    of_layers = {"no history": [[]], "COPY": [OTHER], "base": [BASE], "RUN apt": [UPPER]}
    # Of each content one file is not redundant, that of the first layer in order of the digests
    redundant = {}
    seen = set()
    for number in sorted(range(3), key=lambda number: MADE.digest(number).raw):
        own = {entry.content: entry.size for entry in LAYERS[number] if entry.kind == "file"}
        new = sum(size for content, size in own.items() if content not in seen)
        seen |= own.keys()
        redundant[("base", "RUN apt", "COPY")[number]] = size(LAYERS[number]) - new
    compressed = {}
    plain = {}
    hidden = {}
    again = {}
    for kind, layers in in_images.items():
        once = of_layers[kind]
        compressed[kind] = size_of(layers) / STORED, size_of(once) / size_of(LAYERS)
        plain[kind] = sum(map(size, layers)) / SHIPPED_BYTES, sum(map(size, once)) / BYTES
        hidden[kind] = (0.0, 0.0)
        of_kind = redundant.get(kind, 0) / max(sum(map(size, once)), 1)
        again[kind] = of_kind, redundant.get(kind, 0) / sum(redundant.values())
    hidden["base"] = (COPIED + TOP + COPIED_OTHER) / size(BASE), 1.0
    once = ("in each image", "each layer once")
    shares = ("of the bytes of the kind", "of all hidden or redundant bytes")
    return [
        (
            Bars("share of all compressed bytes (%)", compressed, once, "compressed bytes", SHARE),
            Bars("share of all bytes (%)", plain, once, "bytes of files", SHARE),
        ),
        (
            Bars("hidden share (%)", hidden, shares, "hidden bytes of images", SHARE),
            Bars("redundant share (%)", again, shares, "redundant bytes of layers", SHARE),
        ),
    ]


def layer_name(image, layer):
    return f"{image} {MADE.digest(layer).hex[:8]}"


SIZES = {"CLS (compressed)": "CLS", "TLS (tar)": "TLS", "FLS (files)": "FLS"}
RATIOS = {"FLS / CLS": "FLS_CLS", "TLS / CLS": "TLS_CLS"}


def each(population, names):
    return {label: f"{population}/{name}" for label, name in names.items()}


COPIES = {"files": "copies", "layers": "layers", "images": "images"}

ROWS = {
    1: [(Curves("layer size (bytes)", "layers", each("layers", SIZES), "octave", ticks=BYTE),)],
    2: [(Curves("compression ratio (1)", "layers", each("layers", RATIOS), "octave"),)],
    3: [
        (
            Curves(
                "files, directories per layer (number)",
                "layers",
                {"files": "layers/files", "directories": "layers/directories"},
                "octave",
            ),
        ),
        (
            Curves(
                "maximum path depth (components)",
                "layers",
                {"maximum depth": "layers/depth"},
                "unit",
            ),
        ),
    ],
    4: [
        (
            Curves("images per layer (number)", "layers", {"images per layer": "layers/images"}),
            Bars(
                "images (number)",
                {
                    layer_name("made0000:a-tag-of…aracters", 0): 3,
                    layer_name("made0000:a-tag-of…aracters", 1): 2,
                    layer_name("made0001:1", 2): 2,
                    layer_name("made0002:1", FAILED): 1,
                },
                title="layers in the most images (first image, digest)",
            ),
        )
    ],
    5: [
        (Curves("image size (bytes)", "images", each("images", SIZES), "octave", ticks=BYTE),),
        (Curves("compression ratio (1)", "images", each("images", RATIOS), "octave"),),
    ],
    6: [
        (Curves("layers per image (number)", "images", {"layers": "images/layers"}, "unit"),),
        (
            Curves(
                "files, directories per image (number)",
                "images",
                {"files": "images/files", "directories": "images/directories"},
                "octave",
            ),
        ),
    ],
    7: [
        (
            Bars("images (number)", {"oci": 3}, title="manifest version"),
            Bars("images (number)", {"not said": 3}, title="platform"),
            Bars("layers (number)", {"oci_tar": 4}, title="media type"),
            Bars("layers (number)", {"none": 4}, title="compression, by magic bytes"),
        )
    ],
    8: [
        (
            Curves(
                "pulls, stars, images per repository (number)",
                "repositories",
                {name: f"repositories/{name}" for name in ("pulls", "stars", "images")},
            ),
            Bars(
                "pulls (number)",
                {"made0001": 10**6, "made0000": 1000},
                title="most pulled repositories",
            ),
        )
    ],
    9: [
        (
            Curves(
                "file size (bytes)",
                "files or contents",
                {
                    "all files": "files/size",
                    "contents of one file": "contents/size_once",
                    "contents of several files": "contents/size_repeated",
                },
                "octave",
                ticks=BYTE,
            ),
        )
    ],
    10: [
        (
            Curves(
                "files, layers, images per content (number)",
                "contents",
                {f"{name} per content": f"contents/{table}" for name, table in COPIES.items()},
            ),
            Bars(
                "copies (number)",
                {"usr/lib/new.txt": 4, f"{PATH[:17]}…{PATH[-16:]}": 4, "etc/motd": 2},
                title="contents with the most copies (first path)",
            ),
        )
    ],
    11: [
        (
            replace(
                by_bytes(("documents", "executables"), "classes"),
                marks=[
                    (f"2017: share of {what} (CLUSTER 2019)", place)
                    for what, place in [
                        ("files", -0.2),
                        ("bytes", 0.2),
                        ("files", 0.8),
                        ("bytes", 1.2),
                    ]
                ],
            ),
            Bars(
                "mean file size (bytes)",
                {"documents": mean(TEXTS), "executables": mean(PROGRAMS)},
                title="mean file size by class",
                ticks=BYTE,
            ),
        ),
        (
            by_bytes(("ASCII", "ELF"), "groups, most bytes first"),
            by_bytes(("ASCII text", "ELF 64-bit"), "types, most bytes first"),
        ),
        (
            Bars(
                "share (%)",
                {
                    "txt": shares(with_ending(b".txt")),
                    "none": shares(with_ending(b"motd") + with_ending(b"top")),
                    "so": shares(with_ending(b".so")),
                },
                SHARES,
                "extensions, most files first",
                SHARE,
            ),
            Bars(
                "entries (number)",
                {"file": len(FILES)}
                | dict.fromkeys(("directory", "hardlink", "opaque", "symlink", "whiteout"), 1),
                title="kinds of entries",
            ),
        ),
    ],
    12: [
        (
            Curves(
                "contents per path (number)",
                "paths",
                {"contents per path": "paths/contents"},
                title="same path, different content",
                has_legend=False,
            ),
            Curves(
                "paths per content (number)",
                "contents",
                {"paths per content": "contents/paths"},
                title="same content, different path",
                has_legend=False,
            ),
        ),
        (
            Bars(
                "share (%)",
                {
                    "paths with one content": (
                        len({entry.path for entry in ONE_PATH}) / len(PATHS),
                        len(ONE_PATH) / len(FILES),
                    ),
                    "paths with several contents": (
                        1 - len({entry.path for entry in ONE_PATH}) / len(PATHS),
                        1 - len(ONE_PATH) / len(FILES),
                    ),
                    "contents at one path": (
                        len({entry.content for entry in ONE_PLACE}) / len(PLACES),
                        len(ONE_PLACE) / len(FILES),
                    ),
                    "contents at several paths": (
                        1 - len({entry.content for entry in ONE_PLACE}) / len(PLACES),
                        1 - len(ONE_PLACE) / len(FILES),
                    ),
                },
                ("share of paths or contents", "share of files"),
                ticks=SHARE,
            ),
            Bars(
                "contents (number)",
                {"etc/motd": 2, "etc/copy.txt": 2, "usr/lib/new.txt": 1}
                | {f"{PATH[:17]}…{PATH[-16:]}": 1, "usr/lib/x/y/z.so": 1, "top": 1}
                | {f"usr/share/{place}.txt": 1 for place in range(6)},
                title="paths with the most contents",
            ),
        ),
    ],
    13: [
        (
            Bars(
                "compressed bytes stored (bytes)",
                {"no layer sharing": STORED, "layers shared": size_of(LAYERS)},
                ticks=BYTE,
            ),
            Bars(
                "reduction against no sharing (1)",
                {"no layer sharing": 1, "layers shared": STORED / size_of(LAYERS)},
            ),
        )
    ],
    14: [
        (
            Bars(
                "share (%)",
                {
                    "distinct contents / files": len(CONTENTS) / len(FILES),
                    "redundant bytes / bytes": 1 - CONTENT_BYTES / BYTES,
                },
                ticks=SHARE,
                marks=[("2017: 3 % (CLUSTER 2019)", 0), ("2017: 85.69 % (CLUSTER 2019)", 1)],
            ),
            Bars(
                "deduplication ratio (1)",
                {
                    "by count": len(FILES) / len(CONTENTS),
                    "by capacity": BYTES / CONTENT_BYTES,
                },
            ),
        ),
        (
            Bars("redundant share (%)", levels(), SHARES, ticks=SHARE),
            Curves(
                "share that other images have too (%)",
                "images",
                {"files": "images/shared_file_share", "bytes": "images/shared_byte_share"},
                ticks=SHARE,
            ),
        ),
    ],
    16: [
        by_redundancy(("documents", "executables"), "classes"),
        by_redundancy(("ASCII", "ELF"), "groups"),
        by_redundancy(("ASCII text", "ELF 64-bit"), "types"),
    ],
    17: [tuple(map(directories, (1, 2, 3, 4)))],
    19: [
        (
            Curves(
                "hidden share of an image's bytes (%)",
                "images",
                {"of images": "images/hidden_byte_share"},
                ticks=SHARE,
            ),
            Curves(
                "hidden bytes (bytes)",
                "images or layers",
                {"of images": "images/hidden_bytes", "of layers": "layers/hidden_bytes_max"},
                ticks=BYTE,
            ),
        ),
        (
            Bars(
                "share of all images' bytes (%)",
                {
                    "overwritten": 2 * COPIED / SHIPPED_BYTES,
                    "whiteout": 2 * TOP / SHIPPED_BYTES,
                    "opaque": 2 * COPIED_OTHER / SHIPPED_BYTES,
                    "not a directory": 0,
                },
                title="hidden bytes by cause",
                ticks=SHARE,
            ),
            Bars(
                "hidden bytes (bytes)",
                dict.fromkeys(
                    (f"{IMAGE[:15]}…{IMAGE[-14:]}", "made0001:1"), COPIED + TOP + COPIED_OTHER
                ),
                title="images with the most hidden bytes",
                ticks=BYTE,
            ),
        ),
    ],
    21: [
        (
            Curves(
                "share that its base has (%)",
                "images with a base",
                {
                    label: f"images/inherited_{name}_share"
                    for label, name in (
                        ("layers", "layers"),
                        ("files", "files"),
                        ("bytes of files", "FLS"),
                        ("compressed bytes", "CLS"),
                    )
                },
                ticks=SHARE,
            ),
            Bars(
                "share of all images (%)",
                {
                    "images with a base": 1 / 3,
                    "compressed bytes from bases": size_of([BASE, UPPER]) / STORED,
                    "bytes of files from bases": INHERITED_BYTES / SHIPPED_BYTES,
                },
                ticks=SHARE,
            ),
        ),
        (
            Bars(
                "images (number)",
                {f"{IMAGE[:15]}…{IMAGE[-14:]}": 1},
                title="bases of the most images",
            ),
            Bars("images (number)", {"none": 3}, title="claims about bases"),
        ),
    ],
    23: of_steps(),
}
"""Figure -> its rows of panels, each with a legend if it has labels."""

ONE_LEGEND = (11, 16)
"""Figures whose rows have the same labels, and one legend for all."""


@pytest.fixture(scope="module")
def numbers(dataset):
    return read_report_data(dataset)


@pytest.fixture
def canvas(numbers, number):
    """The figure, drawn but not rendered."""
    with style():
        canvas = Canvas()
        FIGURES[number].draw(canvas, numbers)
        yield canvas


def legends_of(part):
    """Return the labels of all legends, without arrows."""
    found = [[text.get_text().rstrip(" ←→↑↓") for text in one.get_texts()] for one in part.legends]
    return found + [labels for below in part.subfigs for labels in legends_of(below)]


def supylabels(part):
    """Return the labels that several panels share."""
    own = [part._supylabel.get_text()] if part._supylabel else []
    return own + [label for below in part.subfigs for label in supylabels(below)]


@pytest.mark.parametrize("number", ROWS)
def test_panels(canvas, numbers, number):
    axes = iter(panels_of(canvas))
    legends = []
    shared = []
    for row in ROWS[number]:
        labels = {}
        for panel in row:
            drawn = next(axes)
            panel.check(drawn, numbers)
            assert drawn.get_xlabel() == panel.xlabel
            assert drawn.xaxis.get_major_formatter()(2000) == panel.ticks
            if panel.has_legend:
                labels |= dict.fromkeys(panel.labels)
            if panel.per:
                shared.append(f"{panel.of} per {panel.per}")
                check_histograms([next(axes) for _ in panel.distributions], panel, numbers)
        if labels:
            legends.append(sorted(labels, key=lambda label: label.startswith("2017")))
    if number in ONE_LEGEND:
        labels = dict.fromkeys(label for labels in legends for label in labels)
        legends = [sorted(labels, key=lambda label: label.startswith("2017"))]
    assert next(axes, None) is None
    assert legends_of(canvas) == legends
    assert supylabels(canvas) == shared


def check_histograms(panels, curves, numbers):
    """Check the histograms of some distributions, one below another."""
    scale = {"octave": "log", "unit": "linear"}[curves.per]
    for axes, name in zip(panels, curves.distributions.values(), strict=True):
        one = numbers.metrics.distribution(name)
        for patch in axes.patches:
            values, edges, _ = patch.get_data()
            assert values.tolist() == density(one, scale).tolist()
            assert edges.tolist() == [*one.low, one.high[-1]]
        assert len(axes.patches) == 2 and axes.get_ylim()[0] == 0
    assert panels[-1].get_xlabel() == curves.xlabel
    assert panels[-1].xaxis.get_major_formatter()(2000) == curves.ticks


@pytest.mark.parametrize("number", [15])
def test_growth_of_each_order_their_range_and_mean(canvas, numbers):
    orders = numbers.metrics["growth"]
    summary = numbers.metrics["growth_summary"]
    for axes, name in zip(panels_of(canvas), ("count", "capacity"), strict=True):
        *lines, mean = axes.lines
        assert len(lines) == len(set(orders["order"].tolist())) > 1
        for order, line in enumerate(lines):
            chosen = orders["order"] == order
            assert line.get_xdata().tolist() == orders["layers"][chosen].tolist()
            assert line.get_ydata().tolist() == orders[f"dedup_ratio_by_{name}"][chosen].tolist()
        assert mean.get_xdata().tolist() == summary["layers"].tolist() == [1, 2, 3]
        assert mean.get_ydata().tolist() == summary[f"dedup_ratio_by_{name}_mean"].tolist()
        assert mean.get_marker() == "."  # three points
        (area,) = axes.collections
        corners = {tuple(corner) for corner in area.get_paths()[0].vertices.tolist()}
        for end in ("min", "max"):
            values = summary[f"dedup_ratio_by_{name}_{end}"].tolist()
            assert set(zip([1, 2, 3], values, strict=True)) <= corners
        assert axes.get_xlabel() == "layers, in random order (number)"
        assert axes.get_ylabel() == f"deduplication ratio by {name} (1)"
        assert axes.xaxis.get_major_formatter()(2000) == COUNT
    assert legends_of(canvas) == [["range of the random orders", "mean of the random orders"]]


@pytest.mark.parametrize("number", [18])
def test_rates_and_times_of_ranks(canvas, numbers):
    per_second, rate, times, failures = panels_of(canvas)
    for axes, ylabel, tick, series in (
        (per_second, "layers per second (1/s)", COUNT, {"_": [1.5, 0.25]}),
        (rate, "compressed (bytes/s)", "2 kB/s", {"_": [1500, 250]}),
        (
            times,
            "time (s)",
            "2 ks",
            {
                "profiling": [2, 4],
                "fetching": [0.5, 0.5],
                "publishing": [0.25, 0.25],
                "idle": [2, 0],
            },
        ),
    ):
        for line, (label, values) in zip(axes.lines, series.items(), strict=False):
            assert line.get_label().startswith(label)
            assert list(line.get_xdata()) == [1, 2]
            assert list(line.get_ydata()) == values
            assert line.get_linestyle() == "None"
        fills = [line.get_fillstyle() for line in axes.lines[: len(series)]]
        assert fills == ["full"] + ["none"] * (len(series) - 1)
        assert axes.get_ylabel() == ylabel and axes.get_xlabel() == "rank (number)"
        assert axes.yaxis.get_major_formatter()(2000) == tick
        assert axes.get_xlim() == (0.5, 2.5) and axes.get_ylim()[0] == 0
        assert axes.xaxis.get_major_locator()().tolist() == [1, 2]
    assert [line.get_linestyle() for line in (per_second.lines[1], rate.lines[1])] == ["--", ":"]
    assert legends_of(canvas) == [
        [
            "2017: analyzer: about 1 s a layer (README of docker-remetrics)",
            "2017: downloader: about 20 MB/s (README of docker-remetrics)",
        ],
        ["profiling", "fetching", "publishing", "idle"],
    ]
    Bars("failures (layers)", {"bad_header": 2}).check(failures, numbers)
    assert failures.get_title("left") == "failed and partial layers by cause"


@pytest.mark.parametrize("number", [20])
def test_scenarios_with_the_intervals_of_estimates(canvas, numbers):
    table = numbers.metrics["what_if"]
    names = [name.replace("_", " ") for name in table.readable("scenario")]
    left, right = panels_of(canvas)
    interval = "95 % confidence interval"
    Bars(
        "bytes stored (bytes)",
        dict(zip(names, table["bytes"], strict=True)),
        marks=[(interval, names.index(f"file dedup {codec}")) for codec in ("gzip", "zstd")],
    ).check(left, numbers)
    for line in left.lines[-2:]:
        place = int(line.get_ydata()[0])
        assert list(line.get_xdata()) == [table["ci_low"][place], table["ci_high"][place]]
        assert list(line.get_ydata()) == [place, place]
    assert left.get_xlabel() == "bytes stored (bytes)"
    published = "2017: up to 6.9 times less storage (USENIX ATC 2020)"
    Bars(
        "",
        dict(zip(names, table["ratio"], strict=True)),
        marks=[(published, 0)],
    ).check(right, numbers)
    assert right.get_xlabel() == "reduction against no sharing (1)"
    assert legends_of(canvas) == [[interval, published]]


YEAR_2024 = 1_704_067_200


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """The numbers of a dataset of three dated images of one repository."""
    made = replace(MADE, repositories={}, tags={}, created={n: YEAR_2024 + n for n in range(3)})
    path = made.write(tmp_path_factory.mktemp("updated"))
    with hpc_remetrics.open(path) as dataset:
        yield read_report_data(dataset)


def test_what_updates_pull_with_the_intervals_of_estimates(updated):
    """By the second image the third layer is pulled, by the third one a layer without entries."""
    canvas = Canvas()
    with style():
        FIGURES[24].draw(canvas, updated)
    left, right = panels_of(canvas)
    interval = "95 % confidence interval"
    pulled = distinct([entry for entry in OTHER if entry.content >= 20])[1]
    totals = updated.metrics["update_totals"]
    values = {
        "images": 10 * sum(map(len, (BASE, UPPER, OTHER, BASE, OTHER))),
        "layers": 10 * len(OTHER),
        "images uncompressed": sum(
            entry.size for entry in (*BASE, *UPPER, *OTHER, *BASE, *OTHER) if entry.kind == "file"
        ),
        "files": pulled,
        "files gzip": totals["bytes"][4],
        "files zstd": totals["bytes"][5],
    }
    marks = [(interval, place) for place, is_one in enumerate(totals["is_estimated"]) if is_one]
    assert len(marks) == 2
    Bars("bytes pulled (bytes)", values, marks=marks).check(left, updated)
    curves = {
        "whole images": [10 * (len(BASE) + len(UPPER) + len(OTHER)), values["images"]],
        "layers": [10 * len(OTHER)] * 2,
        "files": [pulled] * 2,
    }
    for line, (label, heights) in zip(right.lines, curves.items(), strict=True):
        assert line.get_label() == label
        assert list(line.get_xdata()) == [1, 2]
        assert list(line.get_ydata()) == heights
        assert line.get_marker() == "."
    assert right.get_xlabel() == "updates of each repository (number)"
    assert right.get_ylabel() == "bytes pulled so far (bytes)"
    assert right.get_ylim()[0] == 0
    assert right.yaxis.get_major_formatter()(2000) == BYTE
    assert legends_of(canvas) == [[interval, *curves]]


def test_ages_of_bases(updated):
    with style():
        canvas = Canvas()
        FIGURES[22].draw(canvas, updated)
    left, right = panels_of(canvas)
    curves = {
        "age of the base when its image was made": "images/base_age",
        "from the base to the newest image of its repository": "images/base_behind",
    }
    Curves("time (days)", "images with a base", curves).check(left, updated)
    bars = Bars("images (number)", {"none": 2, "outdated": 1}, title="bases of images")
    bars.check(right, updated)
    assert [line.get_xdata()[0] for line in left.lines] == [1 / 86_400, 2 / 86_400]
    assert legends_of(canvas) == [list(curves)]


@pytest.mark.parametrize("number", [22])
def test_without_dates_bases_have_no_ages(canvas, numbers):
    left, right = panels_of(canvas)
    assert [text.get_text() for text in left.texts] == ["no data"]
    Bars("images (number)", {"none": 2, "undated": 1}, title="bases of images").check(
        right, numbers
    )


@pytest.mark.parametrize("number", [24])
def test_without_dates_there_are_no_updates(canvas):
    for axes in panels_of(canvas):
        assert [text.get_text() for text in axes.texts] == [
            "no two images of a repository with a date"
        ]


@pytest.mark.parametrize("letters", [True, False])
def test_panels_in_a_figure_of_the_user_have_letters_if_wanted(numbers, letters):
    own = Canvas((10, 4))
    part = draw_in_place(13, numbers, own.subplots(1, 2)[1], letters)
    titles = [axes.get_title("left") for axes in panels_of(part)]
    assert titles == (["(a)", "(b)"] if letters else ["", ""])


@pytest.mark.parametrize("number", [4, 10, 12, 16, 17, 19])
def test_a_narrow_figure_cuts_a_name_once(numbers, number):
    with style(look=Look(width=3.4)):
        canvas = Canvas()
        FIGURES[number].draw(canvas, numbers)
    labels = [text.get_text() for axes in panels_of(canvas) for text in axes.get_yticklabels()]
    assert all(len(label) <= 28 and label.count("…") <= 1 for label in labels)
    assert number in (16, 19) or any(len(label) == 28 for label in labels)


def test_without_a_history_the_panels_of_steps_say_so(numbers, tmp_path):
    with (
        style(),
        hpc_remetrics.open(replace(MADE, configs={}).write(tmp_path / "made")) as dataset,
    ):
        canvas = Canvas()
        FIGURES[23].draw(canvas, read_report_data(dataset))
        texts = [text.get_text() for axes in panels_of(canvas) for text in axes.texts]
    assert texts == ["no image says which steps made its layers"] * 4
