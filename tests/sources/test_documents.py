"""Values of manifests: what each one may be, and what is said of another one."""

import base64
import json

import pytest

from hpc_remetrics.records import Catalog, Digest, Image, ImageConfig, Layer, Skipped, Step
from hpc_remetrics.sources import catalogs, schema1
from hpc_remetrics.sources.documents import (
    MAX_SIZE,
    Descriptor,
    Malformed,
    get,
    get_list,
    get_object,
    get_platform,
    get_size,
    get_text,
    has,
    load,
    parse,
    shown,
)


def test_strings_are_shown_on_one_line_and_not_longer_than_asked():
    assert shown("a\tb\x7f\x9f\u2028\ud800é") == "a\\tb\\x7f\\x9f\\u2028\\ud800é"
    assert shown("x" * 300) == "x" * 255
    assert shown("\0" * 10, 7) == "\\x00\\x0"
    assert shown(" ~\xa0\ud7ff\ue000") == " ~\xa0\ud7ff\ue000"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "not JSON: "),
        (b"NaN", "NaN is not JSON"),
        (b"[" * 100_000, "the JSON is nested too deeply"),
        (b"[]", "not a JSON object"),
    ],
)
def test_what_is_no_document(data, words):
    with pytest.raises(Malformed, match=words):
        parse(data)


def test_members_are_of_the_right_type_or_null_or_missing():
    value = load(b'{"a": "x", "b": [1], "c": {"d": 1}, "n": null, "A\xff": 2}')
    assert (get_text(value, "a"), get_list(value, "b"), get_object(value, "c")) == (
        "x",
        [1],
        {"d": 1},
    )
    for name in ("n", "missing"):
        assert get(value, name) is None
        assert (get_text(value, name), get_list(value, name), get_object(value, name)) == (
            "",
            [],
            {},
        )
    assert has(value, "n") and has(value, "N") and not has(value, "missing")
    for read, name, words in (
        (get_text, "b", "'b' is not a string"),
        (get_list, "c", "'c' is not a list"),
        (get_object, "a", "'a' is not an object"),
    ):
        with pytest.raises(Malformed, match=words):
            read(value, name)
    for no_object in ([], "x", None, 5):
        with pytest.raises(Malformed, match="not a JSON object"):
            get(no_object, "a")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        # As Go's decoder does: the later one, lists element by element, objects member by member.
        ('{"a": 1, "A": 2}', 2),
        ('{"A": 1, "a": null}', 1),
        ('{"a": [1, 2, 3], "A": [4, null]}', [4, 2]),
        ('{"a": [1], "A": [4, 5]}', [4, 5]),
        ('{"a": [1], "A": null}', None),
        ('{"a": {"x": 1, "y": 2}, "A": {"Y": 3}}', {"x": 1, "y": 3}),
        ('{"a": {"x": 1}, "A": null}', None),
        ('{"a": {"x": 1, "X": 4}, "A": {"y": 3}}', {"x": 4, "y": 3}),
        ('{"a": {"x": 1}, "A": 5}', 5),
        ('{"a": 5, "A": {"x": 1}}', {"x": 1}),
    ],
)
def test_members_that_stand_twice_are_merged(written, read):
    found = get(load(written.encode()), "a")
    if isinstance(read, dict):
        assert {name: get(found, name) for name in read} == read
    else:
        assert found == read


def test_a_null_does_not_change_a_config_that_came_before():
    value = load(b'{"config": {"digest": "x"}, "Config": null}')
    assert get(get(value, "config"), "digest") == "x"


@pytest.mark.parametrize("size", [0, 1, MAX_SIZE])
def test_sizes(size):
    assert get_size({"size": size}) == size
    assert get_size({}) == get_size({"size": None}) == -1


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (-1, f"'size' is -1, not between 0 and {MAX_SIZE}"),
        (MAX_SIZE + 1, f"'size' is {MAX_SIZE + 1}, not"),
        (10**30 - 1, f"'size' is {10**30 - 1}, not"),
        (10**30, "'size' is absurd, not"),
        (-(10**30), "'size' is absurd, not"),
        (1.0, "'size' is not a whole number"),
        (True, "'size' is not a whole number"),
        ("5", "'size' is not a whole number"),
    ],
)
def test_what_is_no_size(size, words):
    with pytest.raises(Malformed, match=words):
        get_size({"size": size})


def test_platforms_have_a_system_and_an_architecture():
    assert get_platform({"os": "linux", "architecture": "arm"}) == "linux/arm"
    assert get_platform({"os": "linux", "architecture": "arm", "variant": "v7"}) == "linux/arm/v7"
    assert get_platform({"os": "linux"}) == get_platform({"architecture": "arm"}) == ""
    assert len(get_platform({"os": "l" * 200, "architecture": "a" * 200})) == 255


