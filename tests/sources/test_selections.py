"""Archives from the containerd image store: an index of all platforms, and some of its bytes."""

import json
import shutil
import subprocess
import tarfile
from collections import Counter

import pytest
from support import tars
from support.layouts import Layout
from support.runs import Runs
from support.tools import need

from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NAME = "org.opencontainers.image.ref.name"


class Saved:
    """A layout with an index of three platforms and a statement, of which only some are there."""

    def __init__(self, directory, there=("amd64",)):
        self.directory = directory
        layout = Layout(directory / "layout")
        children = []
        for machine in ("amd64", "arm64", "s390x"):
            tar = tars.file(b"a", machine.encode()) + tars.END
            layout.image(f"x:{machine}", [layout.layer(tar, "gzip")])
            entry = {**layout.index.pop(), "platform": {"os": "linux", "architecture": machine}}
            del entry["annotations"]
            children.append(entry)
            if machine not in there:
                layout.path(entry["digest"]).unlink()
        statement = {"mediaType": MANIFEST, "digest": f"sha256:{'ab' * 32}", "size": 5}
        children.append({**statement, "platform": {"os": "unknown", "architecture": "unknown"}})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
        entry = layout.blob(json.dumps(index).encode(), INDEX)
        layout.index = [{**entry, "annotations": {NAME: "saved:1"}}]
        self.layout, self.children = layout, children
        layout.finish()
        self.write_manifest_json(there)

    def write_manifest_json(self, there):
        """Write what docker save writes beside, for the first platform that is there."""
        items = []
        for child in self.children[:3]:
            path = self.layout.path(child["digest"])
            if path.exists() and not items:
                value = json.loads(path.read_bytes())
                blobs = [
                    f"blobs/sha256/{one['digest'][7:]}"
                    for one in (value["config"], *value["layers"])
                ]
                items.append({"Config": blobs[0], "RepoTags": ["saved:1"], "Layers": blobs[1:]})
        (self.layout.directory / "manifest.json").write_text(json.dumps(items))

    def archive(self):
        path = self.directory / "saved.tar"
        with tarfile.open(path, "w") as tar:
            tar.add(self.layout.directory, ".")
        return path


def causes(catalog):
    return Counter(one.cause for one in catalog.skipped)


def test_platforms_that_were_not_saved_are_counted_apart(tmp_path):
    archive = Saved(tmp_path).archive()
    catalog = resolve(open_source(f"oci-archive:{archive}"))
    assert [image.platform for image in catalog.images] == ["linux/amd64"]
    assert causes(catalog) == {"not_in_archive": 2, "attestation": 1}
    saved = resolve(open_source(f"docker-archive:{archive}"))
    assert [image.layers[0].digest for image in saved.images] == [
        catalog.images[0].layers[0].digest
    ]


def test_a_directory_that_lacks_them_lacks_images(tmp_path):
    """Nobody leaves out blobs of a directory on purpose."""
    directory = Saved(tmp_path).layout.directory
    assert causes(resolve(open_source(f"oci:{directory}"))) == {
        "missing_manifest": 2,
        "attestation": 1,
    }


@pytest.mark.parametrize("platform", [None, "linux/arm64"])
def test_an_image_of_which_nothing_was_saved_is_missing(tmp_path, platform):
    archive = Saved(tmp_path, there=() if platform is None else ("amd64",)).archive()
    catalog = resolve(open_source(f"oci-archive:{archive}"), [platform] if platform else [])
    assert catalog.images == []
    assert causes(catalog)["missing_manifest"] == (1 if platform else 3)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_a_run_says_so_in_one_line_and_ends_well(tmp_path, transport):
    archive, runs = Saved(tmp_path).archive(), Runs(tmp_path)
    result = runs.run(runs.analyze(f"{transport}:{archive}", "a.h5"))
    lines = [line for line in result.stderr.splitlines() if "not in the archives" in line]
    assert len(lines) == (transport == "oci-archive")
    assert "is not in the dataset" not in result.stderr


def test_a_named_manifest_that_is_not_there_is_no_such_case(tmp_path):
    saved = Saved(tmp_path)
    saved.layout.index.append({**saved.children[1], "annotations": {NAME: "other:1"}})
    saved.layout.finish()
    catalog = resolve(open_source(f"oci-archive:{saved.archive()}"))
    assert [one.image for one in catalog.skipped if one.cause == "missing_manifest"] == ["other:1"]


FOREIGN = [
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "docker_foreign_tar_gzip"),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "oci_nondistributable_tar_gzip",
    ),
    ("application/vnd.oci.image.layer.v1.tar+gzip", "oci_tar_gzip"),
]


@pytest.fixture(params=FOREIGN, ids=["docker", "oci", "urls"])
def foreign(request, layout, chosen, tmp_path):
    """Write a layout whose image has a foreign layer; return its directory, the layer's file and
    the word for its type."""
    directory = tmp_path / "layout"
    shutil.copytree(layout, directory)
    media_type, word = request.param
    blobs = directory / "blobs" / "sha256"
    manifest = json.loads((blobs / chosen.digest.hex).read_bytes())
    manifest["layers"][1] |= {"mediaType": media_type, "urls": ["https://example.org/layer"]}
    made = Layout.__new__(Layout)
    made.directory = directory
    entry = made.blob(json.dumps(manifest).encode(), MANIFEST)
    made.index = [{**entry, "annotations": {NAME: "a:1"}}]
    made.finish()
    return directory, blobs / chosen.layers[1].digest.hex, word


@pytest.mark.slow
def test_a_foreign_layer_whose_bytes_are_there_is_read(foreign, chosen, tmp_path):
    """As umoci does; skopeo copies it, too."""
    directory, _, word = foreign
    catalog = resolve(open_source(f"oci:{directory}"))
    assert catalog.skipped == []
    (image,) = catalog.images
    assert [layer.digest for layer in image.layers] == [layer.digest for layer in chosen.layers]
    assert image.layers[1].media_type == word
    if not word.startswith("docker"):
        command = [
            need("umoci"),
            "unpack",
            "--rootless",
            "--image",
            f"{directory}:a:1",
            tmp_path / "bundle",
        ]
        subprocess.run(command, check=True, capture_output=True)
        assert (tmp_path / "bundle" / "rootfs" / "json" / "__init__.py").exists()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(directory, ".")
    assert (
        resolve(open_source(f"oci-archive:{tmp_path / 'a.tar'}")).images[0].layers == image.layers
    )


def test_a_foreign_layer_that_is_kept_elsewhere_is_counted_apart(foreign):
    directory, blob, _ = foreign
    blob.unlink()
    catalog = resolve(open_source(f"oci:{directory}"))
    assert causes(catalog) == {"foreign": 1}
    assert len(catalog.images[0].layers) == 2


@pytest.mark.slow
def test_a_run_reads_foreign_layers(foreign, tmp_path):
    directory, _, word = foreign
    runs = Runs(tmp_path)
    runs.run(runs.analyze(f"oci:{directory}", "a.h5"))
    h5dump = [need("h5dump"), "-d", "/layers/media_type", "a.h5"]
    assert word in runs.run(h5dump).stdout
