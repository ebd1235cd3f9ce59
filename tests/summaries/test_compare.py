"""The changes between two datasets are those of sets in plain Python."""

import json
import shutil
from collections import Counter

import h5py
import pytest
from support.made import Made

import hpc_remetrics
from hpc_remetrics.summaries import compare as module
from hpc_remetrics.summaries import totals
from hpc_remetrics.summaries.compare import Amount, Changes, TypeChange, compare
from hpc_remetrics.summaries.image_changes import Images

from .made_datasets import FIRST, SECOND, compressed, files_of, layers_of
from .test_totals import TYPES


def amounts(before: dict, after: dict) -> Changes:
    """Return the changes between two mappings from names to sizes."""

    def amount(names) -> Amount:
        return Amount(len(names), sum((before | after)[name] for name in names))

    added = amount(after.keys() - before.keys())
    removed = amount(before.keys() - after.keys())
    return Changes(added, removed, amount(before.keys() & after.keys()))


def layers(made: Made) -> dict[int, int]:
    return {layer: compressed(made, layer) for layer in layers_of(made)}


def contents(made: Made) -> dict[bytes, int]:
    return {entry.digest: entry.size for entry in files_of(made)}


def files_by_layer(made: Made) -> dict[int, Amount]:
    """Return the files of each layer, and their bytes."""
    found = {}
    for layer in layers_of(made):
        sizes = [entry.size for entry in made.layers[layer] if entry.kind == "file"]
        found[layer] = Amount(len(sizes), sum(sizes))
    return found


def amounts_of_files(before: dict[int, Amount], after: dict[int, Amount]) -> Changes:
    def amount(layers) -> Amount:
        return sum(((before | after)[layer] for layer in layers), Amount())

    added = amount(after.keys() - before.keys())
    removed = amount(before.keys() - after.keys())
    return Changes(added, removed, amount(before.keys() & after.keys()))


def sums_of_types(made: Made) -> tuple[Counter, Counter]:
    """Return the files of each type, and their bytes."""
    files = Counter()
    size = Counter()
    for entry in files_of(made):
        files[TYPES[entry.content % 2]] += 1
        size[TYPES[entry.content % 2]] += entry.size
    return files, size


@pytest.mark.parametrize("rows", [1, 3, 1 << 17])
@pytest.mark.parametrize("turned", [False, True])
def test_against_sets(first, second, monkeypatch, rows, turned):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows)
    monkeypatch.setattr(totals, "CHUNK_ROWS", rows)
    made = [FIRST, SECOND]
    paths = [first, second]
    if turned:
        made.reverse()
        paths.reverse()
    with hpc_remetrics.open(paths[0]) as one, hpc_remetrics.open(paths[1]) as other:
        found = compare(one, other)

    # Layers, contents and images
    assert found.layers == amounts(*map(layers, made))
    assert found.contents == amounts(*map(contents, made))
    assert found.files == amounts_of_files(*map(files_by_layer, made))
    assert found.contents.before == Amount(len(contents(made[0])), sum(contents(made[0]).values()))
    assert found.contents.after == Amount(len(contents(made[1])), sum(contents(made[1]).values()))
    assert found.retyped == 0
    added, removed = (0, 1) if not turned else (1, 0)
    assert found.images == Images(added=added, removed=removed, moved=1, unchanged=2)
    assert found.typed == tuple(one.run["types"] for one in made)

    # Types, and the sums over groups and classes
    (files, size), (files_after, size_after) = map(sums_of_types, made)
    assert {one.name for one in found.types} == set(TYPES.values())
    for one in found.types:
        assert one.files == (files[one.name], files_after[one.name])
        assert one.bytes == (size[one.name], size_after[one.name])
    changes = [abs(one.added_bytes) for one in found.types]
    assert changes == sorted(changes, reverse=True)
    difference = found.numbers["FLS"][1] - found.numbers["FLS"][0]
    for level in (found.types, found.groups, found.classes):
        assert sum(one.added_bytes for one in level) == difference


