"""The walk over manifests: what each document is taken for, bounds, and failures of a registry."""

import hashlib
import json
from dataclasses import replace

import pytest

from hpc_remetrics.errors import BlobError, RegistryError
from hpc_remetrics.limits import Limits
from hpc_remetrics.records import Catalog, Configs, Digest, Image, Popularity, Skipped
from hpc_remetrics.sources import manifests
from hpc_remetrics.sources.base import Extent, NamedManifest, Source, verified
from hpc_remetrics.sources.documents import Malformed
from hpc_remetrics.sources.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    kind_of,
    merge,
    resolve,
    resolve_named,
)


def encoded(value) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


class Store(Source):
    """Documents in memory; `failures` are raised in place of a blob."""

    reference = "store:"
    origin = "host/name"

    def __init__(self):
        self.blobs = {}
        self.failures = {}
        self.asked = []
        self.located = None

    def put(self, value, media_type="", **more):
        data = encoded(value)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        described = {"mediaType": media_type, "digest": digest, "size": len(data), **more}
        return {key: one for key, one in described.items() if one is not None}

    def named_manifests(self):
        raise NotImplementedError

    def open(self, digest, offset=0):
        raise NotImplementedError

    def locate(self, digest, size=-1):
        return self.located

    def read(self, digest, limit):
        self.asked.append(str(digest))
        if str(digest) in self.failures:
            raise self.failures[str(digest)]
        if str(digest) not in self.blobs:
            raise BlobError("missing", f"{digest} is missing")
        return verified(digest, self.blobs[str(digest)], limit)

    def size_of(self, digest):
        self.asked.append(f"size of {digest}")
        return len(self.read(digest, 1 << 30))

    def walk(self, descriptor, platforms=(), **limits):
        named = NamedManifest("a:1", descriptor=descriptor)
        return resolve_named(self, named, platforms, replace(Limits(), **limits))

    def walk_bytes(self, value, media_type="", platforms=(), limits=None, **more):
        named = NamedManifest("a:1", encoded(value), media_type, **more)
        return resolve_named(self, named, platforms, limits)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def config(store):
    return store.put({"os": "linux", "architecture": "amd64"}, OCI_CONFIG)


@pytest.fixture
def layer(store):
    return store.put(b"layer", OCI_LAYER)


@pytest.fixture
def manifest(store, config, layer):
    """Return a function that makes a manifest of one layer."""

    def make(*layers, **more):
        written = list(layers) or [layer]
        value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": written}
        return store.put({**value, **more}, more.get("mediaType", OCI_MANIFEST))

    return make


def causes(catalog):
    return [one.cause for one in catalog.skipped]


@pytest.mark.parametrize(
    ("value", "media_type", "kind"),
    [
        ({"layers": []}, OCI_MANIFEST, "oci"),
        ({"layers": [], "mediaType": DOCKER_MANIFEST}, OCI_MANIFEST, "docker_schema2"),
        ({"layers": [], "mediaType": "text/plain"}, DOCKER_MANIFEST, "docker_schema2"),
        ({"layers": []}, "", "oci"),
        ({"layers": [], "config": {"mediaType": DOCKER_CONFIG}}, "text/html", "docker_schema2"),
        ({"layers": [], "config": {"mediaType": OCI_CONFIG}}, "application/json", "oci"),
        ({"manifests": []}, "application/octet-stream", "index"),
        ({"manifests": []}, DOCKER_LIST, "index"),
        ({"fsLayers": []}, "", "docker_schema1"),
        ({"fsLayers": [], "layers": None, "schemaVersion": 1}, "", "docker_schema1"),
        ({}, "application/vnd.oci.artifact.manifest.v1+json", "artifact"),
        ({}, "application/vnd.example", "unknown"),
        ({"layers": []}, "application/vnd.example", "unknown"),
    ],
)
def test_kinds_of_documents(value, media_type, kind):
    assert kind_of(value, media_type) == kind


