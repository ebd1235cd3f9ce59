"""One image in every form that there is: the same layers, by other tools' conversions."""

import hashlib
import json
import shutil
import subprocess
import tarfile

import pytest
from support.tools import need

from hpc_remetrics.errors import SourceError, UsageError
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

IMAGE = "real/image:1"


def only_image(reference):
    catalog = resolve(open_source(reference))
    assert len(catalog.images) == 1, catalog
    return catalog.images[0]


def diff_ids(image):
    return [layer.diff_id for layer in image.layers]


def digests(image):
    return [layer.digest for layer in image.layers]


def bytes_of(reference, layer):
    """Read a layer as the source gives it, whole and from an offset."""
    source = open_source(reference)
    with source.open(layer.digest) as stream:
        data = stream.read()
    with source.open(layer.digest, len(data) // 2) as stream:
        assert stream.read() == data[len(data) // 2 :]
    extent = source.locate(layer.digest, layer.size)
    with open(extent.path, "rb") as file:
        file.seek(extent.offset)
        assert file.read(extent.size) == data
    return data


@pytest.mark.slow
@pytest.mark.parametrize("form", ["oci", "oci-archive", "dir"])
def test_forms_that_keep_the_bytes(chosen, skopeo, tmp_path, form):
    target = tmp_path / ("image.tar" if form == "oci-archive" else "image")
    reference = f"{form}:{target}"
    skopeo(reference + ("" if form == "dir" else ":some/name:1"))
    image = only_image(reference)
    assert digests(image) == digests(chosen)
    assert diff_ids(image) == diff_ids(chosen)
    assert image.digest == chosen.digest
    assert image.platform == chosen.platform
    for layer in image.layers:
        assert hashlib.sha256(bytes_of(reference, layer)).digest() == layer.digest.raw


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_a_reference_chooses_one_of_several(layout, form, tmp_path):
    place = layout
    if form == "oci-archive":
        place = tmp_path / "all.tar"
        subprocess.run(["tar", "-C", layout, "-cf", place, "."], check=True)
    every = resolve(open_source(f"{form}:{place}")).images
    assert len({image.name for image in every}) == 3
    assert only_image(f"{form}:{place}:{IMAGE}").name == IMAGE
    with pytest.raises(SourceError, match="no/such"):
        resolve(open_source(f"{form}:{place}:no/such:1"))


def test_docker_schema_2(chosen, skopeo, tmp_path):
    skopeo(f"dir:{tmp_path}/image", "--format", "v2s2")
    image = only_image(f"dir:{tmp_path}/image")
    assert image.manifest_type == "docker_schema2"
    assert diff_ids(image) == diff_ids(chosen)


def test_docker_schema_1(chosen, skopeo, tmp_path):
    skopeo(f"dir:{tmp_path}/image", "--format", "v2s1")
    image = only_image(f"dir:{tmp_path}/image")
    assert image.manifest_type == "docker_schema1"
    told = json.loads((tmp_path / "image" / "manifest.json").read_bytes())
    assert [f"sha256:{digest.hex}" for digest in digests(image)] == [
        layer["blobSum"] for layer in reversed(told["fsLayers"])
    ]
    unpacked = [
        hashlib.sha256(gunzipped(bytes_of(f"dir:{tmp_path}/image", one))).digest()
        for one in image.layers
    ]
    assert [digest for digest in unpacked if digest != empty_layer()] == [
        one.raw for one in diff_ids(chosen)
    ]


def gunzipped(data):
    return subprocess.run(["gzip", "-dc"], input=data, check=True, capture_output=True).stdout


def empty_layer():
    """Schema 1 has a layer of 1,024 zeros for every step that changed no file."""
    return hashlib.sha256(bytes(1024)).digest()


def test_what_docker_saves(chosen, skopeo, tmp_path):
    reference = f"docker-archive:{tmp_path}/image.tar"
    skopeo(f"{reference}:some/name:1")
    image = only_image(reference)
    assert image.name == "docker.io/some/name:1" or image.name == "some/name:1"
    assert diff_ids(image) == diff_ids(chosen)
    for layer in image.layers:
        assert hashlib.sha256(bytes_of(reference, layer)).digest() == layer.diff_id.raw


def test_what_docker_saves_since_25_is_both_forms(chosen, layout, tmp_path):
    """Its archive is an OCI layout with a manifest.json beside."""
    saved = tmp_path / "saved"
    shutil.copytree(layout, saved)
    manifest = json.loads((layout / "blobs" / "sha256" / chosen.digest.hex).read_bytes())
    blob = "blobs/sha256/"
    entry = {
        "Config": blob + manifest["config"]["digest"].removeprefix("sha256:"),
        "RepoTags": [IMAGE],
        "Layers": [blob + layer.digest.hex for layer in chosen.layers],
    }
    (saved / "manifest.json").write_text(json.dumps([entry]))
    subprocess.run(["tar", "-C", saved, "-cf", tmp_path / "saved.tar", "."], check=True)
    image = only_image(f"docker-archive:{tmp_path}/saved.tar")
    assert diff_ids(image) == diff_ids(chosen)
    assert only_image(f"oci-archive:{tmp_path}/saved.tar:{IMAGE}").digest == chosen.digest


@pytest.mark.slow
def test_the_old_form_of_docker_save(chosen, skopeo, tmp_path):
    """`ID/layer.tar`, a link where two images share a layer, and two images in one file."""
    skopeo(f"docker-archive:{tmp_path}/new.tar:some/name:1")
    with tarfile.open(tmp_path / "new.tar") as new:
        entry = json.load(new.extractfile("manifest.json"))[0]
        config = new.extractfile(entry["Config"]).read()
        layers = [new.extractfile(name).read() for name in entry["Layers"]]
    directory = tmp_path / "old"
    directory.mkdir()
    names = []
    for number, data in enumerate(layers):
        (directory / f"{number:064x}").mkdir()
        names.append(f"{number:064x}/layer.tar")
        (directory / names[-1]).write_bytes(data)
    (directory / ("f" * 64)).mkdir()
    (directory / ("f" * 64) / "layer.tar").symlink_to(f"../{names[0]}")
    (directory / "config.json").write_bytes(config)
    entries = [
        {"Config": "config.json", "RepoTags": ["old/one:1", "old/one:2"], "Layers": names},
        {
            "Config": "config.json",
            "RepoTags": None,
            "Layers": ["f" * 64 + "/layer.tar", *names[1:]],
        },
    ]
    (directory / "manifest.json").write_text(json.dumps(entries))
    (directory / "repositories").write_text(json.dumps({"old/one": {"1": "x"}}))
    members = ["manifest.json", "repositories", "config.json", *names, "f" * 64]
    subprocess.run(["tar", "-C", directory, "-cf", tmp_path / "old.tar", *members], check=True)
    images = resolve(open_source(f"docker-archive:{tmp_path}/old.tar")).images
    assert {"old/one:1", "old/one:2"} < {image.name for image in images}
    assert len(images) == 3
    assert all(diff_ids(image) == diff_ids(chosen) for image in images)
    assert len({digest for image in images for digest in digests(image)}) == len(
        set(diff_ids(chosen))
    )


@pytest.mark.slow
def test_every_form_gives_the_same_files(chosen, skopeo, tmp_path):
    """Compressed or not, a layer's tar is the same."""
    skopeo(f"docker-archive:{tmp_path}/image.tar:a:1")
    skopeo(
        f"dir:{tmp_path}/dir",
        "--dest-compress",
        "--dest-compress-format",
        "zstd",
        "--format",
        "oci",
    )
    plain, packed = (
        only_image(f"docker-archive:{tmp_path}/image.tar"),
        only_image(f"dir:{tmp_path}/dir"),
    )
    assert diff_ids(plain) == diff_ids(packed) == diff_ids(chosen)


@pytest.mark.slow
def test_demo_is_accepted_by_other_tools(demo, tmp_path):
    names = {image.name for image in resolve(open_source(f"oci:{demo}")).images}
    for name in sorted(names)[:3]:
        told = subprocess.run(
            [need("skopeo"), "inspect", f"oci:{demo}:{name}"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert json.loads(told.stdout)["Layers"]
    subprocess.run(
        [need("umoci"), "stat", "--image", f"{demo}:demo/app:2"], check=True, capture_output=True
    )
    command = [
        need("umoci"),
        "unpack",
        "--rootless",
        "--image",
        f"{demo}:demo/python:core",
        tmp_path / "bundle",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert any((tmp_path / "bundle" / "rootfs").rglob("os.py"))


@pytest.mark.slow
def test_demo_is_the_same_every_time(demo, tmp_path):
    open_source(f"demo:{tmp_path}/again").prepare()
    first = {path.name: path.read_bytes() for path in (demo / "blobs" / "sha256").iterdir()}
    second = {
        path.name: path.read_bytes() for path in (tmp_path / "again" / "blobs" / "sha256").iterdir()
    }
    assert first == second
    assert (demo / "index.json").read_bytes() == (tmp_path / "again" / "index.json").read_bytes()


@pytest.mark.slow
def test_platforms(demo):
    source = open_source(f"oci:{demo}:demo/multi:1")
    assert {image.platform for image in resolve(source).images} == {"linux/amd64", "linux/arm64"}
    assert {image.platform for image in resolve(source, ["linux/arm64"]).images} == {"linux/arm64"}
    assert resolve(source, ["windows/amd64"]).images == []


@pytest.mark.slow
def test_what_is_no_layer_is_counted_apart(demo):
    causes = {skipped.cause for skipped in resolve(open_source(f"oci:{demo}")).skipped}
    assert causes == {"artifact", "attestation"}


@pytest.mark.parametrize(
    "reference",
    ["", "oci", "oci:", "docker-archive:", "dir:", "seed2017:", "x:/tmp", "/tmp", "oci /tmp"],
)
def test_what_is_no_reference(reference):
    with pytest.raises(UsageError) as error:
        open_source(reference)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir", "seed2017"])
def test_what_is_not_there_or_of_the_wrong_kind(transport, tmp_path):
    (tmp_path / "file").write_text("text\n" * 300)
    for place in ("nowhere", "file", "."):
        with pytest.raises((SourceError, UsageError)) as error:
            resolve(open_source(f"{transport}:{tmp_path}/{place}"))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("nginx:latest", "docker://nginx:latest"),
        ("docker:nginx", "docker://nginx:latest"),
        ("docker:nginx:1", "docker://nginx:1"),
        ("nginx", "docker://nginx:latest"),
        ("quay.io/a/b:2", "docker://quay.io/a/b:2"),
        ("localhost:5000/a", "docker://localhost:5000/a:latest"),
        (f"a/b@sha256:{'0' * 64}", f"docker://a/b@sha256:{'0' * 64}"),
    ],
)
def test_the_bare_name_of_an_image_is_answered_with_its_reference(reference, meant):
    with pytest.raises(UsageError) as error:
        open_source(reference)
    assert f"write {meant}" in str(error.value)


@pytest.mark.parametrize(
    "reference", ["docker:me:canary@host/a", "./nginx", "image.tar", "/tmp/a:1", "A:1", "docker:"]
)
def test_what_is_no_name_of_an_image_is_not_taken_for_one(reference):
    with pytest.raises(UsageError) as error:
        open_source(reference)
    assert "write docker://HOST" in str(error.value) or "write one of" in str(error.value)
    assert "canary" not in str(error.value)
