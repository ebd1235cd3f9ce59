"""The demo images, once, and skopeo to turn them into every form."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import support
from support import small_images
from support.layouts import Layout
from support.tools import need

from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

IMAGE = "real/image:1"
GO = Path(support.__file__).parent / "gojson" / "main.go"


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """The directory of the demo's OCI layout."""
    directory = tmp_path_factory.mktemp("demo") / "layout"
    open_source(f"demo:{directory}").prepare()
    return directory


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    """The directory of an OCI layout with an image of three layers: plain gzip, and others."""
    layout = Layout(tmp_path_factory.mktemp("sources") / "layout")
    layers = [
        layout.layer(small_images.tar_of([part]), "gzip") for part in ("email", "json", "xml")
    ]
    layout.image(IMAGE, layers)
    layout.image("real/other:1", layers[:2])
    layout.image("real/other:2", layers[1:])
    return layout.finish()


@pytest.fixture(scope="session")
def chosen(layout):
    """The first of its images."""
    return next(
        image for image in resolve(open_source(f"oci:{layout}")).images if image.name == IMAGE
    )


@pytest.fixture(scope="session")
def skopeo(layout):
    """Return a function that copies the chosen image to another form."""

    def copy(target: str, *options: str) -> None:
        source = f"oci:{layout}:{IMAGE}"
        command = [need("skopeo"), "--insecure-policy", "copy", "-q", *options, source, target]
        subprocess.run(command, check=True, capture_output=True, text=True)

    return copy


@pytest.fixture(scope="session")
def go(tmp_path_factory):
    """Return a function that gives what Go makes of manifests, or of configs if a word follows."""
    directory = tmp_path_factory.mktemp("go")
    places = {"GOCACHE": str(directory / "cache"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    command = [need("go"), "build", "-o", str(directory / "gojson"), str(GO)]
    subprocess.run(command, check=True, env={**os.environ, **places}, capture_output=True)

    def read(texts, *words):
        lines = subprocess.run(
            [directory / "gojson", *words], input=b"\n".join(texts), check=True, capture_output=True
        ).stdout.splitlines()
        return list(map(json.loads, lines))

    return read
