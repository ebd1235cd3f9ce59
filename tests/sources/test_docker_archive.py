"""Archives of `docker save`: names, digests of layers, media types, and notes on others."""

import bz2
import gzip
import hashlib
import json
import lzma

import pytest
from support import tars

from hpc_remetrics.errors import SourceError
from hpc_remetrics.records import Digest
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.archive import Archive
from hpc_remetrics.sources.docker_archive import DockerArchiveSource
from hpc_remetrics.sources.manifests import DOCKER_ARCHIVE_LAYER, DOCKER_LAYER, resolve


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


DIFF_ID = f"sha256:{'1' * 64}"
LAYER = b"a layer that is no tar".ljust(700, b"\0")


@pytest.fixture
def saved(tmp_path):
    """Return a function that writes an archive of these items and files, and opens it."""

    def write(items, files=(), ref=""):
        text = items if isinstance(items, bytes) else json.dumps(items).encode()
        members = {"manifest.json": text, **dict(files)}
        path = tmp_path / "saved.tar"
        blocks = [
            tars.file(name.encode(), data) for name, data in members.items() if data is not None
        ]
        path.write_bytes(b"".join([*blocks, tars.END]))
        return open_source(f"docker-archive:{path}{ref}")

    return write


def config(*diff_ids) -> bytes:
    return json.dumps({"os": "linux", "rootfs": {"diff_ids": list(diff_ids)}}).encode()


def item(*layers, tags=("a:1",), **more):
    return {"RepoTags": list(tags), "Config": "c.json", "Layers": list(layers), **more}


def made_up(source, number=0):
    return json.loads(list(source.named_manifests())[number].manifest)


def test_a_reference_chooses_by_name_or_number(saved):
    items = [
        item("l", tags=("a:1", "a:1", "b:latest", 5)),
        item("l", tags=()),
        item("l", tags=("c",)),
    ]
    files = {"c.json": config(DIFF_ID), "l": LAYER}

    def names(ref=""):
        return [named.name for named in saved(items, files, ref).named_manifests()]

    unnamed = f"saved@{sha256(files['c.json'])}"
    assert names() == ["a:1", "b:latest", unnamed, "c"]
    assert names(":a:1") == ["a:1"] and names(":b") == names(":b:latest") == ["b:latest"]
    assert names(":@0") == ["a:1", "b:latest"] and names(":@1") == [unnamed]
    assert names(f":{unnamed}") == [unnamed] and names(":c") == ["c"]
    with pytest.raises(SourceError, match=r"has no image 'a'; it has a:1, b:latest, c$"):
        names(":a")
    many = [item("l", tags=[f"{number}:1" for number in range(9)])]
    with pytest.raises(SourceError, match=r"it has 0:1, .*6:1, 7:1$"):
        list(saved(many, files, ":x").named_manifests())
    with pytest.raises(SourceError, match=r"its images have no names, choose @0 to @1$"):
        list(saved([item(tags=())] * 2, files, ":x").named_manifests())


