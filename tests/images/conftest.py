"""Real images: the machine's own files in every tar dialect, and the demo images."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.layouts import Layout
from support.runs import Runs
from support.tools import need

import hpc_remetrics

sys.path.insert(0, str(Path(__file__).parent))
import machine_layers


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """The dataset of the machine's layers and of the demo; `path(digest)` is a layer's blob."""
    for tool in ("bsdtar", "zstd", "file"):
        need(tool)
    directory = tmp_path_factory.mktemp("real")
    layout = Layout(directory / "machine")
    layers = [layout.layer(*machine_layers.pack(name)) for name in machine_layers.LAYERS]
    layout.image("machine:1", layers)
    layout.finish()
    runs = Runs(directory)
    demo, output = directory / "demo", directory / "real.h5"
    runs.run(runs.analyze(f"oci:{layout.directory}", output, f"demo:{demo}"))
    blobs = [
        found
        for root in (layout.directory, demo)
        for found in (root / "blobs" / "sha256").iterdir()
    ]
    with hpc_remetrics.open(output) as dataset:
        yield SimpleNamespace(
            dataset=dataset, blobs={path.name: path for path in blobs}, directory=directory
        )
