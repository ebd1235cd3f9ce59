"""`fetch`: one manifest, blob or config, byte for byte as skopeo sees it."""

import hashlib
import json
import os

import pytest
from support.faulty_proxy import FaultyProxy
from support.registry import skopeo


@pytest.fixture(scope="module")
def manifest(registry) -> bytes:
    return skopeo(
        "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/one:1"
    ).encode()


@pytest.mark.slow
def test_a_manifest(registry, manifest, runs):
    result = runs.run(runs.command("fetch", "manifest", f"{registry.host}/one:1", "-o", "one.json"))
    assert (runs.directory / "one.json").read_bytes() == manifest
    digest = hashlib.sha256(manifest).hexdigest()
    assert result.stderr.split()[:2] == [f"sha256:{digest}", str(len(manifest))]
    printed = runs.run(
        runs.command("fetch", "manifest", f"docker://{registry.host}/one@sha256:{digest}")
    )
    assert printed.stdout.encode() == manifest


@pytest.mark.slow
def test_a_config(registry, manifest, runs):
    runs.run(runs.command("fetch", "config", f"{registry.host}/one:1", "-o", "config.json"))
    config = skopeo(
        "inspect", "--config", "--raw", "--tls-verify=false", f"docker://{registry.host}/one:1"
    )
    assert json.loads((runs.directory / "config.json").read_bytes()) == json.loads(config)


@pytest.mark.slow
def test_a_config_of_an_index(registry, manifest, runs):
    entry = {"mediaType": json.loads(manifest)["mediaType"], "size": len(manifest)}
    entry["digest"] = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    entries = [
        {
            **entry,
            "platform": {"os": "linux", "architecture": machine},
            "annotations": {"n": machine},
        }
        for machine in ("amd64", "arm64")
    ]
    media_type = "application/vnd.oci.image.index.v1+json"
    registry.put_manifest(
        "one", "both", {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    )
    reference = f"{registry.host}/one:both"
    result = runs.run(runs.command("fetch", "config", reference, "-o", "x"), code=2)
    assert "linux/amd64, linux/arm64" in result.stderr and "--platform" in result.stderr
    result = runs.run(runs.command("fetch", "config", reference, "--platform", "linux/arm64"))
    assert json.loads(result.stdout)["rootfs"]


@pytest.mark.slow
def test_a_blob_that_is_resumed(registry, manifest, runs):
    layer = json.loads(manifest)["layers"][0]
    with FaultyProxy(registry.host) as proxy:
        reference = f"{proxy.host}/one@{layer['digest']}"
        runs.run(runs.command("fetch", "blob", reference, "-o", "layer"))
        data = (runs.directory / "layer").read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]
        (runs.directory / f".layer.{layer['digest'][7:19]}.part").write_bytes(data[:1000])
        (runs.directory / "layer").unlink()
        runs.run(runs.command("fetch", "blob", reference, "-o", "layer"))
        assert (runs.directory / "layer").read_bytes() == data
        assert [one.headers.get("Range") for one in proxy.asked("/blobs/")] == [
            None,
            f"bytes=1000-{len(data) - 1}",
        ]
    assert sorted(path.name for path in runs.directory.iterdir()) == ["layer", "scratch"]


@pytest.mark.slow
def test_nothing_but_a_file_is_replaced(registry, manifest, runs):
    """As root, a rename would make /dev/null a file, for everybody."""
    layer = json.loads(manifest)["layers"][0]["digest"]
    os.mkfifo(runs.directory / "pipe")
    (runs.directory / "link").symlink_to("file")
    for kind, reference in (
        ("manifest", f"{registry.host}/one:1"),
        ("blob", f"{registry.host}/one@{layer}"),
    ):
        result = runs.run(runs.command("fetch", kind, reference, "-o", "pipe"), code=5)
        assert "pipe is a device or a pipe" in result.stderr
        runs.run(
            runs.command(
                "fetch", kind, reference, "-o", "link", *(["--force"] if kind == "blob" else [])
            )
        )
        # The same bytes again need no word.
        runs.run(runs.command("fetch", kind, reference, "-o", "link"))
        assert (runs.directory / "link").is_symlink()
    assert (runs.directory / "pipe").is_fifo()
    assert f"sha256:{hashlib.sha256((runs.directory / 'file').read_bytes()).hexdigest()}" == layer


@pytest.mark.slow
def test_mistakes(registry, manifest, runs):
    for arguments, code, words in [
        (("blob", f"{registry.host}/one:1", "-o", "x"), 2, "names no blob"),
        (("blob", f"{registry.host}/one@sha256:{'0' * 64}", "-o", "x"), 3, "404"),
        (("blob", f"{registry.host}/one@sha256:{'0' * 64}"), 2, "standard output"),
        (("manifest", f"{registry.host}/one:none"), 3, "404 (MANIFEST_UNKNOWN)"),
        (("manifest", f"{registry.host}/one:1", "-o", "/dev/null/where"), 5, "can't write"),
        (("manifest", "a b"), 2, "not the name"),
    ]:
        result = runs.run(runs.command("fetch", *arguments), code=code)
        (line,) = result.stderr.strip().splitlines()
        assert words in line
