"""The section on the metrics of a dataset, line by line, with numbers counted by hand."""

import shutil

import h5py
import pytest
from support.made import Made

import hpc_remetrics
from hpc_remetrics.records import Step
from hpc_remetrics.report.summary import section
from hpc_remetrics.sources.secrets import placeholder

from .made_dataset import BASE, OTHER

SHARES = [
    "",
    "shares",
    "       100 %   of images' files are in another image too",
    "     6.201 %   of images' bytes are hidden by a later layer",
    "     33.33 %   of images are built on another image of the dataset",
    "     7.869 %   of images' bytes are in the image that they are built on",
    "         0 %   of images with a base have one that is outdated",
    "     90.14 %   of files are distinct contents",
    "     15.27 %   of bytes are redundant",
]

STEPS = [
    "",
    "bytes by build step           of images    of layers       hidden    redundant",
    "  no history                    44.77 %          0 %          0 %            –",
    "  COPY                           39.5 %      83.39 %          0 %      8.103 %",
    "  base                          10.54 %      11.12 %      58.86 %      62.66 %",
    "  RUN apt                       5.202 %      5.491 %          0 %      28.21 %",
]


def test_every_line(dataset):
    """The layers have 8, 5, 63 and 0 entries of 10 compressed bytes each."""
    assert section(dataset) == [
        "",
        "distribution                     median         90 %         99 %          max",
        "  layer, compressed                80 B        630 B        630 B        630 B",
        "  layer, as tar                  4.1 kB      32.3 kB      32.3 kB      32.3 kB",
        "  layer, FLS / CLS                 50.8         53.4         53.4         53.4",
        "  layer, files                        5           63           63           63",
        "  layer, its images                   2            3            3            3",
        "  image, compressed               710 B        760 B        760 B        760 B",
        "  image, files' bytes           36.3 kB      38.4 kB      38.4 kB      38.4 kB",
        "  image, files                       68           71           71           71",
        "  image, layers                       3            3            3            3",
        "  file, bytes                     595 B        919 B        978 B        978 B",
        "  content, copies                     1            1            4            4",
        "  repository, pulls               1,000    1,000,000    1,000,000    1,000,000",
        *SHARES,
        *STEPS,
        "",
        "what a registry would store",
        "      1.6 kB       1 ×   every image stores its layers, compressed",
        "       760 B    2.11 ×   every layer is stored once, compressed, as registries do",
        "     81.1 kB       1 ×   every image stores its regular files, uncompressed",
        "     38.4 kB    2.11 ×   every layer's regular files are stored once, uncompressed",
        "     32.5 kB    2.49 ×   every content is stored once, uncompressed",
        "     16.3 kB  0.0982 ×   every content is stored once, each compressed by gzip"
        " (estimate: 16.3 kB to 16.3 kB)",
        "     10.9 kB   0.147 ×   every content is stored once, each compressed by zstd"
        " (estimate: 10.9 kB to 10.9 kB)",
    ]


@pytest.fixture
def changed(made, tmp_path):
    """Return a function that changes a copy of the dataset and returns its lines."""

    def lines(change):
        path = shutil.copy(made, tmp_path / "changed.h5")
        with h5py.File(path, "a") as file:
            change(file)
        with hpc_remetrics.open(path) as dataset:
            return section(dataset)

    return lines


def test_files_without_a_type_have_a_share_of_their_own(changed):
    def change(file):
        groups = file["metrics/groups"]
        groups["class"][:] = [b"other", b"other"]
        groups["group"][:] = [b"data", b"empty"]

    lines = changed(change)
    start = lines.index("shares") - 1
    assert lines[start : lines.index(STEPS[1]) - 1] == [
        *SHARES,
        "     52.11 %   of files are 'data' to the taxonomy, 52.4 % of bytes",
    ]


def test_a_dataset_without_metrics_says_how_to_get_them(changed, tmp_path):
    def change(file):
        del file["metrics"]

    path = tmp_path / "changed.h5"
    assert changed(change) == [
        "",
        f"The dataset has no metrics: `hpc-remetrics reduce {path}` computes them.",
    ]


def test_an_empty_dataset_has_no_such_section(without_images):
    with hpc_remetrics.open(without_images) as dataset:
        assert section(dataset) == []


def test_what_updates_pull_by_method(tmp_path):
    created = {0: 1_704_067_200, 1: 1_704_067_201}
    path = Made([BASE, OTHER], [[0], [0, 1]], created=created).write(tmp_path / "made")
    with hpc_remetrics.open(path) as dataset:
        lines = section(dataset)
    start = lines.index("what clients pull in 1 update of images")
    assert lines[start + 1 : start + 5] == [
        "       710 B     100 %   every layer of the newer image is pulled, compressed",
        "       630 B   88.73 %   layers that the older image lacks are pulled, compressed,"
        " as registries do",
        "     36.3 kB     100 %   every file of the newer image is pulled, uncompressed",
        "     29.4 kB   81.08 %   contents that the older image lacks are pulled, uncompressed",
    ]


def test_what_images_say_most_often(tmp_path):
    """Of labels five are shown, and of years and secrets all; control characters are escaped."""
    configs = {
        number: {
            "labels": (("all\x1b[2J", "a"), *((f"of {number} {n}", "b") for n in range(5))),
            "user": "root" if number else "",
            "history": (Step(created_by=f"A={placeholder('token', 'x')}"),),
            "secrets": 1,
        }
        for number in range(2)
    }
    years = {number: number * 366 * 86_400 for number in range(7)}
    configs |= {number: {} for number in range(2, 7)}
    path = Made([BASE], [[0]] * 7, created=years, configs=configs).write(tmp_path / "made")
    with hpc_remetrics.open(path) as dataset:
        lines = section(dataset)
    start = lines.index("images by the year in which they were created")
    rows = [line.rsplit(maxsplit=1) for line in lines[start:] if line]
    values = [name.strip() for name, _ in rows]
    labels = values.index("images by key of a")
    assert values[1:labels] == [str(year) for year in range(1970, 1977)]
    assert lines[start + 10] == f"  {'all' + chr(92) + 'x1b[2J':<54}{2:>14}"
    assert values[labels + 6 :] == [
        "images by",
        "(none)",
        "root",
        "images with secrets that were replaced, by",
        "token",
    ]
