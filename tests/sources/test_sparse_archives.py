"""Archives with sparse members, as macOS, FreeBSD and `tar --sparse` write them, are read as if
they had none."""

import hashlib
import subprocess

import pytest
from support import tars
from support.layouts import Layout
from support.runs import Runs
from support.same import assert_same
from support.tools import need

from hpc_remetrics.errors import RemetricsError
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.archive import Archive
from hpc_remetrics.sources.local import open_extent
from hpc_remetrics.sources.manifests import resolve

LAYER = (
    tars.file(b"zeros", bytes(300_000))
    + tars.file(b"data", b"x" * 90_000)
    + tars.file(b"more", bytes(99_999))
    + tars.END
)
FORMATS = {
    "gnu": ["--format=gnu"],
    "0.0": ["--format=pax", "--sparse-version=0.0"],
    "0.1": ["--format=pax", "--sparse-version=0.1"],
    "1.0": ["--format=pax", "--sparse-version=1.0"],
}


@pytest.fixture(scope="module")
def holes(tmp_path_factory):
    """The directory of an OCI layout whose layer has holes on disk."""
    layout = Layout(tmp_path_factory.mktemp("holes") / "layout")
    layers = [layout.layer(LAYER, "plain"), layout.layer(tars.file(b"other") + tars.END, "gzip")]
    path = layout.path(layers[0][0]["digest"])
    path.write_bytes(b"")
    with open(path, "r+b") as file:
        for at in range(0, len(LAYER), 4096):
            if any(piece := LAYER[at : at + 4096]):
                file.seek(at)
                file.write(piece)
        file.truncate(len(LAYER))
    assert path.read_bytes() == LAYER
    layout.image("sparse/image:1", layers)
    return layout.finish()


def packed(directory, to, form):
    names = sorted(path.name for path in directory.iterdir())
    command = ["tar", "--sparse", *FORMATS[form], "-cf", to, "-C", directory, *names]
    subprocess.run(command, check=True)
    assert to.stat().st_size < 250_000 < len(LAYER)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_an_oci_archive_with_sparse_members(holes, form, tmp_path):
    archive = tmp_path / "layout.tar"
    packed(holes, archive, form)
    # Of these, skopeo reads GNU's own in docker-archive alone.
    if form != "gnu":
        target = f"dir:{tmp_path / 'out'}"
        command = [
            need("skopeo"),
            "--insecure-policy",
            "copy",
            "-q",
            f"oci-archive:{archive}",
            target,
        ]
        subprocess.run(command, check=True)
    runs = Runs(tmp_path)
    for source, dataset in ((f"oci:{holes}", "one.h5"), (f"oci-archive:{archive}", "two.h5")):
        runs.run(runs.analyze(source, tmp_path / dataset))
    assert_same(tmp_path / "one.h5", tmp_path / "two.h5")


@pytest.mark.parametrize("form", FORMATS)
def test_a_docker_archive_with_sparse_members(holes, form, tmp_path):
    saved, directory = tmp_path / "saved.tar", tmp_path / "saved"
    command = [
        need("skopeo"),
        "--insecure-policy",
        "copy",
        "-q",
        f"oci:{holes}",
        f"docker-archive:{saved}:a/b:1",
    ]
    subprocess.run(command, check=True)
    directory.mkdir()
    subprocess.run(["tar", "-xf", saved, "-C", directory], check=True)
    (layer,) = (
        path
        for path in directory.glob("*.tar")
        if not path.is_symlink() and path.stat().st_size == len(LAYER)
    )
    subprocess.run(["cp", "--sparse=always", layer, tmp_path / "copy"], check=True)
    (tmp_path / "copy").replace(layer)
    packed(directory, tmp_path / "sparse.tar", form)
    want, found = (
        resolve(open_source(f"docker-archive:{path}")) for path in (saved, tmp_path / "sparse.tar")
    )
    assert found == want
    source = open_source(f"docker-archive:{tmp_path / 'sparse.tar'}")
    list(source.named_manifests())
    for one in found.images[0].layers:
        with source.open(one.digest) as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == one.digest.hex


CONTENT = [(0, b"begin"), (5_000, b"middle"), (70_000, b"m" * 5_000), (99_990, b"end")]
SIZE = 100_000
EXPANDED = bytearray(SIZE)
for start, data in CONTENT:
    EXPANDED[start : start + len(data)] = data


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("many", [1, 40])
def test_maps_of_every_length(form, many, tmp_path):
    """Longer maps go on in blocks behind the header, or take more than one block of the data."""
    fragments = [(at + number * SIZE, data) for number in range(many) for at, data in CONTENT]
    size = many * SIZE
    member = (
        tars.old_gnu_sparse(b"f", size, fragments)
        if form == "gnu"
        else tars.pax_sparse(b"f", size, fragments, form)
    )
    (tmp_path / "a.tar").write_bytes(
        tars.file(b"before") + member + tars.file(b"after", b"after") + tars.END
    )
    archive = Archive(tmp_path / "a.tar")
    for path, want in (("f", bytes(EXPANDED) * many), ("after", b"after"), ("before", b"")):
        with open_extent(archive.find(path)) as stream:
            assert stream.read() == want
    assert archive.find("f") == archive.find("f")


BROKEN = {
    "fragments that overlap": tars.old_gnu_sparse(b"f", 100, [(50, b"x" * 9), (5, b"y")]),
    "beyond the end": tars.pax_sparse(b"f", 10, [(9, b"xx")], "0.1"),
    "of text": tars.pax_sparse(b"f", 9, [], "1.0").replace(b"1\n9\n0\n", b"x\ny\nz\n"),
    "a map that does not end": tars.pax_sparse(b"f", 9, [], "1.0").replace(
        b"1\n9\n0\n", b"9\n9\n0\n"
    ),
    "of star": tars.old_gnu_sparse(b"f", 9, []).replace(b"ustar  \0", b"ustar\x0000", 1),
    "without end": tars.header(
        flag=b"S", dialect="gnu", tail=bytes(137) + b"\1" + tars.number(9, 12)
    )
    + (bytes(504) + b"\1" + bytes(7)) * 3000,
    "of 8 EiB": tars.pax_sparse(b"manifest.json", 2**62, [(2**61, b"x")], "1.0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_map_is_said(name, tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(BROKEN[name] + tars.END)
    with pytest.raises(RemetricsError) as error:
        resolve(open_source(f"docker-archive:{path}"))
    assert "\n" not in str(error.value)
