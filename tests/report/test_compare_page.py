"""The page on the changes between two datasets, line by line, and the command."""

import json
import logging
from dataclasses import asdict, replace

import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.report.compare_page import compare_command, page
from hpc_remetrics.summaries.compare import (
    Amount,
    Changes,
    Comparison,
    TypeChange,
    compare,
)
from hpc_remetrics.summaries.config_changes import FIELDS
from hpc_remetrics.summaries.image_changes import ImageChange, Images

FOUND = Comparison(
    images=Images(added=1000, removed=2, moved=1, unchanged=30),
    image_changes=[],
    config_changes={},
    layers=Changes(Amount(10, 1500), Amount(2000, 0), Amount(3, 10**12)),
    files=Changes(Amount(7, 70), Amount(8, 80), Amount(9, 90)),
    contents=Changes(Amount(4, 40), Amount(5, 50), Amount(6, 60)),
    retyped=0,
    typed=("", ""),
    numbers={
        "images": (1032, 31),
        "CLS": (10**6, 2 * 10**6),
        "sharing_ratio": (1.5, 1234.567),
        "new_number": (1, 2),
    },
    types=[],
    groups=[],
    classes=[],
)
HEAD = [
    r"a\x1b.h5 → b\x1b.h5",
    "",
    "                           added               removed             unchanged",
    "layers               10   1.5 kB        2,000      0 B            3     1 TB",
    "files                 7     70 B            8     80 B            9     90 B",
    "contents              4     40 B            5     50 B            6     60 B",
    "images                     1,000                     2                    30",
    "1 image moved: the same name and platform as before, another manifest",
    "layers with their compressed bytes, files with each copy, contents once",
    "",
    "                                  before           after",
    "  images                           1,032              31",
    "  compressed                        1 MB            2 MB",
    "  layer sharing                     1.50        1,234.57",
    "  new_number                           1               2",
]


def lines_of(found: Comparison) -> list[str]:
    return page(found, "a\x1b.h5", "b\x1b.h5").splitlines()


def test_nothing_of_another_type():
    assert lines_of(FOUND) == HEAD


def test_types_that_changed():
    long_name = TypeChange("A" * 36 + "BC", (1000, 0), (10**6, 0))
    escaped = TypeChange("\x1b", (0, 20), (0, 30))
    found = replace(FOUND, retyped=2000, classes=[long_name], groups=[escaped], types=[long_name])
    title = "files                bytes"
    first = f"  {'A' * 36}            1,000 → 0           1 MB → 0 B"
    assert lines_of(found) == [
        *HEAD,
        "",
        f"classes that changed                                  {title}",
        first,
        "",
        f"groups that changed                                   {title}",
        "  \\x1b                                               0 → 20           0 B → 30 B",
        "",
        f"types that changed                                    {title}",
        first,
        "",
        "2,000 contents of another type than before: another libmagic, or other options",
    ]


def image(change: str, name: str, CLS: int, platform: str = "linux/amd64") -> ImageChange:
    return ImageChange(change, name, platform, "", "", 1000, CLS, 5)


def test_images_that_came_went_and_moved():
    long_name = "a" * 60 + "/b:\x1b"
    changes = [
        image("moved", "small:1", 7),
        image("moved", "large:1", 2000, ""),
        image("added", long_name, 0),
        image("removed", "c" * 52, 1, ""),
        image("removed", "d" * 53, 1, ""),
    ]
    assert lines_of(replace(FOUND, image_changes=changes))[len(HEAD) :] == [
        "",
        "images that came, and layers that came with them            layers    compressed",
        f"  …{'a' * 32}/b:\\x1b linux/amd64       1,000           0 B",
        "",
        "images that went, and layers that went with them            layers    compressed",
        f"  {'c' * 52}       1,000           1 B",
        f"  …{'d' * 51}       1,000           1 B",
        "",
        "images that moved, and layers that came with them           layers    compressed",
        f"  {'large:1':<52}       1,000          2 kB",
        f"  {'small:1 linux/amd64':<52}       1,000           7 B",
    ]


def test_fields_of_configs_that_changed():
    few = ("created", "labels")
    changes = [replace(image("moved", "a:1", 3), config=few), image("moved", "b:1", 2)]
    changes.append(replace(image("moved", "c:1", 1), config=FIELDS))
    found = replace(
        FOUND, image_changes=changes, config_changes={"created": 1, "cmd": 2000, "labels": 1}
    )
    lines = lines_of(found)[len(HEAD) + 2 :]
    assert lines == [
        "  a:1 linux/amd64                                            1,000           3 B",
        "      config: created, labels",
        "  b:1 linux/amd64                                            1,000           2 B",
        "  c:1 linux/amd64                                            1,000           1 B",
        "      config: created, os, architecture, variant, os_version, author, user, wo …",
        "",
        "fields of configs that changed                                            images",
        "  cmd                                                                      2,000",
        "  created                                                                      1",
        "  labels                                                                       1",
    ]
    assert max(map(len, lines)) == 80


@pytest.mark.parametrize(("number", "more"), [(12, []), (13, ["1"]), (1012, ["1,000"])])
def test_of_many_images_the_twelve_with_most_bytes_are_shown(number, more):
    changes = [image("added", f"image:{place}", place) for place in range(number)]
    lines = lines_of(replace(FOUND, image_changes=changes))[len(HEAD) + 2 :]
    shown = [line.split()[0] for line in lines[:12]]
    assert shown == [f"image:{number - 1 - place}" for place in range(12)]
    assert lines[12:] == [f"  … and {count} more (--json shows all)" for count in more]


@pytest.mark.parametrize(("number", "more"), [(12, []), (13, ["1"]), (1012, ["1,000"])])
def test_of_many_types_the_first_twelve_are_shown(number, more):
    types = [TypeChange(f"type {place}", (1, 2), (3, 4)) for place in range(number)]
    lines = lines_of(replace(FOUND, types=types))[len(HEAD) + 2 :]
    assert [line.split()[1] for line in lines[:12]] == [str(place) for place in range(12)]
    assert lines[12:] == [f"  … and {count} more (--json shows all)" for count in more]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Two datasets, whose types come from different versions of libmagic."""
    layers = [[Entry("file", b"a", 1)], [Entry("file", b"b", 2)]]
    made = [
        Made(layers, images, run={"types": types})
        for images, types in (([[0]], "magic-546-plain-1"), ([[0, 1]], "magic-539-plain-1"))
    ]
    directory = tmp_path_factory.mktemp("compared")
    return [one.write(directory / str(place), False) for place, one in enumerate(made)]


@pytest.fixture
def log(caplog, monkeypatch):
    """What is logged, whatever another test has set up."""
    monkeypatch.setattr(logging.getLogger("hpc_remetrics"), "propagate", True)
    return caplog


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_what_was_compared(paths, capsys, log, as_json):
    with hpc_remetrics.open(paths[0]) as one, hpc_remetrics.open(paths[1]) as other:
        found = compare(one, other)
    names = [str(path) for path in paths]
    assert compare_command(*paths, as_json) == 0
    printed = capsys.readouterr().out
    if as_json:
        values = json.loads(json.dumps({"first": names[0], "second": names[1]} | asdict(found)))
        assert json.loads(printed) == values
    else:
        assert printed == page(found, *names) + "\n"
    (message,) = log.messages
    assert "by libmagic 5.46" in message and "libmagic 5.39" in message


def test_datasets_that_were_typed_alike_are_compared_without_a_warning(paths, log):
    compare_command(paths[0], paths[0], as_json=False)
    assert log.messages == []
