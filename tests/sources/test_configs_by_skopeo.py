"""Configs as `skopeo inspect --config --raw` gives them, field by field and in every form."""

import json
import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from support import small_images
from support.layouts import Layout
from support.tools import need

from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

pytestmark = pytest.mark.slow

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

CONTAINER = {
    "User": "app",
    "ExposedPorts": {"80/tcp": {}},
    "Env": ["PATH=/bin", "DB_PASSWORD=geheim", "UMLAUT=\u00e4"],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo", "<&>"],
    "Volumes": {"/data": {}},
    "WorkingDir": "/srv",
    "Labels": {"org.opencontainers.image.title": "a title", "b": "", "a": "2"},
    "StopSignal": "SIGTERM",
}
OF_DOCKER = {"Healthcheck": {"Test": ["CMD", "true"], "Retries": 3}, "Shell": ["/bin/bash", "-c"]}
WHOLE = {
    "created": "2024-02-29T12:34:56.789012345Z",
    "author": "somebody",
    "variant": "v3",
    "config": {**CONTAINER, **OF_DOCKER},
    "history": [
        {"created": "2024-02-29T12:00:00+01:00", "created_by": "ADD rootfs.tar /"},
        {"created_by": "ENV A=b", "empty_layer": True, "comment": "buildkit", "author": "me"},
        {"created": "0001-01-01T00:00:00Z", "created_by": "RUN apt-get update && echo \u00e4"},
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An OCI layout of two images: one whose config says everything, and one with hardly any."""
    made = Layout(tmp_path_factory.mktemp("configs") / "layout")
    layers = [made.layer(small_images.tar_of([part]), "gzip") for part in ("email", "json")]
    made.image("real/whole:1", layers, **WHOLE)
    made.image("real/little:1", layers, history=[])
    return made.finish()


def says(config, member):
    """Return what a member of a raw config says, by the name of our field."""
    return json.loads(getattr(config, member)) if getattr(config, member) else None


def by_skopeo(source):
    """Return the bytes of a config, none if skopeo finds no image."""
    command = [need("skopeo"), "inspect", "--config", "--raw", source]
    return subprocess.run(command, check=False, capture_output=True).stdout


def assert_as_skopeo_says(source, image, config):
    """Compare a config that was read with the one that skopeo gives of the same image."""
    raw = by_skopeo(source)
    told = json.loads(raw)
    assert config.size == len(raw)
    assert config.digest == image.config
    for name, field in (("os", "os"), ("architecture", "architecture"), ("variant", "variant")):
        assert getattr(config, field) == told.get(name, "")
    assert (config.os_version, config.author) == (
        told.get("os.version", ""),
        told.get("author", ""),
    )
    assert_same_date(config, told)
    container = told.get("config") or {}
    assert (config.user, config.working_dir, config.stop_signal) == tuple(
        container.get(name, "") for name in ("User", "WorkingDir", "StopSignal")
    )
    for name, field in (
        ("Entrypoint", "entrypoint"),
        ("Cmd", "cmd"),
        ("ExposedPorts", "exposed_ports"),
        ("Volumes", "volumes"),
        ("Healthcheck", "healthcheck"),
        ("Shell", "shell"),
        ("OnBuild", "on_build"),
    ):
        assert says(config, field) == container.get(name)
    assert dict(config.labels) == (container.get("Labels") or {})
    variables = ["=".join(pair) for pair in config.environment]
    assert variables == (container.get("Env") or [])
    steps = told.get("history") or []
    assert len(config.history) == len(steps)
    for step, said in zip(config.history, steps, strict=True):
        assert (step.created_by, step.comment, step.author, step.is_empty) == (
            said.get("created_by", ""),
            said.get("comment", ""),
            said.get("author", ""),
            said.get("empty_layer", False),
        )
        assert_same_date(step, said)


def assert_same_date(ours, said):
    if "created" not in said:
        assert (ours.created, ours.created_ns) == (None, 0)
        return
    # `datetime` reads no nanoseconds.
    whole = re.sub(r"\.\d+", "", said["created"]).replace("Z", "+00:00")
    fraction = re.search(r"\.(\d+)", said["created"])
    assert ours.created == (datetime.fromisoformat(whole) - EPOCH) // timedelta(seconds=1)
    assert ours.created_ns == int(fraction[1].ljust(9, "0") if fraction else 0)


@pytest.mark.parametrize("form", ["oci", "oci-archive", "dir", "docker-archive", "docker"])
@pytest.mark.parametrize("name", ["real/whole:1", "real/little:1"])
def test_a_made_config_in_every_form(made, tmp_path, form, name):
    place = {
        "oci": f"oci:{tmp_path}/image:{name}",
        "oci-archive": f"oci-archive:{tmp_path}/image.tar:{name}",
        "dir": f"dir:{tmp_path}/image",
        "docker": f"dir:{tmp_path}/image",
        "docker-archive": f"docker-archive:{tmp_path}/image.tar:docker.io/{name}",
    }[form]
    words = ["--format", "v2s2"] if form == "docker" else []
    copy = [need("skopeo"), "--insecure-policy", "copy", "-q", *words, f"oci:{made}:{name}", place]
    subprocess.run(copy, check=True, capture_output=True)
    catalog = resolve(open_source(place), keep_secrets=True)
    [image], [config] = catalog.images, catalog.configs
    assert_as_skopeo_says(place, image, config)
    assert config.notes == config.secrets == 0
    # Without secrets nothing else changes.
    [redacted] = resolve(open_source(place)).configs
    if name == "real/whole:1":
        assert redacted.environment[1] == ("DB_PASSWORD", "<redacted:password:6>")
        assert redacted.secrets == 1
        assert [redacted.labels, redacted.history] == [config.labels, config.history]
    else:
        assert redacted == config


def test_the_configs_of_the_demo(demo):
    catalog = resolve(open_source(f"oci:{demo}"), keep_secrets=True)
    of_digest = {config.digest: config for config in catalog.configs}
    names = [image.name for image in catalog.images]
    checked = 0
    for image in catalog.images:
        source = f"oci:{demo}:{image.name}"
        # skopeo takes one image of a name, and in a layout none of Docker's media types.
        if names.count(image.name) == 1 and by_skopeo(source):
            assert_as_skopeo_says(source, image, of_digest[image.config])
            checked += 1
    assert checked > 3
