"""A tiny layout and its dataset, so that a run takes little more than the start of its
processes."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from support import tars
from support.layouts import Layout
from support.runs import Runs


@pytest.fixture(scope="session")
def tiny_layout(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("tiny") / "layout")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_layout) -> Path:
    """The dataset's file, with samples and chunks."""
    runs = Runs(tmp_path_factory.mktemp("tiny"))
    chunks = ["--chunks"] if find_spec("pyfastcdc") else []
    runs.run(
        runs.analyze(
            f"oci:{tiny_layout}", runs.directory / "tiny.h5", *chunks, "--compress-sample", "1"
        )
    )
    return runs.directory / "tiny.h5"


def build(directory: Path) -> Path:
    """Write three images that share layers, with files of several types, links, and the same file
    in two layers."""
    layout = Layout(directory)
    shared = b"#!/bin/sh\necho hello\n" * 20
    base = [tars.file(f"usr/bin/tool{n}".encode(), shared + str(n % 3).encode()) for n in range(20)]
    more = [tars.file(f"etc/{n}.json".encode(), b'{"a": [1, 2, 3]}\n' * (n + 1)) for n in range(10)]
    links = [
        tars.header(b"soft", b"2", link=b"=nowhere"),
        tars.header(b"hard", b"1", link=b"usr/bin/tool1"),
    ]
    last = [
        tars.file(b"usr/bin/tool1", shared),
        tars.file(b"tool", shared + b"1"),
        tars.file(b"=cmd\x1b[31m", b"\0" * 5000),
    ]
    layers = [
        layout.layer(b"".join(parts) + bytes(1024), "gzip")
        for parts in (base, more, [*last, *links])
    ]
    layout.image("a/one:1", layers[:2])
    layout.image("a/two:1", layers)
    layout.image("b:latest", [layers[0], layers[2]])
    return layout.finish()
