"""Images that state a wrong size for a layer: they get a failure row, and nobody loses the
layer."""

import itertools
import json

import h5py
import pytest
from support import small_images
from support.layouts import Layout
from support.runs import Runs

import hpc_remetrics
from hpc_remetrics.claimed_sizes import unique_layers
from hpc_remetrics.records import Catalog, Digest, Image, Layer
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

SIZES = {"small": 5, "large": 10**9, "huge": 1 << 43, "empty": 0}


@pytest.fixture(scope="module")
def parts():
    return [small_images.tar_of([name]) for name in ("email", "json", "xml")]


def build(directory, parts, names):
    """Write a layout with an image of each name: a false size of the shared layer, or "true"."""
    layout = Layout(directory)
    shared = layout.layer(parts[0], "gzip")
    for number, name in enumerate(names):
        size = SIZES.get(name, shared[0]["size"])
        own = layout.layer(parts[1 + number % 2], "gzip")
        layout.image(f"{name}/{number}:1", [({**shared[0], "size": size}, shared[1]), own])
    return layout.finish(), shared[0]


def check(path, descriptor, names):
    """Every image has both layers, whole; and a row of failures is there for each false size."""
    false = sorted(f"{name}/{number}:1" for number, name in enumerate(names) if name in SIZES)
    with hpc_remetrics.open(path) as dataset:
        assert set(dataset.layers.readable("status").tolist()) == {"ok"}
        assert dataset.images["layers"].tolist() == [2] * len(names)
        failures = {
            name: dataset.failures.readable(name).tolist() for name in dataset.failures.columns
        }
        assert set(failures["digest"]) <= {descriptor["digest"]}
        assert set(failures["cause"]) <= {"size_mismatch"}
        assert sorted(message.split()[0] for message in failures["message"]) == false
        row = dataset.layers.readable("digest").tolist().index(descriptor["digest"])
        assert dataset.layers["CLS"][row] == descriptor["size"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        *itertools.permutations(("huge", "true", "true")),
        ("small",),
        ("huge",),
        ("empty", "empty", "empty", "true"),
        ("large", "small", "huge", "true"),
        ("true", "true"),
    ][::2],
    ids="-".join,
)
def test_a_false_size_costs_nobody_the_layer(tmp_path, parts, names):
    directory, descriptor = build(tmp_path / "layout", parts, names)
    runs, code = Runs(tmp_path), 3 if set(names) & set(SIZES) else 0
    command = runs.analyze(f"oci:{directory}", "a.h5", "--types", "none")
    for words in ("gathering", "nothing to do"):
        result = runs.run(command, code=code)
        assert words in result.stderr
        said = [line for line in result.stderr.splitlines() if "size_mismatch" in line]
        assert len(said) == sum(name in SIZES for name in names)
        check(tmp_path / "a.h5", descriptor, names)


@pytest.mark.slow
def test_an_unpacked_layer_needs_room_for_its_true_size(tmp_path, parts):
    directory, descriptor = build(tmp_path / "layout", parts, ("huge", "true"))
    runs = Runs(tmp_path)
    runs.run(runs.analyze(f"oci:{directory}", "a.h5", "--types", "none", "--extract"), code=3)
    check(tmp_path / "a.h5", descriptor, ("huge", "true"))


@pytest.mark.slow
def test_a_merge_keeps_what_was_stated_falsely(tmp_path, parts):
    """Whichever dataset the layer itself is taken from."""
    runs = Runs(tmp_path)
    for name in ("true", "small"):
        directory, _ = build(tmp_path / name, parts, (name,))
        code = 3 if name == "small" else 0
        runs.run(runs.analyze(f"oci:{directory}", f"{name}.h5", "--types", "none"), code=code)
    for order in (("true", "small"), ("small", "true")):
        runs.run(
            runs.command(
                "merge",
                *(f"{name}.h5" for name in order),
                "-o",
                "both.h5",
                "--scratch",
                runs.scratch,
            )
        )
        with h5py.File(tmp_path / "both.h5") as file:
            assert len(file["failures/cause"]) == 1
            assert file["failures/message"][0].startswith(b"small/0:1 ")


def layer(size):
    return Layer(Digest(bytes(32)), size, "oci_tar")


@pytest.mark.parametrize("order", list(itertools.permutations((-1, 7, 7, 9, 1 << 43))))
def test_the_size_that_most_state_is_planned_with_in_any_order(order):
    images = [
        Image(str(n), Digest(bytes(32)), "", "oci", (layer(size),)) for n, size in enumerate(order)
    ]
    (found,) = unique_layers(Catalog(images)).values()
    assert found.size == 7


def test_a_size_that_one_image_states_a_thousand_times_counts_once():
    images = [
        Image("a", Digest(bytes(32)), "", "oci", (layer(1 << 43),) * 1000),
        Image("b", Digest(bytes(32)), "", "oci", (layer(7),)),
        Image("c", Digest(bytes(32)), "", "oci", (layer(-1),) * 10),
    ]
    (found,) = unique_layers(Catalog(images)).values()
    assert found.size == 7


def test_an_index_that_states_a_wrong_size_of_a_manifest_costs_nobody_else(tmp_path, parts):
    """The same manifest with its true size, behind or before, is an image all the same."""
    index = "application/vnd.oci.image.index.v1+json"
    for number, order in enumerate(((0, 1), (1, 0))):
        layout = Layout(tmp_path / str(number))
        layout.image("x:1", [layout.layer(parts[0], "gzip")])
        entry = layout.index.pop()
        children = [{**entry, "size": 5}, entry]
        value = {"schemaVersion": 2, "mediaType": index, "manifests": [children[n] for n in order]}
        layout.index.append(layout.blob(json.dumps(value).encode(), index))
        catalog = resolve(open_source(f"oci:{layout.finish()}"))
        assert len(catalog.images) == 1
        assert [one.cause for one in catalog.skipped] == (["bad_manifest"] if number == 0 else [])
