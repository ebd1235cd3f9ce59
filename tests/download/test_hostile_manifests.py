"""Manifests that are wrong in any place are refused as such, or read; nothing else comes of
them."""

import copy
import hashlib
import json
import random

from hpc_remetrics.layout.descriptors import digest_of, references
from hpc_remetrics.layout.docker_to_oci import to_oci
from hpc_remetrics.sources.documents import Malformed

DOCKER = "application/vnd.docker"
BLOB = {"digest": f"sha256:{'5' * 64}", "size": 5}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": f"{DOCKER}.distribution.manifest.v2+json",
    "config": {"mediaType": f"{DOCKER}.container.image.v1+json", **BLOB},
    "layers": [{"mediaType": f"{DOCKER}.image.rootfs.diff.tar.gzip", **BLOB}] * 2,
}
ODD = [
    None,
    True,
    -1,
    1e300,
    "",
    "x" * 300,
    "sha256:../../x",
    [],
    {},
    [[]],
    {"digest": 5},
    10**40,
    "\ud800",
]


def put(layout, value):
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout.directory / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": value["mediaType"], "digest": f"sha256:{digest}", "size": len(data)}


def places(value, path=()):
    """Yield the way to each member of a document."""
    yield path
    members = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, member in members:
        yield from places(member, (*path, key))


def changed(document, path, odd):
    document = copy.deepcopy(document)
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = odd
    return document


def test_any_member_may_be_anything(layout):
    index = {
        "schemaVersion": 2,
        "mediaType": f"{DOCKER}.distribution.manifest.list.v2+json",
        "manifests": [
            {**put(layout, MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}}
        ],
    }
    rng, outcomes = random.Random(1), {"read": 0, "refused": 0}
    for document in (MANIFEST, index):
        ways = [(path, odd) for path in places(document) if path for odd in ODD]
        for path, odd in ways:
            value = changed(document, path, odd)
            if rng.random() < 0.3:
                value = changed(value, *rng.choice([way for way in ways if len(way[0]) == 1]))
            try:
                found = references(
                    json.dumps(value).encode(), document["mediaType"], ("linux/amd64",)
                )
                for blob in found.blobs:
                    digest_of(blob)
                if isinstance(value.get("mediaType"), str):
                    to_oci(layout, put(layout, value))
                outcomes["read"] += 1
            except Malformed:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_a_translation_changes_media_types_alone_and_names_its_original(layout):
    child = put(layout, MANIFEST)
    absent = {**child, "digest": f"sha256:{'6' * 64}"}
    index = {"schemaVersion": 2, "mediaType": f"{DOCKER}.distribution.manifest.list.v2+json"}
    root = put(layout, {**index, "manifests": [child, absent]})
    entry = to_oci(layout, root)
    assert entry["annotations"] == {
        "hpc-remetrics.original.type": root["mediaType"],
        "hpc-remetrics.original.digest": root["digest"],
        "hpc-remetrics.original.size": str(root["size"]),
    }

    def read(descriptor):
        return json.loads(
            (layout.directory / "blobs/sha256" / descriptor["digest"][7:]).read_bytes()
        )

    translated = read(entry)
    assert (
        translated["mediaType"] == entry["mediaType"] == "application/vnd.oci.image.index.v1+json"
    )
    assert translated["manifests"][1] == absent
    manifest = read(translated["manifests"][0])
    assert manifest["layers"][0] == {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        **BLOB,
    }
    assert manifest["config"] == {"mediaType": "application/vnd.oci.image.config.v1+json", **BLOB}
    assert to_oci(layout, translated["manifests"][0]) == translated["manifests"][0]
