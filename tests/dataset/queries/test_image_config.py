"""What configs say, against the programs that read them from the images."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.made import Entry, Made
from support.made_configs import GO_ZERO, ODD_CONFIG, ODD_PAIRS
from support.runs import Runs
from support.tools import need

import hpc_remetrics


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    layers = [[Entry("file", b"f%d" % place, place)] * (place + 1) for place in range(3)]
    made = Made(layers, [[0, 1], [2, 1], [0]], configs={0: ODD_CONFIG, 1: ODD_CONFIG})
    made.changed = {1: {"annotations": ODD_PAIRS}}
    path = made.write(tmp_path_factory.mktemp("made") / "made", metrics=False)
    with hpc_remetrics.open(path) as opened:
        yield opened


def test_the_config_of_an_image(dataset):
    config = dataset.image_config("made:0001")
    assert config["created"] == np.datetime64(1_700_000_000, "s")
    assert (config["os"], config["variant"], config["created_ns"]) == ("linux", "v8", 7)
    assert config["entrypoint"] == ["/bin/sh", "-c", 'echo ""']
    assert config["labels"] == config["annotations"] == dict(ODD_PAIRS)
    assert config["environment"] == dict(ODD_PAIRS[1:])
    # What is missing, and what is about tables, has no place
    assert not {"cmd", "user", "first_label", "images"} & config.keys()
    assert dataset.image_config(0)["annotations"] == {}
    assert dataset.image_config(2) == {"annotations": {}}
    with pytest.raises(KeyError, match="no image is called 'x'"):
        dataset.image_config("x")


def test_the_steps_of_an_image(dataset):
    for image in range(2):
        steps = dataset.image_history(image)
        assert steps.index.tolist() == [0, 1, 2]
        assert steps["created_by"].tolist() == [step.created_by for step in ODD_CONFIG["history"]]
        assert steps["created"][2] == np.datetime64(GO_ZERO, "s")
        assert steps["is_empty_layer"].tolist() == [0, 1, 0]
        layers = dataset.image_layers.frame().query("image == @image")["layer"].tolist()
        assert steps["layer"].dropna().tolist() == layers
        assert (
            steps["layer"].isna().tolist() == steps["CLS"].isna().tolist() == [False, True, False]
        )
        files = dataset.layers["files"][layers].tolist()
        assert steps["files"].dropna().tolist() == files
    assert len(dataset.image_history("made:0002")) == 0


def test_json_that_is_none_stays_text(tmp_path):
    made = Made([[]], [[0]], configs={0: {"cmd": "[" * 5}})
    with hpc_remetrics.open(made.write(tmp_path / "made", metrics=False)) as data:
        assert data.image_config(0)["cmd"] == "[" * 5


RAW = {
    "os": "os",
    "architecture": "architecture",
    "variant": "variant",
    "os_version": "os.version",
    "author": "author",
}
CONTAINER = {
    "user": "User",
    "working_dir": "WorkingDir",
    "stop_signal": "StopSignal",
    "entrypoint": "Entrypoint",
    "cmd": "Cmd",
    "exposed_ports": "ExposedPorts",
    "volumes": "Volumes",
    "healthcheck": "Healthcheck",
    "shell": "Shell",
    "on_build": "OnBuild",
}
"""Columns of /configs -> members of the document and of its `config`."""


def check(data: hpc_remetrics.Dataset, image: int, raw: dict) -> None:
    """Compare what a dataset says of an image with the document of its config, field by field."""
    found = data.image_config(image)
    container = raw.get("config") or {}
    for names, document in ((RAW, raw), (CONTAINER, container)):
        for name, member in names.items():
            assert found.get(name) == (document.get(member) or None), name
    assert found["labels"] == (container.get("Labels") or {})
    variables = [text.partition("=")[::2] for text in container.get("Env") or ()]
    assert list(found["environment"].items()) == variables
    check_time(found, "created", raw)

    # The steps, and the layers that they made
    steps = data.image_history(image)
    history = raw.get("history") or []
    assert len(steps) == len(history)
    start = steps.index.start
    for name in ("created_by", "comment", "author"):
        values = data.history.readable(name, start, start + len(history)).tolist()
        assert values == [step.get(name, "") for step in history]
    assert steps["is_empty_layer"].tolist() == [step.get("empty_layer", False) for step in history]
    for row, step in enumerate(history, start):
        columns = {name: data.history.readable(name, row, row + 1)[0] for name in TIME}
        check_time(columns, "created", step)
    diff_ids = data.layers.take(steps["layer"].dropna(), "diff_id").tolist()
    made = [step for step in history if not step.get("empty_layer")]
    assert len(made) == len(raw["rootfs"]["diff_ids"])
    assert diff_ids == raw["rootfs"]["diff_ids"]


TIME = ("created", "created_ns")


def check_time(found: dict, name: str, raw: dict) -> None:
    seconds, _, fraction = raw[name].removesuffix("Z").partition(".")
    assert found[name] == np.datetime64(seconds, "s")
    assert found["created_ns"] == int(fraction.ljust(9, "0") or 0)


def inspected(layout: Path, digest: str) -> dict:
    """Return an image's config as skopeo finds it by the digest of the manifest."""
    index = json.loads((layout / "index.json").read_text())
    described = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest}
    blob = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    alone = layout.parent / f"alone-{digest[7:19]}"
    alone.mkdir()
    (alone / "blobs").symlink_to(layout / "blobs")
    (alone / "oci-layout").write_bytes((layout / "oci-layout").read_bytes())
    entry = {**described, "size": blob.stat().st_size}
    (alone / "index.json").write_text(json.dumps({**index, "manifests": [entry]}))
    command = [need("skopeo"), "inspect", "--config", "--raw", f"oci:{alone}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.slow
def test_the_demo_is_what_skopeo_says(tmp_path):
    runs = Runs(tmp_path)
    layout = tmp_path / "demo"
    runs.run(runs.analyze(f"demo:{layout}", "a.h5", "--types", "none"))
    with hpc_remetrics.open(tmp_path / "a.h5") as data:
        digests = data.images.readable("digest").tolist()
        assert len(digests) > 10 and len(data.history) > len(data.configs) > 10
        for image, digest in enumerate(digests):
            check(data, image, inspected(layout, digest))
