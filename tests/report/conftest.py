"""Datasets of no image, of one, and of fifty real ones with odd names, with their metrics; and one
by hand."""

import random
from pathlib import Path

import pytest
from support import tars
from support.layouts import Layout
from support.made import Made
from support.runs import Runs
from support.small_images import PARTS, tar_of, tar_of_odd_things
from support.tools import need

import hpc_remetrics

from .made_dataset import MADE

NAMES = (
    "library/python",
    "a-company/with-a-long-name/and/many/parts/of/the/name/of/its/repository",
    "math/$x^2$_{y}",
    "日本語/イメージ",
    "x",
)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory) -> dict[str, Path]:
    """Name -> file: `empty`, `one`, `fifty`."""
    need("zstd")
    directory = tmp_path_factory.mktemp("datasets")
    runs, found = Runs(directory), {}
    for name, build, code in (("empty", _nothing, 0), ("one", _one, 0), ("fifty", _fifty, 3)):
        layout = Layout(directory / f"{name}-layout")
        build(layout, directory)
        found[name] = directory / f"{name}.h5"
        runs.run(
            runs.analyze(f"oci:{layout.finish()}", found[name], ranks=3 if name == "fifty" else 0),
            code,
        )
    return found


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The file of the dataset by hand."""
    return MADE.write(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture(scope="session")
def without_images(tmp_path_factory) -> Path:
    """The file of a dataset by hand whose sources held no image."""
    return Made([], []).write(tmp_path_factory.mktemp("empty") / "made")


@pytest.fixture(scope="session")
def dataset(made):
    """The dataset by hand."""
    with hpc_remetrics.open(made) as opened:
        yield opened


def _nothing(layout: Layout, directory: Path) -> None:
    pass


def _one(layout: Layout, directory: Path) -> None:
    layout.image(
        "library/one:1", [layout.layer(tars.file(b"hello", b"hello\n") + tars.END, "gzip")]
    )


def _fifty(layout: Layout, directory: Path) -> None:
    rng, packers = random.Random(4), ("gzip", "zstd", "plain")
    layers = [layout.layer(tar_of(parts), packers[n % 3]) for n, parts in enumerate(PARTS.values())]
    layers.append(layout.layer(tar_of_odd_things(directory / "tree"), "gzip"))
    for number in range(30):
        files = [
            tars.file(b"srv/%d/$file_%d.txt" % (n, n), b"text\n" * (n * number))
            for n in range(rng.randrange(1, 40))
        ]
        layers.append(layout.layer(b"".join(files) + tars.END, packers[number % 3]))
    layers.append(layout.layer(tars.file(b"cut", b"x") + b"\xff" * 512, "plain"))
    lost = layout.layer(tar_of(["wsgiref"]), "gzip")
    layout.path(lost[0]["digest"]).unlink()
    layout.image("lost:1", [lost])
    for number in range(49):
        name = f"{NAMES[number % len(NAMES)]}:{number}"
        layout.image(name, [layers[0], *rng.sample(layers[1:], rng.randrange(1, 9))])
