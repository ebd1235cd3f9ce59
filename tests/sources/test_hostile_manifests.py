"""Manifests that nobody checked: every one ends in an image, a count apart, or one line for a
person."""

import copy
import gzip
import hashlib
import json
import subprocess
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import share_of
from support.layouts import Layout
from support.tools import need

from hpc_remetrics.limits import Limits
from hpc_remetrics.records import MEDIA_TYPES, SKIP_CAUSES, Digest
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
HEX = "ab" * 32


class Place:
    """An OCI layout to which documents are added; `resolve` walks it."""

    def __init__(self, directory):
        self.layout = Layout(directory / "layout")
        self.layer = self.layout.blob(gzip.compress(b""), LAYER)
        self.config = self.document(
            {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": []}}, CONFIG
        )

    def document(self, value, media_type):
        return self.layout.blob(json.dumps(value).encode(), media_type)

    def manifest(self, *layers, **more):
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config,
            "layers": list(layers),
            **more,
        }
        return self.document({key: one for key, one in value.items() if one is not None}, MANIFEST)

    def index(self, *members, **more):
        return self.document(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(members), **more}, INDEX
        )

    def resolve(self, *descriptors, platforms=()):
        self.layout.index = list(descriptors)
        self.layout.finish()
        return resolve(open_source(f"oci:{self.layout.directory}"), platforms)

    def causes(self, *descriptors):
        return [skipped.cause for skipped in self.resolve(*descriptors).skipped]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_an_index_within_itself_ends(place):
    """A true cycle can't be made of digests; one of a wrong digest can, and so can a very deep
    chain."""
    path = place.layout.path(HEX)
    entry = {"mediaType": INDEX, "digest": f"sha256:{HEX}", "size": 10}
    path.write_text(
        json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry, entry]})
    )
    catalog = place.resolve(entry)
    assert catalog.images == []
    assert {skipped.cause for skipped in catalog.skipped} == {"bad_manifest"}


def test_indexes_nest_four_deep_and_no_deeper(place):
    entry = place.manifest(place.layer)
    for depth in range(6):
        assert len(place.resolve(entry).images) == (depth <= 4)
        assert ("too_deep" in place.causes(entry)) == (depth > 4)
        entry = place.index(entry)


def test_an_index_of_the_same_image_a_thousand_times_is_one_image(place):
    manifest = place.manifest(place.layer)
    nested = place.index(*[place.index(*[manifest] * 1000)] * 1000)
    assert len(place.resolve(nested).images) == 1


def gone(number, media_type=MANIFEST):
    """Return the descriptor of a blob that is not there."""
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": 5}


@pytest.mark.slow
def test_an_index_of_too_many_manifests_is_one_thing_counted_apart(place):
    """Alone or through the indexes in it; the images beside it are taken."""
    many = place.index(*map(gone, range(20_000)))
    deep = place.index(*(place.index(*map(gone, range(n * 300, n * 300 + 300))) for n in range(4)))
    good = place.manifest(place.layer)
    for entry in (many, place.index(many)):
        catalog = place.resolve(good, entry)
        assert len(catalog.images) == 1
        assert [one.cause for one in catalog.skipped] == ["too_many"]
        assert "--limit index_manifests=N" in catalog.skipped[0].message
    causes = Counter(one.cause for one in place.resolve(deep, good).skipped)
    assert causes["too_many"] == 1
    assert causes["missing_manifest"] == 900


@pytest.mark.slow
def test_an_image_of_too_many_layers_is_one_thing_counted_apart(place):
    many = place.manifest(*(gone(number, LAYER) for number in range(20_000)))
    digests = [
        {"blobSum": f"sha256:{hashlib.sha256(b'%d' % n).hexdigest()}"} for n in range(20_000)
    ]
    schema1 = place.document(
        {"schemaVersion": 1, "fsLayers": digests, "history": []},
        "application/vnd.docker.distribution.manifest.v1+json",
    )
    for entry in (many, schema1):
        catalog = place.resolve(entry, place.manifest(place.layer))
        assert [len(image.layers) for image in catalog.images] == [1]
        assert [one.cause for one in catalog.skipped] == ["too_many"]
        assert "--limit image_layers=N" in catalog.skipped[0].message
    assert len(place.resolve(place.manifest(*[place.layer] * 4000)).images[0].layers) == 4000


