"""Docker manifests become OCI manifests: other media types, the same blobs, the original beside."""

import json

import pytest

from hpc_remetrics.layout.docker_to_oci import to_oci
from hpc_remetrics.records import Digest
from hpc_remetrics.sources.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)
from hpc_remetrics.sources.oci import ORIGINAL


@pytest.fixture
def manifest(keep):
    """The descriptor of a Docker manifest, and its document."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "digest": "c", "size": 1},
        "layers": [
            {"mediaType": f"{DOCKER_LAYER}.gzip", "digest": "a", "size": 2},
            {"mediaType": "x/unknown", "digest": "b", "size": 3},
            {"mediaType": 5, "digest": "d", "size": 4},
        ],
    }
    return keep(document, DOCKER_MANIFEST), document


def stored(layout, entry) -> dict:
    data = layout.blob(Digest.parse(entry["digest"])).read_bytes()
    assert len(data) == entry["size"]
    return json.loads(data)


def test_a_manifest_is_translated_and_names_its_original(layout, manifest):
    entry, document = manifest
    named = {**entry, "annotations": {"x": "y"}, "platform": {"os": "linux"}}
    translated = to_oci(layout, named)
    assert translated["mediaType"] == OCI_MANIFEST and translated["platform"] == {"os": "linux"}
    assert translated["annotations"] == {
        f"{ORIGINAL}type": DOCKER_MANIFEST,
        f"{ORIGINAL}digest": entry["digest"],
        f"{ORIGINAL}size": str(entry["size"]),
    }
    made = stored(layout, translated)
    assert made["mediaType"] == OCI_MANIFEST
    assert made["config"] == {"mediaType": OCI_CONFIG, "digest": "c", "size": 1}
    types = [layer["mediaType"] for layer in made["layers"]]
    assert types == [f"{OCI_LAYER}+gzip", "x/unknown", 5]
    assert [layer["digest"] for layer in made["layers"]] == ["a", "b", "d"]
    # The original stays as it was.
    assert stored(layout, entry) == document


@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
def test_an_index_is_translated_with_the_manifests_that_are_here(
    layout, keep, manifest, media_type
):
    entry, _ = manifest
    missing = {"mediaType": DOCKER_MANIFEST, "digest": f"sha256:{'0' * 64}", "size": 9}
    children = [{**entry, "platform": {"os": "linux"}}, missing, "text"]
    index = keep({"schemaVersion": 2, "mediaType": media_type, "manifests": children}, media_type)
    translated = to_oci(layout, index)
    made = stored(layout, translated)
    assert translated["mediaType"] == made["mediaType"] == OCI_INDEX
    first, second, third = made["manifests"]
    assert first["mediaType"] == OCI_MANIFEST and first["platform"] == {"os": "linux"}
    assert stored(layout, first)["config"]["mediaType"] == OCI_CONFIG
    assert second == missing
    assert third == "text"


def test_what_needs_no_translation_stays(layout, keep):
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}
    for entry in (
        keep(document, OCI_MANIFEST),
        keep({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX),
        keep({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+json"),
    ):
        assert to_oci(layout, entry) is entry


def test_members_in_another_case_are_read_as_docker_reads_them(layout, keep):
    document = {
        "schemaVersion": 2,
        "MEDIATYPE": DOCKER_MANIFEST,
        "Layers": [{"MediaType": DOCKER_LAYER}],
    }
    made = stored(layout, to_oci(layout, keep(document, DOCKER_MANIFEST)))
    assert made["mediaType"] == OCI_MANIFEST and made["layers"] == [{"mediaType": OCI_LAYER}]
