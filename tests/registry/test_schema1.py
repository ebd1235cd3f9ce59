"""Docker's first schema, which no registry takes any more: a stand-in serves it in front of a real
one."""

import base64
import hashlib
import json

import h5py
import pytest
from support import faulty_proxy as faults
from support.faulty_proxy import FaultyProxy
from support.registry import skopeo

MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def signed(document: dict) -> tuple[bytes, bytes]:
    """Return a manifest as registries served it, with a signature, and what its digest is of."""
    payload = json.dumps(document, indent=3).encode()
    head, tail = payload[:-2], payload[-2:]
    protected = {
        "formatLength": len(head),
        "formatTail": base64.urlsafe_b64encode(tail).decode().rstrip("="),
    }
    signature = {"header": {"alg": "ES256"}, "signature": "x"}
    signature["protected"] = (
        base64.urlsafe_b64encode(json.dumps(protected).encode()).decode().rstrip("=")
    )
    return head + b',\n   "signatures": ' + json.dumps([signature]).encode() + b"\n}", payload


@pytest.fixture
def old(registry):
    """A proxy whose image `one:old` is of schema 1, with the layers of `one:1`."""
    manifest = json.loads(
        skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/one:1")
    )
    digests = [layer["digest"] for layer in manifest["layers"]]
    history = {"v1Compatibility": json.dumps({"id": "1", "os": "linux", "architecture": "amd64"})}
    document = {
        "schemaVersion": 1,
        "name": "one",
        "tag": "old",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": digest} for digest in reversed(digests)],
        "history": [history] * len(digests),
    }
    data, payload = signed(document)
    digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
    with FaultyProxy(registry.host) as proxy:
        headers = (("Content-Type", MEDIA_TYPE), ("Docker-Content-Digest", digest))
        proxy.on("/manifests/old", faults.status(200, *headers, body=data), times=99)
        yield proxy, digest, manifest["layers"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_an_image_of_schema_1(old, runs, ranks):
    proxy, digest, layers = old
    command = runs.analyze(
        f"docker://{proxy.host}/one:old", "old.h5", "--types", "none", ranks=ranks
    )
    runs.run(command)
    with h5py.File(runs.directory / "old.h5") as file:
        words = {
            number: word
            for word, number in h5py.check_enum_dtype(file["images/manifest_type"].dtype).items()
        }
        assert words[file["images/manifest_type"][0]] == "docker_schema1"
        assert bytes(file["images/digest"][0]).hex() == digest[7:]
        assert file["images/platform"][0] == b"linux/amd64"
        found = [bytes(file["layers/digest"][row]).hex() for row in file["image_layers/layer"][:]]
        assert found == [layer["digest"][7:] for layer in layers]
        assert file["layers/status"][:].tolist() == [0] * len(layers)
    assert {one.path.rpartition("/")[2] for one in proxy.asked("/blobs/", "HEAD")} == {
        one["digest"] for one in layers
    }
    accept = {one.headers["Accept"] for one in proxy.asked("/manifests/")}
    assert len(accept) == 1 and MEDIA_TYPE in accept.pop()
