"""The mirror is an OCI layout that other tools read, and its blobs are the registry's byte for
byte."""

import hashlib
import json
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from support.registry import skopeo
from support.same import assert_same
from support.tools import need

import hpc_remetrics

from .conftest import MANY, SINGLE, registry_manifest, stored


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_every_form_is_copied_byte_for_byte_and_other_tools_read_it(registry, mirror, ranks):
    names = [f"{registry.host}/{name}" for name in (*SINGLE, *MANY)]
    mirror(*names, ranks=ranks)
    assert mirror.names() == set(names)
    blobs, translated = mirror.blobs(), mirror.translated()
    assert len(blobs) > 30
    assert set(translated) == {f"{registry.host}/forms/{name}" for name in ("schema2:1", "list:1")}
    for digest, data in blobs.items():
        # All that the registry has of the images, and Docker's manifests in OCI's words.
        assert (
            not stored(registry, digest).exists() or stored(registry, digest).read_bytes() == data
        )
    assert sum(not stored(registry, digest).exists() for digest in blobs) == 3
    for name in names:
        seen = json.loads(skopeo("inspect", f"oci:{mirror.directory}:{name}"))
        there = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
        assert seen["Layers"] == there["Layers"]
        assert translated.get(name, seen["Digest"]) == there["Digest"]
        # A copy reads and verifies every blob.
        skopeo(
            "copy",
            "-q",
            "--all",
            f"oci:{mirror.directory}:{name}",
            f"dir:{mirror.runs.directory / 'copy'}",
        )
        shutil.rmtree(mirror.runs.directory / "copy")
    umoci = need("umoci")
    listed = subprocess.run(
        [umoci, "list", "--layout", mirror.directory], capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) == set(names)
    for name in SINGLE:
        command = [umoci, "stat", "--json", "--image", f"{mirror.directory}:{registry.host}/{name}"]
        stat = subprocess.run(command, capture_output=True, text=True)
        assert stat.returncode == 0, stat.stderr
        assert json.loads(stat.stdout)["history"]


@pytest.mark.slow
def test_umoci_unpacks_an_image_of_the_mirror(registry, mirror):
    name = f"{registry.host}/forms/schema2:1"
    mirror(name)
    command = [
        need("umoci"),
        "unpack",
        "--image",
        f"{mirror.directory}:{name}",
        mirror.runs.directory / "bundle",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert (mirror.runs.directory / "bundle/rootfs/http/__init__.py").is_file()


@pytest.mark.slow
def test_one_platform_can_be_had_alone_and_is_read_by_its_name(registry, mirror):
    names = [f"{registry.host}/{name}" for name in MANY]
    mirror(*names, "--platform", "linux/arm64")
    assert mirror.names() == set(names)
    for name in names:
        command = ["inspect", "--override-arch", "arm64", f"oci:{mirror.directory}:{name}"]
        assert len(json.loads(skopeo(*command))["Layers"]) == 2
    index = json.loads((mirror.directory / "index.json").read_text())
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "arm64"}
    ] * 2


@pytest.mark.slow
def test_another_platform_is_brought_and_the_last_wish_holds(registry, mirror):
    name = f"{registry.host}/forms/index:1"

    def platforms():
        index = json.loads((mirror.directory / "index.json").read_text())
        return [entry.get("platform", {}).get("architecture") for entry in index["manifests"]]

    for options, wanted in (
        (["--platform", "linux/arm64"], ["arm64"]),
        (["--platform", "linux/amd64", "--platform", "linux/arm64"], ["amd64", "arm64"]),
        (["--platform", "linux/s390x"], []),
        ([], [None]),
    ):
        code = 0 if wanted else 2
        said = mirror(name, *options, code=code).stderr
        assert platforms() == wanted
        assert ("1 image has nothing for linux/s390x" in said) == (not wanted)
        again = mirror(name, *options, code=code).stderr.strip()
        assert (again == "1 image, 1 of them finished before") == bool(wanted)
        assert mirror.names() <= {name}


