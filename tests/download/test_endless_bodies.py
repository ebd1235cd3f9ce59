"""Claims that nobody can keep, and bodies that never end: each costs the image that it is part of,
and no room."""

import csv
import hashlib
import json

import pytest
from support.raw_server import RawServer, answer, endless

from hpc_remetrics.download.tasks import BlobTask, Failed, ImageTask, StoredBlob, Tasks
from hpc_remetrics.errors import RegistryError
from hpc_remetrics.layout.image_layout import Layout
from hpc_remetrics.records import Digest
from hpc_remetrics.registry import blobs
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.endpoint import Registry
from hpc_remetrics.registry.reference import Reference
from hpc_remetrics.registry.registries import Registries

OCI = "application/vnd.oci.image"
MANIFEST = f"{OCI}.manifest.v1+json"
QUICK = Patience(connect=2, idle=5, deadline=30, blob_deadline=30, tries=2)
SMALL = 4 << 20
SENT = 80 << 20
"""More than any of these answers may cost, buffers of sockets and second tries included."""

DIGEST = f"sha256:{'5' * 64}"
TERABYTE = 1 << 40


def manifest_of(config: dict, *layers: dict) -> bytes:
    parts = {"config": {"mediaType": f"{OCI}.config.v1+json", "digest": DIGEST, **config}}
    parts["layers"] = [{"mediaType": f"{OCI}.layer.v1.tar", **layer} for layer in layers]
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **parts}).encode()


@pytest.fixture
def server():
    """A registry that has one manifest, and blobs without end, of a length that is said or is
    not."""
    with RawServer() as server:
        server.manifest, server.claimed = b"", ""

        def give(head: str):
            if "/manifests/" in head.splitlines()[0]:
                return answer(200, ("Content-Type", MANIFEST), body=server.manifest)
            length = [("Content-Length", server.claimed)] if server.claimed else []
            if head.startswith("HEAD"):
                return answer(200, *length, length=False)
            return endless(200, *length)

        server.answer = give
        yield server


def tasks_in(directory) -> tuple[Tasks, Layout]:
    layout = Layout(directory)
    layout.prepare()
    return Tasks(Registries(Access(patience=QUICK)), layout, ()), layout


def causes(tasks: Tasks, image: Reference) -> set[str]:
    """Resolve an image and bring what it lacks; return why that fails."""
    found = tasks(ImageTask(image))
    if isinstance(found, Failed):
        return {found.cause}
    results = [tasks(BlobTask(digest, found.blobs[digest], image)) for digest in found.lacking]
    return {result.cause for result in results if isinstance(result, Failed)}


