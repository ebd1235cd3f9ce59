"""What moved between two datasets, as sets in plain Python say it."""

import json
import shutil

import h5py
import pytest

import hpc_remetrics
from hpc_remetrics.filetype.typer import libmagic_version
from hpc_remetrics.summaries import compare as module
from hpc_remetrics.summaries.compare import compare

pytestmark = pytest.mark.slow


def rows(dataset, table, *columns):
    frame = dataset.table(table).frame(list(columns))
    return {row[0]: row[1:] for row in frame.itertuples(index=False)}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 3, 1 << 17])
@pytest.mark.parametrize("turned", [False, True])
def test_against_sets(odd, other, monkeypatch, chunk, turned):
    monkeypatch.setattr(module, "CHUNK_ROWS", chunk)
    first, second = (other, odd) if turned else (odd, other)
    with hpc_remetrics.open(first) as one, hpc_remetrics.open(second) as two:
        found = compare(one, two)
        for table, size, moved in (
            ("layers", "CLS", found.layers),
            ("contents", "size", found.contents),
        ):
            a, b = rows(one, table, "digest", size), rows(two, table, "digest", size)
            for names, amount in (
                (b.keys() - a, moved.added),
                (a.keys() - b, moved.removed),
                (a.keys() & b, moved.unchanged),
            ):
                assert amount.count == len(names)
                assert amount.bytes == sum((a | b)[name][0] for name in names)
            assert (moved.before.count, moved.after.count) == (len(a), len(b))
        a, b = (rows(data, "images", "name", "digest") for data in (one, two))
        images = found.images
        assert (images.added, images.removed, images.unchanged) == (
            len(b.keys() - a),
            len(a.keys() - b),
            len(a.keys() & b),
        )
        assert found.retyped == images.changed == 0
        for n, data in enumerate((one, two)):
            frame = data.contents.frame(["type", "size", "copies"])
            by_type = (frame["size"] * frame.copies).groupby(frame.type).sum()
            names = data.types.readable("description")
            sums = {names[row]: total for row, total in by_type.items()}
            for moved in found.types:
                assert moved.bytes[n] == sums.get(moved.name, 0)
            assert found.numbers["FLS"][n] == sum(sums.values())
            assert found.numbers["dedup_ratio_by_count"][n] == data.layers["files"].sum() / len(
                data.contents
            )
        for level in (found.types, found.groups, found.classes):
            assert (
                sum(one.moved for one in level) == found.numbers["FLS"][1] - found.numbers["FLS"][0]
            )


def test_nothing_moved(odd):
    with hpc_remetrics.open(odd) as one, hpc_remetrics.open(odd) as two:
        found = compare(one, two)
    assert found.types == found.classes == []
    assert found.layers.added.count == found.layers.removed.count == 0


@pytest.mark.slow
def test_the_command(runs, odd, other):
    page = runs.run(runs.command("compare", odd, other)).stdout
    assert "types that changed" in page and max(map(len, page.splitlines()[1:])) <= 80
    numbers = json.loads(runs.run(runs.command("compare", odd, other, "--json")).stdout)
    assert numbers["layers"]["removed"]["count"] > 0
    assert "is not there" in runs.run(runs.command("compare", odd, "no.h5"), code=2).stderr


@pytest.fixture
def typed_otherwise(other, tmp_path):
    """A copy of a dataset that says that it was typed by another libmagic."""
    path = tmp_path / "otherwise.h5"
    shutil.copy(other, path)
    with h5py.File(path, "r+") as file:
        file["run"].attrs["types"] = "magic-539-plain-1"
    return path


@pytest.mark.slow
@pytest.mark.parametrize("also", [(), ("--json",)])
def test_types_of_another_libmagic_are_warned_of(runs, odd, other, typed_otherwise, also):
    said = runs.run(runs.command("compare", odd, typed_otherwise, *also)).stderr
    version = libmagic_version()
    assert said.count("\n") == 1
    assert (
        f"by libmagic {version // 100}.{version % 100:02}, libmagic 5.39 that saw first bytes alone:"
        in said
    )
    assert runs.run(runs.command("compare", odd, other, *also)).stderr == ""


@pytest.mark.slow
def test_a_merge_of_types_of_two_libmagics_is_warned_of_and_known(
    runs, odd, other, typed_otherwise
):
    said = runs.run(
        runs.command("merge", odd, typed_otherwise, "-o", "both.h5", "--scratch", runs.scratch)
    ).stderr
    assert "libmagic 5.39" in said.splitlines()[0]
    # What it was made of is remembered: by itself it was not typed alike.
    for command in (("compare", "both.h5", "both.h5"), ("merge", "both.h5", "-o", "again.h5")):
        assert "libmagic 5.39" in runs.run(runs.command(*command)).stderr
