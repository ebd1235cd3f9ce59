"""Every entry of real layers equals what bsdtar says, and every type what `file` says: one
difference fails."""

import hashlib
import os
import subprocess

import numpy as np
import pytest
from machine_layers import LAYERS, unpacked
from support.mtree import mtree, plain, time_of
from support.same import hex_digests

from hpc_remetrics.filetype.heads import head_of

pytestmark = pytest.mark.xdist_group("images")
KINDS = {"dir": "directory", "link": "symlink", "char": "character_device", "block": "block_device"}


def rows(dataset, layer):
    """Yield the entries of a layer as dicts of readable values."""
    part = dataset.entries_of(layer)
    names = ("content", "kind", "mode", "uid", "gid", "mtime", "mtime_ns")
    columns = {
        name: dataset.entries.readable(name, part.start, part.stop).tolist() for name in names
    }
    digests, sizes = dataset.contents["digest"], dataset.contents["size"]
    paths, links = dataset.paths(part.start, part.stop), dataset.links(part.start, part.stop)
    for number, (path, link) in enumerate(zip(paths, links, strict=True)):
        row = {name: values[number] for name, values in columns.items()} | {
            "path": path,
            "link": link,
        }
        content = row["content"]
        row["sha256"] = digests[content].tobytes().hex() if content >= 0 else None
        row["size"] = int(sizes[content]) if content >= 0 else None
        yield row


def extracted(blob, path):
    """What bsdtar extracts for a path; its mtree has no digest of a file that hard links point
    to."""
    data = subprocess.run(
        ["bsdtar", "-xOf", blob, "--", path], check=True, capture_output=True
    ).stdout
    return {
        "size": str(len(data)).encode(),
        "sha256digest": hashlib.sha256(data).hexdigest().encode(),
    }


@pytest.mark.slow
def test_every_entry_is_as_bsdtar_says(real):
    compared, hard = 0, 0
    for layer, digest in enumerate(hex_digests(real.dataset.layers)):
        theirs = mtree(real.blobs[digest])
        ours = {
            row["path"].removeprefix(b"./").rstrip(b"/"): row for row in rows(real.dataset, layer)
        }
        linked = {
            row["link"].removeprefix(b"./") for row in ours.values() if row["kind"] == "hardlink"
        }
        assert set(ours) == set(theirs)
        for path, row in ours.items():
            their = theirs[path]
            kind = their["type"].decode()
            if row["kind"] == "hardlink":  # bsdtar loses them
                hard += 1
                continue
            compared += 1
            whiteout = row["kind"] in ("whiteout", "opaque")
            assert KINDS.get(kind, kind) == ("file" if whiteout else row["kind"])
            assert int(their["mode"], 8) == row["mode"]
            assert (int(their["uid"]), int(their["gid"])) == (row["uid"], row["gid"])
            assert time_of(their) == (row["mtime"], row["mtime_ns"])
            assert plain(their.get("link", b"")) == row["link"].removeprefix(b"./")
            if "sha256digest" not in their and path in linked:
                their |= extracted(real.blobs[digest], row["path"])
            if row["kind"] == "file":
                assert (int(their["size"]), their["sha256digest"].decode()) == (
                    row["size"],
                    row["sha256"],
                )
            else:
                assert row["size"] is None
    assert compared > 8_000
    assert hard > 0


@pytest.mark.slow
def test_hard_links_carry_the_content_of_their_file(real):
    seen = 0
    for layer in range(len(real.dataset.layers)):
        contents = {}
        for row in rows(real.dataset, layer):
            if row["kind"] == "hardlink":
                assert row["content"] == contents[row["link"]]
                seen += 1
            contents[row["path"]] = row["content"]
    assert seen > 0


@pytest.mark.slow
def test_digests_of_layers_are_those_of_their_bytes(real):
    layers = real.dataset.layers
    for digest, diff_id, size, compression in zip(
        hex_digests(layers),
        hex_digests(layers, "diff_id"),
        layers["CLS"],
        layers.readable("compression"),
        strict=True,
    ):
        data = real.blobs[digest].read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, size)
        unpack = {"gzip": ["gzip", "-dc"], "zstd": ["zstd", "-dqc"], "none": ["cat"]}[compression]
        tar = subprocess.run(unpack, input=data, capture_output=True, check=True).stdout
        assert hashlib.sha256(tar).hexdigest() == diff_id


@pytest.mark.slow
def test_every_type_is_as_file_says(real, tmp_path):
    """`file --brief` on what bsdtar extracts; a file that it knows by its end is asked for again
    through a pipe."""
    dataset = real.dataset
    descriptions = dataset.types.readable("description")
    numbers = {
        bytes(digest): number
        for number, digest in enumerate(map(np.void.tobytes, dataset.contents["digest"]))
    }
    types = dataset.contents["type"]
    compared, by_the_end = 0, 0
    for digest in hex_digests(dataset.layers):
        directory = unpacked(real.blobs[digest], tmp_path / digest)
        found = []
        for place, _, names in os.walk(os.fsencode(directory)):
            paths = (os.path.join(place, name) for name in names)
            found += [path for path in paths if os.path.isfile(path) and not os.path.islink(path)]
        (tmp_path / "list").write_bytes(b"".join(path + b"\n" for path in found))
        told = subprocess.run(
            ["file", "--brief", "-f", tmp_path / "list"], capture_output=True, check=True
        ).stdout
        for path, text in zip(
            found, told.decode("utf-8", "backslashreplace").split("\n")[:-1], strict=True
        ):
            with open(path, "rb") as file:
                data = file.read()
            ours = descriptions[types[numbers[hashlib.sha256(data).digest()]]]
            if head_of(text) != ours:
                piped = subprocess.run(
                    ["file", "--brief", "-"], input=data, capture_output=True, check=True
                ).stdout
                assert head_of(piped.decode("utf-8", "backslashreplace").rstrip("\n")) == ours, (
                    path,
                    text,
                )
                by_the_end += 1
            compared += 1
    assert compared > 5_000
    assert by_the_end < compared / 500


def test_all_dialects_are_there(real):
    layers = real.dataset.layers
    assert len(layers) > len(LAYERS)
    assert set(layers.readable("status")) == {"ok"}
    assert {"gzip", "zstd", "none"} <= set(layers.readable("compression"))
    kinds = set(real.dataset.entries.readable("kind"))
    assert {"file", "directory", "symlink", "hardlink", "whiteout", "opaque"} <= kinds