@pytest.mark.parametrize(
    ("value", "media_type", "words"),
    [
        ({}, "", "neither a manifest nor an index"),
        ({"schemaVersion": 1}, "", "has no 'fsLayers'"),
        ({"schemaVersion": 2}, "", "neither"),
        ({}, OCI_MANIFEST, "has no 'layers'"),
        ({"layers": []}, OCI_INDEX, "has no 'manifests'"),
        ({}, DOCKER_MANIFEST, "has no 'layers'"),
        ({"layers": [], "manifests": []}, "", "has the members of a manifest and of an index"),
        ({"layers": [], "fsLayers": []}, OCI_MANIFEST, "has the members"),
        ({"manifests": [], "fsLayers": []}, OCI_INDEX, "has the members"),
    ],
)
def test_documents_that_are_of_no_kind_or_of_two(value, media_type, words):
    with pytest.raises(Malformed, match=words):
        kind_of(value, media_type)


def test_an_image_with_its_layers(store, manifest, layer):
    sizeless = store.put(b"other layer", f"{DOCKER_LAYER}.gzip", size=None)
    catalog = store.walk(manifest(layer, sizeless, layer))
    [image] = catalog.images
    assert (image.name, image.platform, image.manifest_type) == ("a:1", "linux/amd64", "oci")
    assert [(one.size, one.media_type, one.origin) for one in image.layers] == [
        (5, "oci_tar", "host/name"),
        (11, "docker_tar_gzip", "host/name"),
        (5, "oci_tar", "host/name"),
    ]
    assert [one.diff_id for one in image.layers] == [None] * 3
    assert catalog.skipped == []


def test_a_size_that_no_descriptor_states_is_asked_for_once(store, manifest):
    sizeless = store.put(b"other layer", OCI_LAYER, size=None)
    [image] = store.walk(manifest(*[sizeless] * 3)).images
    assert [one.size for one in image.layers] == [11] * 3
    question = f"size of {sizeless['digest']}"
    assert store.asked.count(question) == 1
    store.failures[sizeless["digest"]] = BlobError("missing", "")
    [image] = store.walk(manifest(*[sizeless] * 2)).images
    assert [one.size for one in image.layers] == [-1] * 2
    assert store.asked.count(question) == 2
    # A layer of no bytes states a size.
    empty = store.put(b"", OCI_LAYER)
    [image] = store.walk(manifest(empty)).images
    assert image.layers[0].size == 0 and f"size of {empty['digest']}" not in store.asked


def test_diff_ids_fit_the_layers_or_cost_the_image(store, manifest, layer):
    def with_diff_ids(*diff_ids, layers=(layer,)):
        value = {"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": list(diff_ids)}}
        return store.walk(manifest(*layers, config=store.put(value, OCI_CONFIG)))

    one = f"sha256:{'1' * 64}"
    [image] = with_diff_ids(one, "none", layers=(layer, layer)).images
    assert [part.diff_id for part in image.layers] == [Digest.parse(one), None]
    assert with_diff_ids().images[0].layers[0].diff_id is None
    wrong = with_diff_ids(one, one)
    assert wrong.images == [] and causes(wrong) == ["bad_manifest"]
    assert wrong.skipped[0].message == "has 1 layer, and its config has 2 diff_ids"
    # Of what is no image they are not counted.
    statement = store.put(b"{}", "application/vnd.in-toto+json")
    assert causes(with_diff_ids(one, one, layers=(statement,)))[-1] == "attestation"


def test_the_platform_is_that_of_the_index_or_of_the_config(store, manifest):
    arm = {"os": "linux", "architecture": "arm64"}
    child = {**manifest(), "platform": arm}
    index = store.put({"schemaVersion": 2, "manifests": [child]}, OCI_INDEX)
    assert [image.platform for image in store.walk(index).images] == ["linux/arm64"]
    found = store.walk(index, ["linux/amd64"])
    assert found.images == [] and causes(found) == ["other_platform"]
    assert found.others == {"linux/arm64"} and found.skipped[0].message == "for linux/arm64"
    # The config decides where no index says it.
    found = store.walk(manifest(), ["linux/s390x"])
    assert causes(found) == ["other_platform"] and found.others == {"linux/amd64"}
    nowhere = store.walk(manifest(config=store.put({}, OCI_CONFIG)), ["linux/amd64"])
    assert nowhere.others == {"unknown"}
    assert nowhere.skipped[0].message == "for an unspecified platform"
    unknown = store.put({"os": "Unknown", "architecture": "unknown"}, OCI_CONFIG)
    assert causes(store.walk(manifest(config=unknown))) == ["attestation"]


