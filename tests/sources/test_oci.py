"""Names of an OCI layout's images, what a reference may choose, and translated manifests."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from hpc_remetrics.errors import SourceError
from hpc_remetrics.records import Digest
from hpc_remetrics.sources import open_source, suggestion
from hpc_remetrics.sources.oci import ORIGINAL, PUSHED, OciArchiveSource, OciSource
from hpc_remetrics.sources.platforms import fewer, none_left

REF, CONTAINERD = "org.opencontainers.image.ref.name", "io.containerd.image.name"


@pytest.fixture
def layout(tmp_path):
    """Return a function that writes an index of these entries, and returns the reference."""

    def write(*entries, index=None):
        directory = tmp_path / "layout"
        (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        text = json.dumps({"manifests": list(entries)}) if index is None else index
        (directory / "index.json").write_text(text)
        return f"oci:{directory}"

    return write


def entry(name=None, digest="sha256:1", key=REF):
    return {"digest": digest, "annotations": {key: name} if name else {}}


def names(reference):
    return [named.name for named in open_source(reference).named_manifests()]


def test_the_names_of_images(layout):
    both = {"digest": "x", "annotations": {REF: "1", CONTAINERD: "docker.io/a/b:1"}}
    reference = layout(entry("a:1"), both, entry(), None, "x", {"annotations": {REF: 5}})
    assert names(reference) == [
        "a:1",
        "docker.io/a/b:1",
        "layout@sha256:1",
        "layout@None",
        "layout@",
        "layout@None",
    ]
    assert names(f"{reference}:1") == names(f"{reference}:docker.io/a/b:1") == ["docker.io/a/b:1"]
    assert (
        names(f"{reference}:@sha256:1")
        == names(f"{reference}:sha256:1")
        == [
            "a:1",
            "layout@sha256:1",
        ]
    )


def test_a_name_that_no_image_has(layout):
    reference = layout(*[entry(f"a:{number}") for number in range(8)])
    with pytest.raises(SourceError) as caught:
        names(f"{reference}:b")
    assert str(caught.value).endswith(
        f"has no image 'b'; it has {', '.join(f'a:{n}' for n in range(8))}"
    )
    reference = layout(*[entry(f"a:{number}") for number in range(9)])
    with pytest.raises(SourceError, match=r"a:6, a:7 …$"):
        names(f"{reference}:b")
    reference = layout(entry(), entry(digest="sha256:2"))
    with pytest.raises(SourceError, match="its images have no names"):
        names(f"{reference}:b")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"manifests": {}}'])
def test_an_index_that_is_none(layout, text):
    with pytest.raises(SourceError, match=r"layout: index.json is not an OCI index: "):
        names(layout(index=text))


@pytest.mark.parametrize(
    ("date", "pushed"), [("2026-01-02T03:04:05Z", 1_767_323_045), ("soon", None), (5, None)]
)
def test_the_date_of_a_tag_is_an_annotation(layout, date, pushed):
    reference = layout({"digest": "sha256:1", "annotations": {PUSHED: date}})
    [named] = open_source(reference).named_manifests()
    assert named.pushed == pushed


def test_an_entry_that_was_translated_is_read_in_its_original(layout, tmp_path):
    data = b"the original"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    platform = {"os": "linux", "architecture": "arm"}
    annotations = {f"{ORIGINAL}type": "t", f"{ORIGINAL}digest": digest, f"{ORIGINAL}size": "12"}
    translated = {"digest": "sha256:1", "platform": platform, "annotations": annotations}

    def described(**more):
        changed = {**translated, "annotations": {**annotations, **more}}
        [named] = open_source(layout(changed)).named_manifests()
        return named.descriptor

    # It is not there.
    assert described()["digest"] == "sha256:1"
    layout()
    (tmp_path / "layout" / "blobs" / "sha256" / digest[7:]).write_bytes(data)
    assert described() == {"mediaType": "t", "digest": digest, "size": 12, "platform": platform}
    assert described(**{f"{ORIGINAL}size": "x"})["size"] is None
    assert described(**{f"{ORIGINAL}digest": "x"})["digest"] == "sha256:1"
    found = OciSource.find(open_source(layout()), Digest.parse(digest))
    assert found.size == 12


def test_a_layout_is_recognized_by_its_files(tmp_path):
    assert not OciSource.recognizes(tmp_path)
    (tmp_path / "index.json").write_text("{}")
    assert not OciSource.recognizes(tmp_path)
    (tmp_path / "blobs").mkdir()
    assert OciSource.recognizes(tmp_path)
    (tmp_path / "index.json").unlink()
    assert not OciSource.recognizes(tmp_path)
    (tmp_path / "oci-layout").write_text("{}")
    assert OciSource.recognizes(tmp_path)
    assert suggestion(str(tmp_path)) == f"write oci:{tmp_path}"


def test_an_archive_of_both_forms_is_one_of_docker_save(tmp_path):
    def archive(*members):
        path = tmp_path / f"{len(members)}{members[0]}.tar"
        with tarfile.open(path, "w") as tar:
            for name in members:
                tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        return path

    both, oci, docker = (
        archive("oci-layout", "manifest.json"),
        archive("oci-layout"),
        archive("manifest.json"),
    )
    assert [OciArchiveSource.recognizes(one) for one in (both, oci, docker, tmp_path)] == [
        False,
        True,
        False,
        False,
    ]
    assert suggestion(str(both)) == f"write docker-archive:{both}"
    assert suggestion(str(oci)) == f"write oci-archive:{oci}"
    assert open_source(f"oci-archive:{oci}").is_selection
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"x"))
    assert suggestion(str(tmp_path / "x.gz")).startswith("write one of ")


def test_platforms_of_which_none_is_left_are_listed():
    many = fewer({f"linux/{number:03}" for number in range(70)})
    assert len(many) == 64 and min(many) == "linux/000" and max(many) == "linux/063"
    error = none_left(("linux/arm", "linux/386"), {"b/c", "a/b"})
    assert str(error) == (
        "--platform leaves no image: none is for linux/arm or linux/386; choose from a/b, b/c"
    )
    assert none_left(("x/y",), many).hint.endswith("linux/063, …")
    assert none_left(("x/y",), sorted(many)[:63]).hint.endswith("linux/062")