def test_the_digest_of_a_layer(saved):
    hexed = "2" * 64
    blob = f"blobs/sha256/{hexed}"
    packed = gzip.compress(LAYER)
    files = {
        "c.json": config(DIFF_ID, DIFF_ID, DIFF_ID, 5, DIFF_ID),
        "plain": LAYER,
        blob: LAYER,
        "packed": packed,
    }
    source = saved([item("plain", blob, "packed", "plain", "gone")], files)
    manifest = made_up(source)
    # The name of a blob; else the config's word for what is not compressed; else the bytes.
    assert [one["digest"] for one in manifest["layers"]] == [
        DIFF_ID,
        f"sha256:{hexed}",
        sha256(packed),
        sha256(LAYER),
        DIFF_ID,
    ]
    assert [one.get("size") for one in manifest["layers"]] == [700, 700, len(packed), 700, None]
    assert manifest["config"] == {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "digest": sha256(files["c.json"]),
        "size": len(files["c.json"]),
    }
    assert source.find(Digest.parse(DIFF_ID)).size == 700
    assert source.find(Digest.parse(sha256(packed))).size == len(packed)
    assert source.find(Digest.parse(sha256(files["c.json"]))).size == len(files["c.json"])
    assert source.find(Digest(bytes(32))) is None
    # Where the config names another number of layers, it says nothing about any.
    source = saved([item("plain")], {**files, "c.json": config(DIFF_ID, DIFF_ID)})
    assert made_up(source)["layers"][0]["digest"] == sha256(LAYER)
    assert made_up(saved([item("gone")], {"c.json": config()}))["layers"] == [
        {"mediaType": DOCKER_ARCHIVE_LAYER, "digest": "path:gone"}
    ]
    # A config that names no digest of bytes keeps no layer from being read.
    source = saved([item("plain")], {**files, "c.json": config("x")})
    assert made_up(source)["layers"][0]["digest"] == "x"
    assert [one.cause for one in resolve(source).skipped] == ["bad_digest"]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (LAYER, DOCKER_ARCHIVE_LAYER),
        (b"", DOCKER_ARCHIVE_LAYER),
        (gzip.compress(LAYER), f"{DOCKER_LAYER}.gzip"),
        (b"\x28\xb5\x2f\xfd rest", f"{DOCKER_LAYER}.zstd"),
        (bz2.compress(LAYER), ""),
        (lzma.compress(LAYER), ""),
    ],
)
def test_the_media_type_of_a_layer_is_that_of_its_bytes(saved, data, media_type):
    [layer] = made_up(saved([item("l")], {"c.json": config(DIFF_ID), "l": data}))["layers"]
    assert layer["mediaType"] == media_type
    assert layer["digest"] == (DIFF_ID if media_type == DOCKER_ARCHIVE_LAYER else sha256(data))


def test_an_image_that_can_not_be_made_up_is_counted_apart(saved):
    for wrong, words in (
        ({"RepoTags": "a"}, "'RepoTags' is not a list"),
        (item(5), "the path of a layer is not a string"),
        ({"Config": 5}, "'Config' is not a string"),
        ({}, "names neither layers nor a config that is in the archive"),
    ):
        [skipped] = resolve(saved([wrong])).skipped
        assert skipped.cause == "bad_manifest"
        assert skipped.message == f"its item in manifest.json: {words}"
        assert skipped.image == (
            "a:1" if "RepoTags" in wrong and wrong["RepoTags"] != "a" else "saved@0"
        )
    # A config that is missing, or broken, costs no layer.
    for files in ({"l": LAYER}, {"l": LAYER, "c.json": b"{"}):
        [image] = resolve(saved([item("l")], files)).images
        assert image.layers[0].digest == Digest.parse(sha256(LAYER))
    # A config alone is an image of no layers.
    [image] = resolve(saved([item()], {"c.json": config()})).images
    assert (image.layers, image.manifest_type) == ((), "docker_archive")
    source = saved([item("l", tags=())], {"l": LAYER})
    assert [named.name for named in source.named_manifests()] == ["saved@unknown"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "saved.tar: manifest.json can't be read: not JSON"),
        (b"{}", "manifest.json does not list images as docker save does"),
        (b"[]", "manifest.json does not list images as docker save does"),
    ],
)
def test_a_list_of_images_that_is_none(saved, text, words):
    with pytest.raises(SourceError, match=words):
        list(saved(text).named_manifests())


def test_an_archive_without_a_list_is_answered_with_what_to_do(tmp_path):
    path = tmp_path / "a.tar"
    for name, hint in (
        (b"layer.tar", "save it with docker 1.10 or later"),
        (b"oci-layout", f"write oci-archive:{path}"),
    ):
        path.write_bytes(tars.file(name) + tars.END)
        with pytest.raises(SourceError) as caught:
            list(open_source(f"docker-archive:{path}").named_manifests())
        assert str(caught.value) == f"{path} has no manifest.json; {hint}"
        assert not DockerArchiveSource.recognizes(path)
    path.write_bytes(tars.file(b"manifest.json") + tars.END)
    assert DockerArchiveSource.recognizes(path) and not DockerArchiveSource.recognizes(tmp_path)


def test_an_archive_is_read_once(saved, tmp_path):
    source = saved([item("l", "l")], {"c.json": config(), "l": LAYER})
    first = list(source.named_manifests())
    (tmp_path / "saved.tar").unlink()
    assert list(source.named_manifests()) == first
    with pytest.raises(SourceError, match=r"can't read .*saved.tar: No such file"):
        list(DockerArchiveSource("x", Archive(tmp_path / "saved.tar")).named_manifests())
