"""A dataset of real files with everything odd in it: links, devices, whiteouts, bad names, a cut
and a lost layer."""

from pathlib import Path

import pytest
from support import tars
from support.layouts import Layout
from support.runs import Runs
from support.small_images import tar_of, tar_of_odd_things
from support.tools import need

import hpc_remetrics


@pytest.fixture(scope="session")
def odd_layout(tmp_path_factory) -> Path:
    need("zstd")
    directory = tmp_path_factory.mktemp("odd")
    layout = Layout(directory / "layout")
    layers = [
        layout.layer(tar_of([part]), kind) for part, kind in (("email", "gzip"), ("json", "zstd"))
    ]
    odd = layout.layer(tar_of_odd_things(directory / "tree"), "gzip")
    partial = layout.layer(tars.file(b"good/file", b"some text\n") + b"\xff" * 1024, "plain")
    lost = layout.layer(tar_of(["xml"]), "gzip")
    layout.path(lost[0]["digest"]).unlink()
    layout.image("a/one:1", [*layers, odd])
    layout.image("a/two:1", [layers[0], partial, lost])
    layout.image("b:latest", [odd, odd])
    layout.image("b:empty", [])
    return layout.finish()


@pytest.fixture(scope="session")
def odd(tmp_path_factory, odd_layout) -> Path:
    """The dataset's file."""
    runs = Runs(tmp_path_factory.mktemp("odd"))
    runs.run(runs.analyze(f"oci:{odd_layout}", runs.directory / "odd.h5"), code=3)
    return runs.directory / "odd.h5"


@pytest.fixture
def dataset(odd):
    with hpc_remetrics.open(odd) as dataset:
        yield dataset


@pytest.fixture(scope="session")
def other(tmp_path_factory, odd_layout) -> Path:
    """The dataset of a second crawl, of one of the images."""
    runs = Runs(tmp_path_factory.mktemp("other"))
    runs.run(runs.analyze(f"oci:{odd_layout}:a/two:1", runs.directory / "other.h5"), code=3)
    return runs.directory / "other.h5"
