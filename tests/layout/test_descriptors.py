"""The references in manifests and indexes: what a copy of an image must hold."""

import json

import pytest

from hpc_remetrics.layout.descriptors import digest_of, references
from hpc_remetrics.records import Digest
from hpc_remetrics.sources.documents import Descriptor, Malformed
from hpc_remetrics.sources.manifests import (
    DOCKER_MANIFEST,
    FOREIGN_PREFIXES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)


def named(number: int, media_type: str = OCI_LAYER, **more) -> dict:
    return {"mediaType": media_type, "digest": f"sha256:{number:064}", "size": number, **more}


def digests(blobs) -> list[int]:
    return [int(blob.digest.removeprefix("sha256:")) for blob in blobs]


def read(document: dict, media_type: str, wanted=()):
    return references(json.dumps({"schemaVersion": 2, **document}).encode(), media_type, wanted)


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_manifest_names_its_config_and_layers(media_type):
    document = {"config": named(1, OCI_CONFIG), "layers": [named(2), named(3), named(2)]}
    result = read(document, media_type)
    assert digests(result.blobs) == [1, 2, 3, 2] and result.manifests == ()
    assert result.config == result.blobs[0] and result.config.media_type == OCI_CONFIG
    assert result.kind == {OCI_MANIFEST: "oci", DOCKER_MANIFEST: "docker_schema2"}[media_type]


def test_layers_that_are_stored_elsewhere_are_left_out():
    foreign = [named(2, f"{prefix}+gzip") for prefix in FOREIGN_PREFIXES]
    layers = [named(3), *foreign, named(4, urls=["https://example.org/x"])]
    result = read({"config": named(1, OCI_CONFIG), "layers": layers}, OCI_MANIFEST)
    assert digests(result.blobs) == [1, 3]
    elsewhere = named(1, OCI_CONFIG, urls=["https://example.org/x"])
    result = read({"config": elsewhere, "layers": [named(3)]}, OCI_MANIFEST)
    assert digests(result.blobs) == [3] and result.config is None


def test_a_manifest_without_a_config():
    result = read({"layers": [named(3)]}, OCI_MANIFEST)
    assert digests(result.blobs) == [3] and result.config is None


def test_an_artifact_has_blobs():
    artifact = "application/vnd.oci.artifact.manifest.v1+json"
    result = read({"mediaType": artifact, "blobs": [named(5)]}, artifact)
    assert digests(result.blobs) == [5]


def test_layers_of_schema_1_come_base_first_and_have_no_size():
    document = {"schemaVersion": 1, "fsLayers": [{"blobSum": "b"}, {"blobSum": "a"}]}
    result = read(document, "application/vnd.docker.distribution.manifest.v1+json")
    assert result.kind == "docker_schema1"
    assert result.blobs == (Descriptor("a", -1, ""), Descriptor("b", -1, ""))


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [((), [1, 2, 3]), (("linux/arm64",), [2, 3]), (("windows/amd64",), [3])],
)
def test_an_index_names_the_manifests_of_the_wanted_platforms(wanted, numbers):
    platforms = [("linux", "amd64"), ("linux", "arm64")]
    children = [
        named(number, OCI_MANIFEST, platform={"os": system, "architecture": processor})
        for number, (system, processor) in enumerate(platforms, 1)
    ]
    children.append(named(3, OCI_MANIFEST))
    result = read({"manifests": children}, OCI_INDEX, wanted)
    assert result.kind == "index" and result.blobs == ()
    assert list(result.manifests) == [one for one in children if one["size"] in numbers]


def test_what_is_no_manifest_is_an_error():
    with pytest.raises(Malformed):
        references(b"text", OCI_MANIFEST)
    assert digest_of(Descriptor(f"sha256:{'0' * 64}", 0, "")) == Digest(bytes(32))
    with pytest.raises(Malformed):
        digest_of(Descriptor("sha512:00", 0, ""))