def test_descriptors():
    value = {
        "digest": "sha256:1",
        "size": 5,
        "mediaType": " Text/Plain; charset=x",
        "platform": {"os": "a", "architecture": "b"},
        "artifactType": "c",
        "urls": ["d"],
        "annotations": {"vnd.docker.reference.type": "e"},
    }
    assert Descriptor.parse(value) == Descriptor(
        "sha256:1", 5, "text/plain", "a/b", "c", has_urls=True, is_reference=True
    )
    assert Descriptor.parse({"digest": "x"}) == Descriptor("x", -1, "")
    for wrong, words in (([], "not an object"), ({}, "no digest"), ({"digest": ""}, "no digest")):
        with pytest.raises(Malformed, match=words):
            Descriptor.parse(wrong)


# Schema 1.


def base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def signed(text: bytes, **header) -> tuple[bytes, dict]:
    """Return a signed manifest, and the document."""
    protected = base64url(json.dumps(header))
    data = text[:-1] + b', "signatures": [' + json.dumps({"protected": protected}).encode() + b"]}"
    return data, json.loads(data)


def test_the_digest_of_a_signed_manifest_covers_its_text():
    text = b'{"a": 1}'
    # The length of what is before padding decides how much is missing.
    for tail in ("}", "\n}", "\n\n}", "\n\n\n}"):
        data, document = signed(text, formatLength=len(text) - 1, formatTail=base64url(tail))
        assert schema1.payload(data, document) == text[:-1] + tail.encode()
    assert schema1.payload(text, {"a": 1}) == text
    data, document = signed(text, formatLength=0, formatTail="")
    assert schema1.payload(data, document) == b""
    data, document = signed(text, formatLength=50, formatTail="")
    assert schema1.payload(data, document) == data[:50]
    assert schema1.payload(data[:50], document) == data[:50]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"formatLength": 10**6, "formatTail": ""}, "covers more than the manifest"),
        ({"formatLength": -1, "formatTail": ""}, "covers more than the manifest"),
        ({"formatLength": True, "formatTail": ""}, "covers more than the manifest"),
        ({"formatTail": ""}, "covers more than the manifest"),
        ({"formatLength": 1, "formatTail": "é"}, "not base64"),
        ({"formatLength": 1, "formatTail": "a"}, "not base64"),
    ],
)
def test_a_signature_that_is_wrong(header, words):
    data, document = signed(b'{"a": 1}', **header)
    with pytest.raises(Malformed, match=words):
        schema1.payload(data, document)
    with pytest.raises(Malformed, match="a signature is not an object"):
        schema1.payload(data, {"signatures": ["x"]})


def test_layers_and_platform_of_schema_1():
    assert schema1.layer_digests({"fsLayers": [{"blobSum": "b"}, {"blobSum": "a"}, {}]}) == [
        "",
        "a",
        "b",
    ]
    with pytest.raises(Malformed, match="a member of 'fsLayers' is not an object"):
        schema1.layer_digests({"fsLayers": [{}, "x"]})

    def of(newest, **more):
        history = [{"v1Compatibility": json.dumps(newest)}, {"v1Compatibility": "{}"}]
        return schema1.platform({"history": history, **more})

    assert of({"os": "linux", "architecture": "arm", "variant": "v7"}) == "linux/arm/v7"
    assert of({"OS": "linux"}, architecture="amd64") == "linux/amd64"
    assert of({"os": "linux", "architecture": "arm"}, architecture="amd64") == "linux/arm"
    assert of({}, architecture="amd64") == ""
    assert schema1.platform({"history": []}) == schema1.platform({}) == ""
    assert schema1.platform({"history": [{"v1Compatibility": "{"}], "architecture": "x"}) == ""


def test_a_catalog_comes_back_from_json():
    digest, other = Digest(bytes(32)), Digest(bytes([1]) * 32)
    layers = (Layer(digest, 5, "oci_tar", other, "host/a"), Layer(other, -1, "unspecified"))
    catalog = Catalog(
        [
            Image("a:1", digest, "linux/amd64", "oci", layers, other, (("k", "v"), ("", ""))),
            Image("b", other, "", "oci", ()),
        ],
        [Skipped("a:1", "x", -1, "y", "artifact", "z")],
        others={"b/c", "a/b"},
    )
    step = Step(-5, 7, "RUN x", "é", "me", True, 1)
    pairs = (("k", "v"), ("", "\ud7ff"))
    catalog.configs.add(
        ImageConfig(
            other, 9, -1, 3, "linux", labels=pairs, environment=pairs, history=(step,), secrets=2
        )
    )
    catalog.configs.add(ImageConfig(digest, 5, notes=1))
    value = json.loads(json.dumps(catalogs.to_json(catalog)))
    assert catalogs.from_json(value) == catalog
    assert value["others"] == ["a/b", "b/c"]
    assert [type(step) for one in catalogs.from_json(value).configs for step in one.history] == [
        Step
    ]
