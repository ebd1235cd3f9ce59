"""A manifest that states a wrong size for a shared layer: it fails alone, in any order of the
list."""

import csv
import itertools
import json
import shutil

import pytest

from .conftest import registry_manifest

NAMES = ("true", "small", "huge")
SIZES = {"small": 7, "huge": 1 << 43}
CAUSES = {"small": {"size_mismatch"}, "huge": {"size_mismatch", "limit_size"}}
"""Unless the layer is there already, a size that no layer may have is refused before anything is
asked for."""


@pytest.fixture(scope="module")
def images(registry):
    """Put an image with the true size of its layers, and two with false ones of the first; return
    their names."""
    data, _ = registry_manifest(registry, "forms/two", "1")
    manifest = json.loads(data)
    for name in NAMES:
        layers = [dict(layer) for layer in manifest["layers"]]
        layers[0]["size"] = SIZES.get(name, layers[0]["size"])
        registry.put_manifest("forms/two", name, {**manifest, "layers": layers})
    yield {name: f"{registry.host}/forms/two:{name}" for name in NAMES}
    # Other tests take all that the registry has.
    tags = registry.directory / "data/docker/registry/v2/repositories/forms/two/_manifests/tags"
    for name in NAMES:
        shutil.rmtree(tags / name)


@pytest.mark.slow
@pytest.mark.parametrize("order", list(itertools.permutations(NAMES)), ids="-".join)
def test_in_a_download(images, mirror, order, tmp_path):
    """Pulls decide the order."""
    path = tmp_path / "list.csv"
    rows = [(0, 9 - number, images[name]) for number, name in enumerate(order)]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("stars", "pulls", "name"), *rows])
    for _ in range(2):
        result = mirror(path, "--threads", 1 if order[0] == "true" else 4, code=3)
        assert mirror.names() == {images["true"]}
        with open(mirror.directory / ".remetrics" / "failures.csv", newline="") as file:
            failed = {row["image"]: row["cause"] for row in csv.DictReader(file)}
        assert failed.keys() == {images[name] for name in SIZES}
        assert all(failed[images[name]] in causes for name, causes in CAUSES.items())
        for name in SIZES:
            assert sum(images[name] in line for line in result.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", [*itertools.permutations(NAMES), ("small",), ("huge",)], ids="-".join
)
@pytest.mark.parametrize("keep", [False, True])
def test_in_a_run_on_the_registry(images, runs, order, keep):
    import hpc_remetrics

    options = ["--keep", "kept"] if keep else []
    sources = [f"docker://{images[name]}" for name in order]
    command = runs.command(
        "analyze", *sources, "-o", "a.h5", "--scratch", runs.scratch, "--types", "none", *options
    )
    result = runs.run(command, code=3)
    said = [line for line in result.stderr.splitlines() if "size_mismatch" in line]
    assert len(said) == sum(name in SIZES for name in order)
    with hpc_remetrics.open(runs.directory / "a.h5") as dataset:
        assert set(dataset.layers.readable("status").tolist()) == {"ok"}
        assert len(dataset.images) == len(order)
        stages = dataset.failures.readable("stage").tolist()
        assert stages == ["manifest"] * len(said)
