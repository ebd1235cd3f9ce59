"""Layers and manifests of a registry that are kept in a layout while they are profiled."""

from dataclasses import replace

import pytest
from support.blob_source import BlobSource

from hpc_remetrics.errors import BlobError, OutputError
from hpc_remetrics.files import lock
from hpc_remetrics.layout.image_layout import REF_NAME
from hpc_remetrics.layout.keep import Keeping, KeepingSource
from hpc_remetrics.records import Catalog, Digest, Image
from hpc_remetrics.sources.base import Extent, NamedManifest
from hpc_remetrics.sources.manifests import DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from hpc_remetrics.sources.oci import ORIGINAL, PUSHED


@pytest.fixture
def registry(tmp_path):
    return BlobSource(tmp_path / "registry", remote=True)


@pytest.fixture
def source(registry, layout):
    return KeepingSource(registry, layout)


def test_it_is_the_source_that_it_wraps(source, registry):
    layer = registry.add(b"layer")
    assert source.is_remote and source.keeps
    assert (source.reference, source.origin) == (registry.reference, registry.origin)
    assert source.holds(layer) and source.measure(layer) == 5
    assert list(source.named_manifests()) == []
    assert source.open(layer.digest, 2).read() == b"yer"
    assert source.size_of(layer.digest) == -1


def test_a_layer_is_read_in_the_layout_once_it_was_fetched(source, registry, layout, tmp_path):
    layer = registry.add(b"layer")
    assert source.locate(layer.digest, 5) is None
    source.fetch(layer, tmp_path / "ignored")
    assert registry.fetched == [layer.digest] and not (tmp_path / "ignored").exists()
    assert source.locate(layer.digest, 5) == Extent(layout.blob(layer.digest), 0, 5)
    assert source.locate(layer.digest) is not None
    # A blob of another size is not the one that the manifest means.
    assert source.locate(layer.digest, 6) is None
    assert not layout.partial(layer.digest).exists()


def test_manifests_and_configs_are_kept_as_they_are_read(source, registry, layout):
    for data, read in ((b"manifest", source.read_manifest), (b"config", source.read)):
        digest = registry.add(data).digest
        assert read(digest, 100) == data
        assert layout.blob(digest).read_bytes() == data
        with pytest.raises(BlobError):
            read(digest, 3)


def test_the_manifest_of_a_name_is_kept_and_its_blobs_come_from_there(source, registry, layout):
    data = b'{"a": 1}'
    named, entered = source.enter(NamedManifest("a:1", data))
    assert named.manifest == data and isinstance(entered, KeepingSource)
    digest = registry.add(data).digest
    assert layout.blob(digest).read_bytes() == data and entered.locate(digest) is not None


@pytest.fixture
def image(keep):
    """Return a function that keeps an image of one layer, and returns its row of the catalog."""

    def image(name, *, platform="linux/arm64/v8", media_type=OCI_MANIFEST, layer=None):
        layer = layer or keep(name.encode(), OCI_LAYER)
        config = keep({"name": name}, OCI_CONFIG)
        document = {"schemaVersion": 2, "config": config, "layers": [layer]}
        entry = keep({**document, "mediaType": media_type}, media_type)
        kind = {OCI_MANIFEST: "oci", DOCKER_MANIFEST: "docker_schema2"}[media_type]
        return Image(name, Digest.parse(entry["digest"]), platform, kind)

    return image


@pytest.fixture
def keeping(layout):
    with Keeping(layout.directory) as keeping:
        yield keeping


def test_complete_images_are_in_the_index(keeping, image, layout):
    one, two = image("a:1"), image("a:2", platform="")
    assert keeping.write_index(Catalog([one, two])) == 0
    first, second = layout.read_index()
    assert first["digest"] == str(one.digest) and first["mediaType"] == OCI_MANIFEST
    assert first["size"] == layout.blob(one.digest).stat().st_size
    assert first["annotations"] == {REF_NAME: "a:1"}
    assert first["platform"] == {"os": "linux", "architecture": "arm64", "variant": "v8"}
    assert "platform" not in second


def test_the_date_of_a_tag_is_kept(keeping, image, layout):
    keeping.write_index(Catalog([replace(image("a:1"), pushed=60), image("a:2")]))
    first, second = layout.read_index()
    assert first["annotations"] == {REF_NAME: "a:1", PUSHED: "1970-01-01T00:01:00Z"}
    assert second["annotations"] == {REF_NAME: "a:2"}


def test_images_of_earlier_runs_stay_unless_their_name_has_moved(keeping, image, layout):
    keeping.write_index(Catalog([image("a:1"), image("b:1")]))
    moved = image("a:1", platform="linux/amd64", layer=None, media_type=DOCKER_MANIFEST)
    assert keeping.write_index(Catalog([moved, image("c:1")])) == 0
    entries = {one["annotations"][REF_NAME]: one for one in layout.read_index()}
    assert list(entries) == ["b:1", "a:1", "c:1"]
    assert entries["a:1"]["annotations"][f"{ORIGINAL}digest"] == str(moved.digest)


def test_incomplete_images_are_counted_and_left_out(keeping, image, keep, layout):
    absent = {"mediaType": OCI_LAYER, "digest": f"sha256:{'0' * 64}", "size": 1}
    short = keep(b"three", OCI_LAYER) | {"size": 3}
    wrong = {"mediaType": OCI_LAYER, "digest": "md5:1", "size": 1}
    images = [image(f"{n}:1", layer=layer) for n, layer in enumerate((absent, short, wrong))]
    gone, other = image("gone:1"), image("other:1")
    layout.blob(gone.digest).unlink()
    schema1 = Image("old:1", other.digest, "", "docker_schema1")
    broken = Image("broken:1", Digest.parse(keep(b"text")["digest"]), "", "oci")
    whole = image("whole:1")
    catalog = Catalog([*images, gone, schema1, broken, whole])
    assert keeping.write_index(catalog) == 6
    assert [one["annotations"][REF_NAME] for one in layout.read_index()] == ["whole:1"]


def test_a_layout_is_locked_while_it_is_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_PATIENCE", 0.0)
    directory = tmp_path / "new"
    with Keeping(directory) as keeping:
        assert (directory / "oci-layout").exists()
        lock_file = tmp_path / "new.lock"
        before = lock_file.read_text()
        monkeypatch.setattr(lock, "HEARTBEAT", 0.0)
        keeping.heartbeat()
        assert lock_file.read_text() != before
    assert lock_file.read_bytes() == b""
    with pytest.raises(ZeroDivisionError), Keeping(tmp_path / "other"):
        raise ZeroDivisionError
    assert not (tmp_path / "other.lock").exists()


def test_a_directory_that_is_no_layout_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    with pytest.raises(OutputError, match="is not an OCI layout and not empty"):
        Keeping(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