def test_an_entry_that_is_not_followed(store, manifest):
    for more, cause in (
        ({"annotations": {"vnd.docker.reference.type": "x"}}, "attestation"),
        ({"platform": {"os": "unknown", "architecture": "Unknown"}}, "attestation"),
        ({"artifactType": "application/vnd.example"}, "artifact"),
        ({"mediaType": "application/vnd.oci.artifact.manifest.v1+json"}, "artifact"),
        ({"mediaType": "application/vnd.example"}, "unknown_media_type"),
        ({"digest": "sha256:1"}, "bad_digest"),
        ({"digest": None}, "bad_manifest"),
        ({"size": 7}, "bad_manifest"),
    ):
        found = store.walk({**manifest(), **more})
        assert (found.images, causes(found)) == ([], [cause])
    assert found.skipped[0].message.endswith("bytes, its descriptor says 7")
    for more in ({"mediaType": "text/plain"}, {"artifactType": OCI_CONFIG}, {"size": None}):
        assert len(store.walk({**manifest(), **more}).images) == 1
    for value in (None, "x", [], {"digest": 5}):
        found = store.walk([value])
        assert causes(found) == ["bad_manifest"]


def test_the_bytes_are_those_of_the_digest(store, manifest):
    descriptor = manifest()
    data = store.blobs[descriptor["digest"]]
    wrong = Digest(bytes(32))
    found = store.walk_bytes(data, digest=wrong)
    assert causes(found) == ["bad_manifest"]
    right = hashlib.sha256(data).hexdigest()
    assert found.skipped[0].message == f"is sha256:{right}, named {wrong}"
    assert found.skipped[0].digest == str(wrong) and found.skipped[0].size == len(data)
    [image] = store.walk_bytes(data, "Application/JSON; charset=utf-8").images
    assert image.digest.hex == right
    # What an index says of a platform, and what a source makes up, holds.
    [image] = store.walk_bytes(data, platform="a/b", manifest_type="docker_archive").images
    assert (image.platform, image.manifest_type) == ("a/b", "docker_archive")


def test_bounds_of_a_walk(store, manifest, layer):
    exact = len(store.blobs[manifest()["digest"]])
    data = store.blobs[manifest()["digest"]]
    limits = replace(Limits(), manifest_bytes=exact)
    assert len(store.walk_bytes(data, limits=limits).images) == 1
    limits = replace(Limits(), manifest_bytes=exact - 1)
    found = store.walk_bytes(data, limits=limits)
    assert causes(found) == ["bad_manifest"]
    assert found.skipped[0].message == f"longer than {exact - 1} bytes"
    # Layers of an image.
    assert len(store.walk(manifest(layer, layer), image_layers=2).images) == 1
    found = store.walk(manifest(layer, layer, layer), image_layers=2)
    assert (found.images, causes(found)) == ([], ["too_many"])
    assert found.skipped[0].message == "3 layers, more than 2 (--limit image_layers=N)"
    # Manifests of an index; the same one counts once, one without a digest for itself.
    children = [manifest(x=number) for number in range(3)]
    index = store.put({"manifests": [*children, *children]}, OCI_INDEX)
    found = store.walk(index, index_manifests=3)
    assert len(found.images) == 3 and found.skipped == []
    found = store.walk(index, index_manifests=2)
    assert causes(found) == ["too_many"]
    assert found.skipped[0].message.startswith("more than 2 manifests under this name")
    index = store.put({"manifests": [{}, {}]}, OCI_INDEX)
    assert causes(store.walk(index, index_manifests=2)) == ["bad_manifest"] * 2
    assert causes(store.walk(index, index_manifests=1)) == ["too_many"]
    # Indexes within each other.
    inner = store.put({"manifests": [manifest()]}, OCI_INDEX)
    outer = store.put({"manifests": [inner]}, OCI_INDEX)
    assert len(store.walk(outer, index_depth=2).images) == 1
    data = store.blobs[outer["digest"]]
    for depth, images in ((2, 1), (1, 0)):
        found = store.walk_bytes(data, limits=replace(Limits(), index_depth=depth))
        assert len(found.images) == images
    found = store.walk(outer, index_depth=1)
    assert causes(found) == ["too_deep"]
    assert found.skipped[0].message == "more than 1 indexes within each other"