def test_the_bounds_can_be_changed(place):
    limits = Limits(index_manifests=1, image_layers=2)
    one, two, three = (place.manifest(*[place.layer] * number) for number in (1, 2, 3))
    place.resolve(place.index(one), place.index(one, two), two, three)
    catalog = resolve(open_source(f"oci:{place.layout.directory}"), (), limits)
    assert [len(image.layers) for image in catalog.images] == [1, 2]
    assert [skipped.cause for skipped in catalog.skipped] == ["too_many", "too_many"]


def test_a_manifest_longer_than_4_mib_is_counted_apart(place):
    long = place.manifest(place.layer, annotations={"x": "y" * (4 << 20)})
    catalog = place.resolve(long, place.manifest(place.layer))
    assert len(catalog.images) == 1
    assert len(catalog.skipped) == 1


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 64 + "\n",
        "sha512:" + "a" * 128,
        "",
        "/etc/passwd",
        "sha256:" + "a" * 10_000_00,
        "é" * 64,
    ],
)
@pytest.mark.parametrize("where", ["manifest", "layer"])
def test_a_digest_that_is_none_never_becomes_a_path(place, digest, where):
    wrong = {"mediaType": MANIFEST if where == "manifest" else LAYER, "digest": digest, "size": 5}
    descriptor = wrong if where == "manifest" else place.manifest(wrong)
    catalog = place.resolve(descriptor)
    assert all(not image.layers for image in catalog.images)
    assert {skipped.cause for skipped in catalog.skipped} <= {"bad_digest", "bad_manifest"}
    assert catalog.skipped
    assert all(
        len(skipped.digest) < 1000 and "\n" not in skipped.message for skipped in catalog.skipped
    )


@pytest.mark.parametrize(
    ("media_type", "cause"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "foreign"),
        (LAYER + "+encrypted", "encrypted"),
        ("application/vnd.in-toto+json", "attestation"),
        ("application/x-nobody-knows", "unknown_media_type"),
    ],
)
def test_what_is_no_layer_of_an_image_is_counted_apart(place, media_type, cause):
    other = place.layout.blob(b"something", media_type)
    if cause == "foreign":
        place.layout.path(other["digest"]).unlink()
    catalog = place.resolve(place.manifest(place.layer, other))
    assert [skipped.cause for skipped in catalog.skipped] == [cause]
    assert catalog.skipped[0].size == len(b"something")
    assert [str(layer.digest) for layer in catalog.images[0].layers] == [place.layer["digest"]]


def test_artifacts_are_counted_apart(place):
    helm = place.manifest(
        place.layer, config=place.document({}, "application/vnd.cncf.helm.config.v1+json")
    )
    typed = place.manifest(place.layer, artifactType="application/vnd.example.sbom")
    assert place.causes(helm, typed) == ["artifact", "artifact"]


@pytest.mark.parametrize("config_type", [CONFIG, "application/vnd.docker.container.image.v1+json"])
def test_the_type_of_an_images_config_as_artifact_type_is_an_images(place, config_type):
    """Allowed since OCI 1.1, in a descriptor and in a manifest; skopeo takes both for images."""
    config = {**place.config, "mediaType": config_type}
    in_manifest = place.manifest(place.layer, config=config, artifactType=config_type)
    in_both = {**in_manifest, "artifactType": config_type.upper()}
    for number, entry in enumerate((in_manifest, in_both)):
        for root in (entry, place.index(entry), place.index(entry, artifactType=config_type)):
            root["annotations"] = {"org.opencontainers.image.ref.name": "a:1"}
            catalog = place.resolve(root)
            assert [len(image.layers) for image in catalog.images] == [1], number
            assert catalog.skipped == []
    if config_type == CONFIG:
        command = [need("skopeo"), "inspect", f"oci:{place.layout.directory}:a:1"]
        subprocess.run(command, check=True, capture_output=True)


def test_a_manifest_of_statements_alone_is_an_attestation(place):
    statement = place.layout.blob(b"{}", "application/vnd.in-toto+json")
    catalog = place.resolve(place.manifest(statement, statement))
    assert catalog.images == []
    assert {skipped.cause for skipped in catalog.skipped} == {"attestation"}


def test_a_missing_manifest_is_counted_apart(place):
    gone = {"mediaType": MANIFEST, "digest": f"sha256:{HEX}", "size": 7}
    assert place.causes(gone) == ["missing_manifest"]


