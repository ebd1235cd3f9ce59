"""Archives of images that are cut, compressed, or lead outside: one line for a person, never a file
elsewhere."""

import io
import json
import subprocess

import pytest
from support import tars

from hpc_remetrics.errors import BlobError, RemetricsError, SourceError
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

ENTRY = {"Config": "config.json", "RepoTags": ["a/b:1"], "Layers": ["layer.tar"]}
CONFIG = json.dumps({"rootfs": {"diff_ids": []}}).encode()


def archive(tmp_path, *members: bytes, name="saved.tar"):
    path = tmp_path / name
    path.write_bytes(b"".join([*members, tars.END]))
    return f"docker-archive:{path}"


def outcome(reference):
    """Return the catalog, or what a person is told."""
    try:
        return resolve(open_source(reference)), ""
    except RemetricsError as error:
        return None, str(error)


def manifest(*entries) -> bytes:
    return tars.file(b"manifest.json", json.dumps(list(entries)).encode())


@pytest.fixture(scope="session")
def saved(skopeo, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "saved.tar"
    skopeo(f"docker-archive:{path}:a/b:1")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("packer", ["gzip", "zstd", "bzip2", "xz"])
def test_a_compressed_archive_is_named_with_the_command_to_unpack_it(saved, tmp_path, packer):
    packed = tmp_path / "saved.tar.x"
    packed.write_bytes(
        subprocess.run([packer, "-c", saved], check=True, capture_output=True).stdout
    )
    with pytest.raises(SourceError, match=f"compressed with {packer}.*unpack it first"):
        resolve(open_source(f"docker-archive:{packed}"))


@pytest.mark.slow
def test_every_cut_is_said(saved, tmp_path):
    """Cut anywhere but in the padding at the end, it is no archive, or what is cut off is
    missing."""
    data = saved.read_bytes()
    want = resolve(open_source(f"docker-archive:{saved}"))
    cut = tmp_path / "cut.tar"
    for end in sorted({*range(0, 4096, 97), *range(0, len(data), len(data) // 150 + 1)}):
        cut.write_bytes(data[:end])
        catalog, said = outcome(f"docker-archive:{cut}")
        assert "\n" not in said
        if not said:
            assert catalog == want
            assert not data[end:].strip(b"\0")


def test_layers_outside_the_archive_are_missing(tmp_path):
    outside = tmp_path / "outside.tar"
    outside.write_bytes(tars.END)
    for layer in ("../outside.tar", str(outside), "layer.tar", "link"):
        link = tars.header(b"link", b"2", link=str(outside).encode())
        entry = {**ENTRY, "Layers": [layer]}
        reference = archive(tmp_path, link, tars.file(b"config.json", CONFIG), manifest(entry))
        catalog, said = outcome(reference)
        assert "\n" not in said
        for image in catalog.images if catalog else ():
            for one in image.layers:
                with pytest.raises(BlobError):
                    open_source(reference).locate(one.digest)


def test_links_in_a_circle_end(tmp_path):
    circle = tars.header(b"x", b"2", link=b"y") + tars.header(b"y", b"2", link=b"x")
    entry = {**ENTRY, "Layers": ["x"]}
    reference = archive(tmp_path, circle, tars.file(b"config.json", CONFIG), manifest(entry))
    assert "\n" not in outcome(reference)[1]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"null",
        b"[3]",
        b'[{"Layers": 5}]',
        b'[{"Config": {}, "Layers": [{}]}]',
        b"\xff",
        b"[" * 99_999,
    ]
    + [
        json.dumps([{**ENTRY, "RepoTags": tags}]).encode()
        for tags in ("x", [5], {}, ["a" * 100_000, "\x1b[2J"])
    ],
)
def test_a_manifest_that_is_none(tmp_path, text):
    members = [
        tars.file(b"config.json", CONFIG),
        tars.file(b"layer.tar", tars.END),
        tars.file(b"manifest.json", text),
    ]
    catalog, said = outcome(archive(tmp_path, *members))
    assert "\n" not in said
    assert "\x1b" not in said
    assert catalog is None or all("\x1b" not in image.name for image in catalog.images)


def test_an_oci_archive_whose_blobs_lie_outside(tmp_path):
    digest = "ab" * 32
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{digest}",
        "size": 5,
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    blob = tars.header(f"blobs/sha256/{digest}".encode(), b"2", link=b"/etc/passwd")
    path = tmp_path / "oci.tar"
    path.write_bytes(tars.file(b"index.json", index) + blob + tars.END)
    catalog = resolve(open_source(f"oci-archive:{path}"))
    assert [skipped.cause for skipped in catalog.skipped] == ["missing_manifest"]


def test_a_stream_of_a_layer_ends_where_the_layer_does(saved):
    source = open_source(f"docker-archive:{saved}")
    for layer in resolve(source).images[0].layers:
        with source.open(layer.digest) as stream:
            data = stream.read()
        assert len(data) == layer.size
        for offset in (0, 1, len(data) - 1, len(data), len(data) + 10):
            with source.open(layer.digest, offset) as stream:
                assert stream.read() == io.BytesIO(data).getvalue()[offset:]