OTHER = f"sha256:{'6' * 64}"
HOSTILE = {
    "config of a terabyte": (manifest_of({"size": TERABYTE}), "limit_size"),
    "config a byte too long": (manifest_of({"size": SMALL + 1}), "limit_size"),
    "config without a size": (manifest_of({}), "limit_size"),
    "config that is longer than it says": (manifest_of({"size": 100}), "size_mismatch"),
    "layer of a terabyte": (
        manifest_of({"size": 1}, {"digest": OTHER, "size": TERABYTE}),
        "limit_size",
    ),
    "layer without room": (manifest_of({"size": 1}, {"digest": OTHER, "size": 1 << 38}), "no_room"),
    "layer that is longer than it says": (
        manifest_of({"size": 1}, {"digest": OTHER, "size": 100}),
        "size_mismatch",
    ),
    "config that is a layer too": (
        manifest_of({"size": TERABYTE}, {"digest": DIGEST, "size": 100}),
        "limit_size",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("claimed", ["", str(TERABYTE)])
@pytest.mark.parametrize(("manifest", "cause"), HOSTILE.values(), ids=HOSTILE)
def test_a_claim_or_a_body_without_end_costs_its_image_alone(
    server, tmp_path, monkeypatch, manifest, cause, claimed
):
    monkeypatch.setattr(blobs, "free_bytes", lambda place: 1 << 33)
    server.manifest, server.claimed = manifest, claimed
    tasks, layout = tasks_in(tmp_path / "mirror")
    for _ in range(2):
        assert cause in causes(tasks, Reference.parse(f"{server.host}/a:1"))
        assert (
            sum(path.stat().st_size for path in layout.state.rglob("*") if path.is_file()) < 1 << 20
        )
    assert server.sent < SENT


def test_a_long_layer_without_room_is_not_asked_for_and_its_beginning_is_dropped(
    server, tmp_path, monkeypatch
):
    tasks, layout = tasks_in(tmp_path / "mirror")
    digest = Digest.parse(DIGEST)
    layout.partial(digest).write_bytes(b"x" * 100)
    monkeypatch.setattr(blobs, "free_bytes", lambda place: 10 << 30)
    failed = tasks(BlobTask(digest, 11 << 30, Reference.parse(f"{server.host}/a:1")))
    assert (failed.cause, server.heads) == ("no_room", [])
    assert not layout.partial(digest).exists()


@pytest.mark.parametrize("claimed", ["", str(TERABYTE)])
def test_a_layer_whose_size_nobody_says_is_bounded(server, tmp_path, monkeypatch, claimed):
    """As layers of Docker's schema 1 have none."""
    server.claimed = claimed
    monkeypatch.setattr(blobs, "LAYER_BYTES", 20 << 20)
    tasks, layout = tasks_in(tmp_path / "mirror")
    failed = tasks(BlobTask(Digest.parse(DIGEST), -1, Reference.parse(f"{server.host}/a:1")))
    assert failed.cause == "limit_size"
    assert server.sent < SENT
    assert list((layout.state / "partial").iterdir()) == []
    monkeypatch.setattr(blobs, "LAYER_BYTES", TERABYTE)
    monkeypatch.setattr(blobs, "free_bytes", lambda place: 20 << 20)
    if not claimed:
        failed = tasks(BlobTask(Digest.parse(DIGEST), -1, Reference.parse(f"{server.host}/a:1")))
        assert failed.cause == "limit_size"


BODIES = {
    "manifest": lambda registry: registry.manifest("a", "1"),
    "config": lambda registry: registry.read_blob("a", Digest.parse(DIGEST), SMALL),
    "catalog": lambda registry: list(registry.catalog()),
    "tags": lambda registry: list(registry.tags("a")),
}
WHERE = {
    "answer": lambda host: endless(200),
    "answer of a length that is said": lambda host: endless(200, ("Content-Length", str(TERABYTE))),
    "JSON": lambda host: endless(200, start=b'{"tags":[', piece=b'"a",' * 9_000),
    "error": lambda host: endless(500),
    "error of a length that is said": lambda host: endless(
        404, ("Content-Length", "60000"), piece=b"x"
    ),
    "challenge": lambda host: endless(
        401, ("WWW-Authenticate", f'Bearer realm="http://{host}/token"')
    ),
    "redirect": lambda host: endless(307, ("Location", "/token")),
    "chunks": lambda host: endless(
        200, ("Transfer-Encoding", "chunked"), piece=b"10000\r\n" + b" " * 65_536 + b"\r\n"
    ),
    "trailers": lambda host: endless(
        200, ("Transfer-Encoding", "chunked"), start=b"0\r\n", piece=b"a: b\r\n" * 99
    ),
    "headers": lambda host: (
        piece for piece in [b"HTTP/1.1 200 x\r\n", *[b"a: b\r\n" * 999] * 9999]
    ),
    "interim answers": lambda host: (b"HTTP/1.1 103 x\r\n\r\n" for _ in range(1 << 22)),
}


def cause_of(ask, registry: Registry) -> str:
    """Return why something can't be had, "" if there is none of it."""
    try:
        assert ask(registry) == []
    except RegistryError as error:
        return error.cause
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("give", WHERE.values(), ids=WHERE)
@pytest.mark.parametrize("ask", BODIES.values(), ids=BODIES)
def test_every_body_is_bounded(ask, give):
    with RawServer() as server:
        server.answer = lambda head: give(server.host)
        registry = Registry(server.host, Access(patience=QUICK))
        assert cause_of(ask, registry) != "limit_time"
        assert server.sent < SENT


def test_a_beginning_that_is_wrong_is_mended_at_once(tmp_path):
    """Of a blob's partial file: wrong bytes, too many, as many as there should be."""
    data = b"the right bytes" * 1000
    digest = Digest(hashlib.sha256(data).digest())
    with RawServer(lambda head: answer(200, body=data)) as server:
        for size in (len(data), -1):
            for wrong in (
                b"x",
                b"x" * len(data),
                b"x" * 10 * len(data),
                data[:-1] + b"x",
                data + b"x",
            ):
                tasks, layout = tasks_in(tmp_path / f"{size}-{len(wrong)}-{wrong[:1].decode()}")
                layout.partial(digest).write_bytes(wrong)
                found = tasks(BlobTask(digest, size, Reference.parse(f"{server.host}/a:1")))
                assert isinstance(found, StoredBlob) and found.size == len(data)
                assert layout.blob(digest).read_bytes() == data


@pytest.mark.slow
def test_one_hostile_image_in_a_list_of_three(registry, mirror, server, tmp_path):
    server.manifest = manifest_of({"size": TERABYTE})
    hostile = f"{server.host}/evil:1"
    names = [f"{registry.host}/forms/one:1", f"{registry.host}/forms/two:1"]
    (tmp_path / "names.lst").write_text("\n".join([names[0], hostile, names[1]]))
    for _ in range(2):
        said = mirror(tmp_path / "names.lst", code=3).stderr
        assert said.count(hostile) == 1 and "Traceback" not in said
        assert mirror.names() == set(names)
        with open(mirror.directory / ".remetrics" / "failures.csv", newline="") as file:
            assert {row["image"]: row["cause"] for row in csv.DictReader(file)} == {
                hostile: "limit_size"
            }
    assert server.sent < 1 << 20