def test_the_children_of_an_index_come_in_its_order(store, manifest):
    children = [manifest(x=number) for number in range(4)]
    index = store.put({"manifests": children}, OCI_INDEX)
    found = store.walk(index)
    assert [str(image.digest) for image in found.images] == [one["digest"] for one in children]


def test_artifacts_and_what_is_unknown(store, manifest, config):
    for more, cause in (
        ({"artifactType": "application/vnd.example"}, "artifact"),
        ({"config": {**config, "mediaType": "application/vnd.example"}}, "artifact"),
        ({"mediaType": "application/vnd.example"}, "unknown_media_type"),
    ):
        descriptor = {**manifest(**more), "mediaType": ""}
        assert causes(store.walk(descriptor)) == [cause]
    assert causes(store.walk(store.put({"manifests": [], "artifactType": "x/y"}, OCI_INDEX))) == [
        "artifact"
    ]
    assert store.walk(store.put({"manifests": []}, OCI_INDEX)) == Catalog()
    [skipped] = store.walk(manifest(artifactType="x" * 600)).skipped
    assert skipped.message == f"holds {'x' * 494}"
    for config_type in ("", "text/plain", DOCKER_CONFIG, f"{OCI_CONFIG}; x=y"):
        changed = {**config, "mediaType": config_type}
        assert len(store.walk(manifest(config=changed)).images) == 1
    artifact = store.put({}, "application/octet-stream")
    assert causes(store.walk(artifact)) == ["bad_manifest"]
    named = "application/vnd.oci.artifact.manifest.v1+json"
    assert causes(store.walk_bytes({}, named)) == ["artifact"]


def test_what_is_no_layer(store, manifest, layer):
    def of(media_type, **more):
        return {**store.put(media_type.encode(), media_type), **more}

    for one, cause in (
        (of(f"{OCI_LAYER}+encrypted"), "encrypted"),
        (of(OCI_LAYER, urls=["https://x"]), "foreign"),
        (of("application/vnd.in-toto+json"), "attestation"),
        (of("text/plain"), "unknown_media_type"),
        (of(OCI_LAYER, digest="sha256:1"), "bad_digest"),
    ):
        found = store.walk(manifest(layer, one))
        assert causes(found) == [cause] and len(found.images[0].layers) == 1
    statement, other = of("application/vnd.in-toto+json"), of("text/plain")
    assert causes(store.walk(manifest(statement)))[-1] == "attestation"
    assert causes(store.walk(manifest(statement, statement)))[-1] == "attestation"
    found = store.walk(manifest(statement, other))
    assert found.images == [] and causes(found)[-1] == "artifact"
    # An image whose layers are all stored elsewhere is one.
    found = store.walk(manifest(of(OCI_LAYER, urls=["https://x"])))
    assert found.images[0].layers == () and causes(found) == ["foreign"]


def test_a_foreign_layer_is_profiled_where_its_bytes_are(store, manifest, tmp_path):
    media_type = f"{manifests.FOREIGN_PREFIXES[0]}+gzip"
    foreign = store.put(b"x", media_type)
    assert causes(store.walk(manifest(foreign))) == ["foreign"]
    store.located = Extent(tmp_path, 0, 1)
    [image] = store.walk(manifest(foreign)).images
    assert image.layers[0].media_type == "oci_nondistributable_tar_gzip"
    unknown = store.put(b"y", f"{manifests.FOREIGN_PREFIXES[0]}.other")
    assert causes(store.walk(manifest(unknown))) == ["foreign"]
    bad = {**foreign, "digest": "sha256:1"}
    assert causes(store.walk(manifest(bad))) == ["foreign"]
    store.is_remote = True
    assert causes(store.walk(manifest(foreign))) == ["foreign"]


