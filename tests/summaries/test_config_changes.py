"""Fields of configs that differ between two datasets, each changed by itself."""

import json
from dataclasses import asdict

import pytest
from support.made import Made

import hpc_remetrics
from hpc_remetrics.records import Step
from hpc_remetrics.summaries import config_changes
from hpc_remetrics.summaries.compare import compare
from hpc_remetrics.summaries.config_changes import FIELDS, TEXTS, changed_fields


def step(text: str, created: int = 5, is_empty: bool = False) -> Step:
    return Step(created, 0, text, "", "", is_empty, 0)


BASE = {
    "created": 1_700_000_000,
    "labels": (("a", "1"), ("b", "2")),
    "environment": (("PATH", "/bin"), ("A", "")),
    "history": (step("one"), step("two")),
}
LATER = {
    "created": {"created": 1_700_000_001},
    **{name: {name: "another"} for name in TEXTS},
    "labels": {"labels": (("a", "2"), ("b", "1"))},
    "environment": {"environment": (("PATH", "/bin"),)},
    "history": {"history": (step("two"), step("one"))},
}
"""Field -> what the later config has, where that field alone is another one."""

SAME = {
    "labels": (("b", "2"), ("a", "1")),
    "history": (step("one", 7), step("two", 8)),
}
"""Another config, in which nothing differs that counts."""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """One image for each field, one with nothing else, and one without a config; the same names."""
    later = [{}, *LATER.values(), SAME]
    directory = tmp_path_factory.mktemp("configs")
    images = [[0]] * (len(later) + 1)
    places = range(len(later))
    first = Made([[]], images, configs=dict.fromkeys(places, BASE))
    second = Made([[]], images, configs={place: BASE | later[place] for place in places})
    paths = [one.write(directory / str(place), False) for place, one in enumerate((first, second))]
    with hpc_remetrics.open(paths[0]) as one, hpc_remetrics.open(paths[1]) as other:
        yield one, other


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_each_field_is_seen_by_itself(datasets, monkeypatch, rows):
    monkeypatch.setattr(config_changes, "_ROWS", rows)
    first, second = datasets
    configs = [one.images.column("config").tolist() for one in datasets]
    assert configs[0][-1] == configs[1][-1] == -1
    found = changed_fields(first, second, *configs)
    assert found == [(), *((name,) for name in FIELDS), (), ()]
    # In any order, and the same one several times.
    order = [3, 1, 3, 0, 2, 3]
    found = changed_fields(first, second, *([rows[one] for one in order] for rows in configs))
    assert found == [() if one == 0 else (FIELDS[one - 1],) for one in order]


def test_one_against_all(datasets):
    """Several fields of one config are reported in their order."""
    _, second = datasets
    row = second.images.column("config")
    names = changed_fields(second, second, [row[1]], [row[len(FIELDS)]])
    assert names == [("created", "history")]


def test_a_comparison_has_the_fields_of_images_that_moved(tmp_path):
    """A made image's digest follows from its layers, so another layer comes with the config."""
    configs = [
        {0: BASE, 1: BASE},
        {0: BASE | LATER["user"], 1: BASE | LATER["cmd"] | LATER["user"]},
    ]
    paths = [
        Made([[], []], [[number], [number]], configs=one).write(tmp_path / str(number), False)
        for number, one in enumerate(configs)
    ]
    with hpc_remetrics.open(paths[0]) as one, hpc_remetrics.open(paths[1]) as other:
        found = compare(one, other)
    assert found.images.moved == 2
    assert [one.config for one in found.image_changes] == [("user",), ("user", "cmd")]
    assert found.config_changes == {"user": 2, "cmd": 1}
    assert json.loads(json.dumps(asdict(found)))["image_changes"][1]["config"] == ["user", "cmd"]