def test_a_missing_config_costs_no_layer(place):
    gone = {"mediaType": CONFIG, "digest": f"sha256:{HEX}", "size": 7}
    catalog = place.resolve(place.manifest(place.layer, config=gone))
    assert [len(image.layers) for image in catalog.images] == [1]


def test_a_layer_twice_in_an_image_stands_there_twice(place):
    assert len(place.resolve(place.manifest(place.layer, place.layer)).images[0].layers) == 2


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "3", '"x"', "{", "{}", "[" * 100_000, '{"a":' * 50_000, "\0", "NaN"]
)
def test_what_is_no_manifest_at_all(place, text):
    catalog = place.resolve(place.layout.blob(text.encode(), MANIFEST), place.manifest(place.layer))
    assert len(catalog.images) == 1
    assert [skipped.cause for skipped in catalog.skipped] == ["bad_manifest"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = [
    ("schemaVersion",),
    ("mediaType",),
    ("artifactType",),
    ("subject",),
    ("annotations",),
    ("config",),
    ("config", "mediaType"),
    ("config", "digest"),
    ("config", "size"),
    ("layers",),
    ("layers", 0),
    ("layers", 0, "mediaType"),
    ("layers", 0, "digest"),
    ("layers", 0, "size"),
    ("layers", 0, "urls"),
    ("layers", 0, "annotations"),
]
ENTRY_FIELDS = [
    ("mediaType",),
    ("digest",),
    ("size",),
    ("platform",),
    ("platform", "os"),
    ("annotations",),
]


def changed(value, path, new):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


def check(catalog):
    """What comes out has the words that the dataset knows, and digests."""
    for image in catalog.images:
        assert isinstance(image.name, str)
        assert isinstance(image.platform, str)
        assert all(
            isinstance(layer.digest, Digest) and layer.media_type in MEDIA_TYPES
            for layer in image.layers
        )
        assert all(-1 <= layer.size < 2**63 for layer in image.layers)
    for skipped in catalog.skipped:
        assert skipped.cause in SKIP_CAUSES
        assert -1 <= skipped.size < 2**63
        assert len(skipped.media_type) <= 255
        for text in (skipped.image, skipped.digest, skipped.media_type, skipped.message):
            text.encode()


@pytest.mark.slow
@settings(max_examples=share_of(300), suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(FIELDS), new=json_values)
def test_any_value_in_any_field_of_a_manifest(tmp_path_factory, path, new):
    place = Place(tmp_path_factory.mktemp("field"))
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": place.config,
        "layers": [dict(place.layer)],
    }
    wrong = place.document(changed(value, path, new), MANIFEST)
    catalog = place.resolve(wrong, place.manifest(place.layer))
    check(catalog)
    assert len(catalog.images) + len(catalog.skipped) >= 2 or len(catalog.images) == 1
    assert any(len(image.layers) == 1 for image in catalog.images)


@pytest.mark.slow
@settings(max_examples=share_of(200), suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(ENTRY_FIELDS), new=json_values, in_index=st.booleans())
def test_any_value_in_any_field_of_a_descriptor(tmp_path_factory, path, new, in_index):
    place = Place(tmp_path_factory.mktemp("field"))
    entry = {**place.manifest(place.layer), "platform": {"os": "linux", "architecture": "amd64"}}
    wrong = changed(entry, path, new)
    catalog = place.resolve(place.index(wrong, entry) if in_index else wrong, entry)
    check(catalog)
    assert any(len(image.layers) == 1 for image in catalog.images)


@pytest.mark.slow
@settings(max_examples=share_of(150), suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(
        [
            ("fsLayers",),
            ("fsLayers", 0),
            ("fsLayers", 0, "blobSum"),
            ("history",),
            ("history", 0),
            ("history", 0, "v1Compatibility"),
            ("signatures",),
            ("architecture",),
            ("schemaVersion",),
        ]
    ),
    new=json_values,
)
def test_any_value_in_any_field_of_schema_1(tmp_path_factory, path, new):
    place = Place(tmp_path_factory.mktemp("field"))
    value = {
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": place.layer["digest"]}],
        "history": [{"v1Compatibility": json.dumps({"os": "linux"})}],
        "architecture": "amd64",
        "signatures": [],
    }
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    check(place.resolve(place.document(changed(value, path, new), media_type)))