@pytest.mark.slow
def test_a_platform_that_no_image_has_ends_with_the_platforms_that_there_are(registry, mirror):
    """Every time, since what was found to be nothing is no finished image."""
    name, platform = f"{registry.host}/forms/list:1", "linux/s390x"
    for _ in range(2):
        result = mirror(name, "--platform", platform, code=2)
        (line,) = [line for line in result.stderr.splitlines() if "choose from" in line]
        assert f"none is for {platform}" in line
        assert "linux/amd64, linux/arm64" in line
    mirror(name, f"{registry.host}/forms/one:1", "--platform", platform)
    mirror(name, "--platform", "linux/aarch64/v8")
    assert name in mirror.names()


@pytest.mark.slow
def test_images_that_share_everything_are_resolved_at_once(registry, mirror):
    """Forty names of one index, by many threads: its manifests are written by several at a time."""
    data, _ = registry_manifest(registry, "forms/index", "1")
    names = [f"{registry.host}/forms/index:copy-{number}" for number in range(40)]
    for number in range(40):
        registry.put_manifest("forms/index", f"copy-{number}", json.loads(data))
    mirror(*names, "--threads", 12, ranks=2)
    assert mirror.names() == set(names)
    assert not list((mirror.directory / ".remetrics" / "partial").iterdir())


@pytest.mark.slow
def test_what_is_analysed_of_the_mirror_is_what_is_analysed_of_the_registry(registry, mirror):
    names = [f"{registry.host}/{name}" for name in (*SINGLE[:3], *MANY)]
    mirror(*names)
    runs = mirror.runs
    runs.run(runs.analyze(f"oci:{mirror.directory}", runs.directory / "mirror.h5"))
    sources = [f"docker://{name}" for name in names]
    runs.run(
        runs.command(
            "analyze", *sources, "-o", runs.directory / "registry.h5", "--scratch", runs.scratch
        )
    )
    with h5py.File(runs.directory / "mirror.h5") as file:
        assert len(file["images/digest"]) == 7 and len(file["layers/digest"]) > 10
    assert_same(runs.directory / "mirror.h5", runs.directory / "registry.h5")


@pytest.mark.slow
def test_tags_of_a_crawled_list_keep_their_names_and_dates(registry, mirror):
    """Three tags of one manifest, of which the list knows the digest, or a date, or neither."""
    runs = mirror.runs
    data, _ = registry_manifest(registry, "forms/one", "1")
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    tags = [("1", digest, "2026-01-02T03:04:05Z"), ("again", digest, ""), ("none", "", "never")]
    source = f"docker://{registry.host}/forms/one:1"
    for tag in ("again", "none"):
        registry.copy(source, f"forms/one:{tag}", "--src-tls-verify=false", "--preserve-digests")
    rows = [f",,forms/one,{registry.host},{tag},{exact},{date}\n" for tag, exact, date in tags]
    crawled = runs.directory / "list.csv"
    crawled.write_text("stars,pulls,name,registry,tag,digest,updated\n" + "".join(rows))
    mirror(crawled)
    kept = runs.directory / "kept"
    keep = runs.command("analyze", f"repos:{crawled}", "-o", runs.directory / "list.h5")
    runs.run([*keep, "--keep", kept, "--scratch", runs.scratch])
    for name in ("mirror", "kept"):
        directory = mirror.directory if name == "mirror" else kept
        runs.run(runs.analyze(f"oci:{directory}", runs.directory / f"{name}.h5"))
        assert_same(runs.directory / f"{name}.h5", runs.directory / "list.h5")
    with hpc_remetrics.open(runs.directory / "list.h5") as dataset:
        name = f"{registry.host}/forms/one"
        assert dataset.images.readable("name").tolist() == [f"{name}:{tag}" for tag, _, _ in tags]
        assert len(set(dataset.images.readable("digest"))) == 1
        missing = np.iinfo(np.int64).min
        assert dataset.images.column("pushed").tolist() == [1_767_323_045, missing, missing]


@pytest.mark.slow
def test_images_that_others_put_into_the_layout_stay(registry, mirror):
    mirror(f"{registry.host}/forms/one:1")
    skopeo(
        "copy",
        "-q",
        "--src-tls-verify=false",
        f"docker://{registry.host}/forms/two:1",
        f"oci:{mirror.directory}:mine",
    )
    mirror(f"{registry.host}/forms/three:latest")
    assert mirror.names() == {
        f"{registry.host}/forms/one:1",
        f"{registry.host}/forms/three:latest",
        "mine",
    }
