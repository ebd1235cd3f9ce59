"""Facts from configs, judged by the programs that read them from the images."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support import tars
from support.layouts import Layout
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
    assert (config["notes"], config["secrets"]) == (["wrong_type", "repeated_key"], 1)
    assert {type(config[name]) for name in ("size", "created_ns", "secrets")} == {int}
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
    """Compare a time with a text of RFC 3339; the time zone is that of UTC, or an hour later."""
    text = raw[name].replace("+01:00", "Z")
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    later = int(raw[name].endswith("+01:00"))
    assert found[name] == np.datetime64(seconds, "s") - np.timedelta64(later, "h")
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


WORDS = ["", "/bin/sh", "ünï \U0001f433", 'a "quoted" \\ word', "line\nline", "=1+1", "x" * 3000]
TIMES = [
    *("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59.123456789Z"),
    *("9999-12-31T23:59:59Z", "2023-11-14T22:13:20.5+01:00", "1969-12-31T23:59:59.25Z"),
]


def some_config(rng: random.Random, diff_ids: list[str]) -> dict:
    """Return a config with some of all the fields that there are."""
    words = [rng.choice(WORDS) for _ in range(3)]
    container = {name: rng.choice(WORDS) for name in ("User", "WorkingDir", "StopSignal")}
    container |= dict.fromkeys(("Entrypoint", "Cmd", "Shell", "OnBuild"), words)
    container |= {name: {words[0]: {}} for name in ("ExposedPorts", "Volumes")}
    container["Healthcheck"] = {"Test": ["CMD", *words], "Interval": rng.randrange(10**12)}
    container["Labels"] = {f"org.{n}.{rng.choice(WORDS)}": rng.choice(WORDS) for n in range(3)}
    container["Env"] = [f"NAME{n}={rng.choice(WORDS)}" for n in range(3)]
    steps = [{"empty_layer": True} for _ in range(rng.randrange(5))] + [{} for _ in diff_ids]
    rng.shuffle(steps)
    for step in steps:
        step["created"] = rng.choice(TIMES)
        step |= {name: rng.choice(WORDS) for name in ("created_by", "comment", "author")}
    config = {name: rng.choice(WORDS) for name in ("variant", "os.version", "author")}
    config |= {"os": "linux", "architecture": "amd64", "created": rng.choice(TIMES)}
    left_out = rng.sample(sorted(container), rng.randrange(5))
    config["config"] = {name: one for name, one in container.items() if name not in left_out}
    return config | {"rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": steps}


@pytest.mark.slow
def test_fifty_configs_are_what_skopeo_says(tmp_path):
    rng = random.Random(19)
    layout = Layout(tmp_path / "layout")
    layers = [layout.layer(tars.file(b"f%d" % n, b"x" * n) + tars.END, "gzip") for n in range(4)]
    kind = "application/vnd.oci.image"
    for number in range(50):
        mine = rng.sample(layers, rng.randrange(1, 4))
        config = some_config(rng, [diff_id for _, diff_id in mine])
        blob = layout.blob(json.dumps(config).encode(), f"{kind}.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": blob}
        manifest["layers"] = [layer for layer, _ in mine]
        entry = layout.blob(json.dumps(manifest).encode(), manifest["mediaType"])
        name = {"org.opencontainers.image.ref.name": f"a:{number}"}
        layout.index.append({**entry, "annotations": name})
    runs = Runs(tmp_path)
    runs.run(runs.analyze(f"oci:{layout.finish()}", "a.h5", "--types", "none"))
    with hpc_remetrics.open(tmp_path / "a.h5") as data:
        assert len(data.configs) == 50 and not data.configs["notes"].any()
        for image, digest in enumerate(data.images.readable("digest").tolist()):
            check(data, image, inspected(layout.directory, digest))


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