def test_numbers(first, second):
    with hpc_remetrics.open(first) as one, hpc_remetrics.open(second) as other:
        numbers = compare(one, other).numbers
    for place, made in enumerate((FIRST, SECOND)):
        found = {name: pair[place] for name, pair in numbers.items()}
        stored = sum(compressed(made, layer) for image in made.images for layer in image)
        assert found["images"] == len(made.images)
        assert found["layers"] == len(layers(made))
        assert found["files"] == len(files_of(made))
        assert found["contents"] == len(contents(made))
        assert found["content_bytes"] == sum(contents(made).values())
        assert found["CLS"] == sum(layers(made).values())
        assert found["sharing_ratio"] == stored / found["CLS"]
        assert found["compression_ratio_FLS"] == found["FLS"] / found["CLS"]
        assert found["compression_ratio_TLS"] == found["TLS"] / found["CLS"] == 51.2
        assert found["dedup_ratio_by_count"] == found["files"] / found["contents"]
        assert found["dedup_ratio_by_capacity"] == found["FLS"] / found["content_bytes"]


def test_nothing_changed(first):
    with hpc_remetrics.open(first) as one, hpc_remetrics.open(first) as other:
        found = compare(one, other)
    assert found.types == found.groups == found.classes == found.image_changes == []
    assert found.images == Images(unchanged=len(FIRST.images))
    assert found.layers.added == found.layers.removed == Amount()
    assert all(before == after for before, after in found.numbers.values())


def test_contents_of_another_type(first, tmp_path):
    """Every text gets a name that another libmagic may give."""
    path = shutil.copy(first, tmp_path / "otherwise.h5")
    with h5py.File(path, "r+") as file:
        names = file["types/description"]
        names[names[:].tolist().index(b"ASCII text")] = b"plain text"
    with hpc_remetrics.open(first) as one, hpc_remetrics.open(path) as other:
        found = compare(one, other)
    texts = {entry.digest for entry in files_of(FIRST) if entry.content % 2}
    assert found.retyped == len(texts) > 0
    files, size = sums_of_types(FIRST)
    old, new = sorted(found.types, key=lambda one: one.name)
    amount = files["ASCII text"], size["ASCII text"]
    assert old == TypeChange("ASCII text", (amount[0], 0), (amount[1], 0))
    assert new == TypeChange("plain text", (0, amount[0]), (0, amount[1]))


@pytest.mark.slow
def test_the_command(runs, first, second):
    page = runs.run(runs.command("compare", first, second)).stdout
    assert "types that changed" in page and max(map(len, page.splitlines()[1:])) <= 80
    numbers = json.loads(runs.run(runs.command("compare", first, second, "--json")).stdout)
    assert numbers["layers"]["removed"]["count"] == 1
    assert "is not there" in runs.run(runs.command("compare", first, "no.h5"), code=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize("also", [(), ("--json",)])
def test_types_of_another_libmagic_are_warned_of(runs, first, second, also):
    said = runs.run(runs.command("compare", first, second, *also)).stderr
    assert said.count("\n") == 1
    how = "that saw first bytes alone"
    assert f"by libmagic 5.46 {how}, libmagic 5.39 {how}:" in said
    assert runs.run(runs.command("compare", first, first, *also)).stderr == ""


@pytest.mark.slow
def test_a_merge_of_types_of_two_libmagics_is_warned_of_and_known(runs, first, second):
    command = runs.command("merge", first, second, "-o", "both.h5", "--scratch", runs.scratch)
    assert "libmagic 5.39" in runs.run(command).stderr.splitlines()[0]
    # What it was made of is remembered: by itself it was not typed alike.
    for again in (("compare", "both.h5", "both.h5"), ("merge", "both.h5", "-o", "again.h5")):
        assert "libmagic 5.39" in runs.run(runs.command(*again)).stderr
