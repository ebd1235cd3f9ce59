"""A real registry with images in every form, and the command that downloads them."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from support import small_images
from support.front import Front
from support.layouts import Layout
from support.registry import Registry, skopeo
from support.runs import Runs

from hpc_remetrics.layout import image_layout

OCI = "application/vnd.oci.image"
SINGLE = ("forms/one:1", "forms/two:1", "forms/three:latest", "forms/schema2:1", "forms/big:1")
MANY = ("forms/list:1", "forms/index:1")


@pytest.fixture(autouse=True)
def without_logins(no_login_of_this_machine):
    """All tests of this directory are kept from logins."""


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A registry with OCI images in gzip, zstd and plain tar, Docker's schema 2 and list, an OCI
    index with more."""
    directory = tmp_path_factory.mktemp("mirror-registry")
    registry = Registry(directory)
    layout = small_images.build(directory / "small")
    for name in ("one:1", "two:1", "three:latest"):
        registry.copy(f"oci:{layout}:{name}", f"forms/{name}")
    gzipped = gzip_images(directory / "gzip")
    registry.copy(f"oci:{gzipped}:big", "forms/big:1")
    for platform in ("amd64", "arm64"):
        docker = directory / f"docker-{platform}"
        skopeo("copy", "-q", "--format", "v2s2", f"oci:{gzipped}:{platform}", f"dir:{docker}")
        registry.copy(f"dir:{docker}", f"forms/list:{platform}")
        registry.copy(f"oci:{gzipped}:{platform}", f"forms/index:{platform}")
    registry.copy(f"dir:{docker}", "forms/schema2:1")
    put_list(registry, "list", "application/vnd.docker.distribution.manifest.list.v2+json")
    registry.copy(f"oci:{gzipped}:statement", "forms/index:statement")
    put_list(registry, "index", f"{OCI}.index.v1+json", ("statement",))
    yield registry
    registry.stop()


def gzip_images(directory: Path) -> Path:
    """Write a layout of images with gzip layers: two platforms, one with 12 MB that don't compress,
    a statement."""
    layout, rng = Layout(directory), random.Random(3)
    shared = layout.layer(small_images.tar_of(["json"]), "gzip")
    for platform, part in (("amd64", "email"), ("arm64", "http")):
        layout.image(platform, [shared, layout.layer(small_images.tar_of([part]), "gzip")])
    layout.image(
        "big",
        [layout.layer(rng.randbytes(size), "gzip") for size in (9_000_000, 2_000_000, 1_000_000)],
    )
    layout.image("statement", [layout.layer(b"{}", "gzip")])
    return layout.finish()


def put_list(
    registry: Registry, repository: str, media_type: str, others: tuple[str, ...] = ()
) -> None:
    """Put an index of the two platforms, and of what is for none."""
    entries = []
    for tag in ("amd64", "arm64", *others):
        data, kind = registry_manifest(registry, f"forms/{repository}", tag)
        platform = ("unknown", "unknown") if tag in others else ("linux", tag)
        entries.append(
            {
                "mediaType": kind,
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
                "size": len(data),
                "platform": {"os": platform[0], "architecture": platform[1]},
            }
        )
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    registry.put_manifest(f"forms/{repository}", "1", document)


def registry_manifest(registry: Registry, repository: str, tag: str) -> tuple[bytes, str]:
    """Return a manifest as it lies on the registry's disk, and its media type."""
    link = (
        registry.directory
        / f"data/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"
    )
    data = stored(registry, link.read_text().strip().removeprefix("sha256:")).read_bytes()
    return data, json.loads(data)["mediaType"]


def stored(registry: Registry, digest: str) -> Path:
    """Return where the registry keeps a blob."""
    return registry.directory / f"data/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"


@pytest.fixture
def start_front(registry):
    """Return a function that starts a server in front of the registry."""
    fronts = []

    def start(**options) -> Front:
        fronts.append(Front(registry.host, **options))
        return fronts[-1]

    yield start
    for front in fronts:
        front.stop()


@pytest.fixture
def layout(tmp_path):
    """An empty layout that is being filled."""
    layout = image_layout.Layout(tmp_path / "mirror")
    layout.prepare()
    return layout


class Mirror:
    """Downloads into `directory`, and checks what lies there."""

    def __init__(self, runs: Runs) -> None:
        self.runs, self.directory = runs, runs.directory / "mirror"

    def command(self, *arguments, ranks=0):
        return self.runs.command("download", *arguments, "-o", self.directory, ranks=ranks)

    def __call__(self, *arguments, ranks=0, code=0):
        return self.runs.run(self.command(*arguments, ranks=ranks), code)

    def names(self):
        """Return the images that index.json names; every blob that is reached from there must be
        there."""
        index = json.loads((self.directory / "index.json").read_text())
        for entry in index["manifests"]:
            self.follow(entry)
        return {
            entry["annotations"]["org.opencontainers.image.ref.name"]
            for entry in index["manifests"]
        }

    def translated(self):
        """Return name -> digest of the original, of what is here in other words."""
        index = json.loads((self.directory / "index.json").read_text())
        notes = [entry["annotations"] for entry in index["manifests"]]
        key = "hpc-remetrics.original.digest"
        return {
            note["org.opencontainers.image.ref.name"]: note[key] for note in notes if key in note
        }

    def follow(self, entry):
        data = self.blob(entry["digest"]).read_bytes()
        assert len(data) == entry["size"]
        value = json.loads(data)
        for child in value.get("manifests", ()):
            self.follow(child)
        for part in [*filter(None, [value.get("config")]), *value.get("layers", ())]:
            assert self.blob(part["digest"]).stat().st_size == part["size"]

    def blob(self, digest):
        return self.directory / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def blobs(self):
        """Return digest -> bytes of all that has its name; each must have the bytes that it
        says."""
        found = {
            path.name: path.read_bytes()
            for path in (self.directory / "blobs" / "sha256").glob("[0-9a-f]*")
        }
        for name, data in found.items():
            assert hashlib.sha256(data).hexdigest() == name
        return found


@pytest.fixture
def mirror(runs):
    return Mirror(runs)