def test_failures_of_a_registry(store, manifest, config):
    descriptor = manifest()
    for cause, counted, is_passing in (
        ("missing", "missing_manifest", False),
        ("io_error", "missing_manifest", True),
        ("denied", "missing_manifest", True),
        ("limit_time", "missing_manifest", True),
        ("digest_mismatch", "bad_manifest", False),
    ):
        store.failures = {descriptor["digest"]: RegistryError(cause, "words")}
        found = store.walk(descriptor)
        assert (causes(found), found.passing) == ([counted], is_passing)
        # A config that can't be had for now costs the image, another one its platform.
        store.failures = {config["digest"]: RegistryError(cause, "words")}
        found = store.walk(descriptor)
        assert (len(found.images), found.passing) == (int(not is_passing), is_passing)
        # Other sources don't recover.
        store.failures = {descriptor["digest"]: BlobError(cause, "words")}
        assert not store.walk(descriptor).passing
    for blob in (descriptor, config):
        store.failures = {blob["digest"]: RegistryError("rate_limited", "words")}
        with pytest.raises(RegistryError, match="words"):
            store.walk(descriptor)


def test_a_manifest_that_failed_is_asked_for_once(store, manifest):
    child = manifest()
    index = store.put({"manifests": [child, child]}, OCI_INDEX)
    store.failures = {child["digest"]: BlobError("missing", "words")}
    assert causes(store.walk(index)) == ["missing_manifest"]
    assert store.asked.count(child["digest"]) == 1


def test_what_an_archive_left_out_is_counted_apart_where_it_has_another_image(store, manifest):
    left_out, kept = manifest(x=1), manifest(x=2)
    del store.blobs[left_out["digest"]]
    index = store.put({"manifests": [left_out, kept]}, OCI_INDEX)
    assert causes(store.walk(index)) == ["missing_manifest"]
    store.is_selection = True
    assert causes(store.walk(index)) == ["not_in_archive"]
    assert causes(store.walk(left_out)) == ["missing_manifest"]
    store.failures = {left_out["digest"]: BlobError("io_error", "")}
    assert causes(store.walk(index)) == ["missing_manifest"]
    store.failures = {}
    alone = store.put({"manifests": [left_out]}, OCI_INDEX)
    assert causes(store.walk(alone)) == ["missing_manifest"]


def test_a_fault_that_a_source_names(store):
    named = NamedManifest("a:1", fault="no manifest", digest=Digest(bytes(32)))
    found = resolve_named(store, named)
    assert found.skipped == [
        Skipped("a:1", str(Digest(bytes(32))), -1, "", "bad_manifest", "no manifest")
    ]
    assert resolve_named(store, NamedManifest("a:1", fault="x")).skipped[0].digest == ""


def test_a_manifest_that_can_not_be_entered(store, manifest):
    class Entered(Store):
        def enter(self, named):
            if named.location:
                raise RegistryError("denied", "no login")
            return replace(named, descriptor=self.described), self

    entered = Entered()
    entered.blobs, entered.described = store.blobs, manifest()
    found = resolve_named(entered, NamedManifest("n" * 5000, location="x"))
    assert found.passing and causes(found) == ["missing_manifest"]
    assert len(found.skipped[0].image) == 4096
    known = Popularity(5, 6)
    found = resolve_named(entered, NamedManifest("r:1", popularity=known))
    assert found.repositories == {found.images[0].repository: known}
    assert resolve_named(entered, NamedManifest("r:1")).repositories == {}
    entered.described = {}
    assert resolve_named(entered, NamedManifest("r:1", popularity=known)).repositories == {}


def test_catalogs_are_joined_in_order(store):
    def image(name, number):
        return Image(name, Digest(bytes([number]) * 32), "", "oci", ())

    skipped = Skipped("a:1", "", -1, "", "artifact", "")
    first = Catalog([image("a:1", 1), image("a:2", 1)], [skipped], {"a": Popularity(1, -1)})
    second = Catalog(
        [image("a:1", 2), image("a:1", 1)], [skipped], {"a": Popularity(-1, 2)}, True, {"x/y"}
    )
    joined = merge([first, second])
    assert [(one.name, one.digest.raw[0]) for one in joined.images] == [
        ("a:1", 1),
        ("a:2", 1),
        ("a:1", 2),
    ]
    assert joined.skipped == [skipped]
    assert joined.repositories == {"a": Popularity(1, -1) | Popularity(-1, 2)}
    assert joined.passing and joined.others == {"x/y"}
    assert not merge([first, first]).passing
    assert len(merge([Catalog(others={f"a/{n:03}" for n in range(100)}), second]).others) == 64

    store.named_manifests = lambda: iter([NamedManifest("a:1", fault="x"), NamedManifest("b:1")])
    assert [one.image for one in resolve(store).skipped] == ["a:1", "b:1"]


