"""`fetch` in this process, from a registry in this process."""

import pytest
from support.tiny_registry import TinyRegistry

from hpc_remetrics.download.fetch import FetchOptions, fetch_command
from hpc_remetrics.errors import SourceError, UsageError
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.sources.manifests import OCI_CONFIG


@pytest.fixture
def registry():
    with TinyRegistry() as registry:
        registry.image("a:1", b"layer")
        yield registry


@pytest.fixture
def fetch(registry, tmp_path):
    """Return a function that fetches something into a file, and returns the bytes of the file."""

    def run(kind, name, **options):
        output = tmp_path / "out" / kind
        access = Access(patience=Patience(connect=20, idle=20, deadline=60, tries=1))
        reference = f"{registry.host}/{name}"
        chosen = FetchOptions(
            kind=kind, reference=reference, output=output, access=access, **options
        )
        assert fetch_command(chosen) == 0
        return output.read_bytes()

    return run


def test_the_config_of_an_image(fetch, capfd):
    assert fetch("config", "a:1") == b'{"name": "a:1"}'
    digest, size, unit, media_type = capfd.readouterr().err.split()
    assert digest.startswith("sha256:") and (size, unit, media_type) == ("15", "bytes", OCI_CONFIG)


def test_the_config_of_the_image_that_is_meant_of_an_index(fetch, registry):
    amd64, arm64 = (registry.image(f"a:{name}") for name in ("amd64", "arm64"))
    registry.index("a:2", amd64=amd64, arm64=arm64)
    assert fetch("config", "a:2", platforms=("linux/arm64",)) == b'{"name": "a:arm64"}'
    with pytest.raises(UsageError, match=r"is an index of 2 images \(linux/amd64, linux/arm64\)"):
        fetch("config", "a:2", platforms=())
    # Of many images the platforms of the first ones are named
    registry.index("a:4", **{f"x{number}": arm64 for number in range(21)})
    with pytest.raises(UsageError, match="is an index of 21 images") as caught:
        fetch("config", "a:4")
    assert str(caught.value).count("linux/x") == 20
    registry.index("a:3", arm64=arm64)
    assert fetch("config", "a:3", force=True) == b'{"name": "a:arm64"}'


def test_a_manifest_and_a_blob(fetch, registry, tmp_path):
    manifest = registry.image("a:1", b"layer")
    assert len(fetch("manifest", "a:1")) == manifest["size"]
    digest = registry.blob("a", b"layer")["digest"]
    assert fetch("blob", f"a@{digest}") == b"layer"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["blob", "manifest"]
    with pytest.raises(UsageError, match="names no blob"):
        fetch("blob", "a:1")


def test_a_file_with_other_bytes_stays(fetch, tmp_path):
    fetch("config", "a:1")
    assert fetch("config", "a:1") == b'{"name": "a:1"}'
    (tmp_path / "out/config").write_text("mine")
    with pytest.raises(UsageError, match="is no copy of that of this program"):
        fetch("config", "a:1")
    assert fetch("config", "a:1", force=True) == b'{"name": "a:1"}'


def test_an_image_without_a_config(fetch, registry):
    schema1 = "application/vnd.docker.distribution.manifest.v1+json"
    registry.document("a:4", {"schemaVersion": 1, "fsLayers": []}, schema1)
    with pytest.raises(SourceError, match="schema 1, which has no config"):
        fetch("config", "a:4")