def test_an_image_names_its_config_and_has_the_annotations_of_its_manifest(store, manifest, layer):
    blob = {"os": "linux", "architecture": "amd64", "author": "me", "rootfs": {"diff_ids": []}}
    config = store.put(blob, OCI_CONFIG)
    catalog = store.walk(manifest(config=config, annotations={"b": "1", "a": "TOKEN=x"}))
    [image] = catalog.images
    [found] = catalog.configs
    assert str(image.config) == str(found.digest) == config["digest"]
    assert (found.author, found.size) == ("me", config["size"])
    assert image.annotations == (("b", "1"), ("a", "TOKEN=<redacted:token:1>"))
    # Each blob is read once.
    assert store.asked.count(config["digest"]) == 1
    # An image that is left out has no config in the catalog.
    assert list(store.walk(manifest(config=config), ["linux/arm64"]).configs) == []


@pytest.mark.parametrize(
    ("blob", "noted"), [(b"[]", 1), (b"not JSON", 1), ({"os": 5}, 2), ({"rootfs": []}, 2)]
)
def test_a_config_that_is_wrong_has_a_row_with_its_note(store, manifest, blob, noted):
    config = store.put(blob, OCI_CONFIG)
    catalog = store.walk(manifest(config=config))
    [image] = catalog.images
    assert (image.platform, image.layers[0].diff_id) == ("", None)
    assert [(str(one.digest), one.notes) for one in catalog.configs] == [(config["digest"], noted)]


def test_a_config_that_is_not_there_or_too_long_is_none(store, manifest):
    config = store.put({"os": "linux", "architecture": "amd64", "author": "x" * 5000}, OCI_CONFIG)
    assert store.walk(manifest(config=config), manifest_bytes=4000).images[0].config is None
    del store.blobs[config["digest"]]
    catalog = store.walk(manifest(config=config))
    assert catalog.images[0].config is None and list(catalog.configs) == []


def test_images_under_one_name_say_no_more_about_themselves_than_memory_holds(
    store, manifest, monkeypatch
):
    monkeypatch.setattr(manifests, "_TEXTS_BYTES", 10_000)
    children = []
    for number in range(4):
        labels = {"config": {"Labels": {"x": str(number) * 4_000}}}
        config = store.put({"os": "linux", "architecture": "amd64", **labels}, OCI_CONFIG)
        children.append(manifest(config=config, annotations={"a": "y" * 2_000}))
    catalog = store.walk(store.put({"manifests": children}, OCI_INDEX))
    assert [str(one.digest) for one in catalog.images] == [one["digest"] for one in children[:2]]
    assert causes(catalog) == ["too_many"] * 2
    assert len(list(catalog.configs)) == 2
    # Steps, labels and variables count with what they take in memory.
    many = {"config": {"Env": ["A=1"] * 50, "Labels": {str(n): "" for n in range(20)}}}
    many |= {"history": [{}] * 20}
    children[0] = manifest(config=store.put(many, OCI_CONFIG))
    catalog = store.walk(store.put({"manifests": children}, OCI_INDEX))
    assert [str(one.digest) for one in catalog.images] == [children[0]["digest"]]


def test_configs_of_several_catalogs_are_joined_into_one_place(store, manifest):
    first = store.walk(manifest())
    second = store.walk(manifest(config=store.put({"os": "x", "architecture": "y"}, OCI_CONFIG)))
    joined = merge([first, second, first])
    assert len(joined.configs) == len(list(joined.configs)) == 2
    place = Configs()
    again = merge([merge([first], place), merge([second], place)], place)
    assert again.configs is place and place == joined.configs == (first + second).configs


def test_an_image_has_its_config_whichever_source_lacks_it(store, manifest):
    (whole,) = store.walk(manifest()).images
    without = replace(whole, config=None)
    for images in ([whole, without], [without, whole]):
        assert merge(Catalog([image]) for image in images).images == [whole]
    assert merge([Catalog([without]), Catalog([without])]).images == [without]
