"""The requests of the distribution specification, to a server of this process."""

import hashlib
import json

import pytest
from support.raw_server import RawServer, answer

from hpc_remetrics.errors import RegistryError
from hpc_remetrics.records import Digest
from hpc_remetrics.registry import client, endpoint
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.endpoint import Registry

BLOB = b"0123456789"
DIGEST = Digest(hashlib.sha256(BLOB).digest())


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(client, "pause_before", lambda number: 0.0)
    with RawServer() as server:
        yield server


@pytest.fixture
def registry(server):
    return Registry(server.host, Access(patience=Patience(connect=5, idle=5, tries=2)))


def requests_of(server) -> list[tuple[str, str]]:
    """Return method and path of each request."""
    return [tuple(head.split(" ")[:2]) for head in server.heads]


def header_of(head: str, name: str) -> str:
    lines = [line.partition(": ") for line in head.splitlines()]
    return next((value for key, _, value in lines if key.lower() == name), "")


def listing(member: str, items: list, following: str = "") -> bytes:
    links = [("Link", f'<{following}>; rel="next"')] if following else []
    return answer(200, *links, body=json.dumps({member: items}).encode())


def test_a_head_of_a_manifest_has_its_size_and_digest(server, registry):
    stated = ("Docker-Content-Digest", str(DIGEST))
    kind = ("Content-Type", " Application/JSON; charset=utf-8")
    length = ("Content-Length", "77")
    server.answer = lambda head: answer(200, stated, kind, length, length=False)
    manifest = registry.head_manifest("a/b", "1.0+x")
    assert (manifest.data, manifest.size, manifest.digest) == (b"", 77, DIGEST)
    assert manifest.media_type == "application/json"
    assert requests_of(server) == [("HEAD", "/v2/a/b/manifests/1.0%2Bx")]
    assert "application/vnd.oci.image.index.v1+json" in header_of(server.heads[0], "accept")


def test_the_size_of_a_blob_is_what_the_registry_states(server, registry):
    lengths = [[("Content-Length", "123")], []]
    server.answer = lambda head: answer(200, *lengths[len(server.heads) - 1], length=False)
    assert [registry.blob_size("a", DIGEST) for _ in lengths] == [123, -1]
    assert requests_of(server)[0] == ("HEAD", f"/v2/a/blobs/{DIGEST}")


def test_a_manifest_that_is_asked_for_by_its_digest_is_that(server, registry):
    wrong = answer(200, ("Docker-Content-Digest", f"sha256:{'0' * 64}"), body=BLOB)
    server.answer = lambda head: wrong
    assert registry.manifest("a", str(DIGEST)).data == BLOB
    with pytest.raises(RegistryError, match=r"has other bytes: .*; tried 2 times") as caught:
        registry.manifest("a", f"sha256:{'1' * 64}")
    assert caught.value.cause == "digest_mismatch"


def test_a_manifest_has_a_limit(server, registry):
    server.answer = lambda head: answer(200, body=BLOB)
    assert registry.manifest("a", "1", limit=10).data == BLOB
    with pytest.raises(RegistryError, match="returned more than 9 bytes"):
        registry.manifest("a", "1", limit=9)


def test_a_small_blob_is_verified_and_has_a_limit(server, registry):
    server.answer = lambda head: answer(200, body=BLOB)
    assert registry.read_blob("a", DIGEST, 10) == BLOB
    with pytest.raises(RegistryError, match="returned more than 9 bytes"):
        registry.read_blob("a", DIGEST, 9)
    server.answer = lambda head: answer(200, body=b"x" * 10)
    with pytest.raises(RegistryError, match="with other bytes; tried 2 times") as caught:
        registry.read_blob("a", DIGEST, 10)
    assert caught.value.cause == "digest_mismatch"


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_stream_of_a_blob_begins_at_its_offset(server, registry, has_ranges):
    def give(head: str) -> bytes:
        if head.startswith("HEAD"):
            return answer(200, ("Content-Length", "10"), length=False)
        if has_ranges and header_of(head, "range"):
            return answer(206, body=BLOB[3:])
        return answer(200, body=BLOB)

    server.answer = give
    assert registry.open_blob("a", DIGEST).read() == BLOB
    assert requests_of(server) == [("GET", f"/v2/a/blobs/{DIGEST}")]
    assert registry.open_blob("a", DIGEST, 3).read() == BLOB[3:]
    assert header_of(server.heads[-1], "range") == "bytes=3-9"
    assert registry.open_blob("a", DIGEST, 30).readable()
    assert header_of(server.heads[-1], "range") == "bytes=30-30"


def test_a_stream_is_read_in_pieces_of_any_size(server, registry):
    data = bytes(range(256)) * 4000
    server.answer = lambda head: answer(200, body=data)
    stream = registry.open_blob("a", DIGEST)
    pieces = []
    while piece := stream.read(100_001):
        pieces.append(piece)
    assert b"".join(pieces) == data


def test_lists_follow_their_links_and_hold_texts(server, registry):
    pages = {
        "/v2/a/tags/list?n=2": listing("tags", ["1", 5, "2"], "/v2/a/tags/list?n=2&last=2"),
        "/v2/a/tags/list?n=2&last=2": listing("tags", [None, "3"]),
        "/v2/_catalog?n=1000": listing("repositories", ["a"]),
        "/v2/_catalog?n=7&last=a%2Fb": listing("repositories", ["c"]),
    }
    server.answer = lambda head: pages[head.split(" ")[1]]
    assert list(registry.tags("a", page_size=2)) == ["1", "2", "3"]
    assert list(registry.catalog()) == ["a"]
    assert list(registry.catalog(7, last="a/b")) == ["c"]


def test_a_list_that_leads_in_a_circle_ends(server, registry):
    server.answer = lambda head: listing("tags", ["1"], head.split(" ")[1])
    found = []
    with pytest.raises(RegistryError, match="leads in a circle; the rest is left out"):
        found.extend(registry.tags("a"))
    assert len(server.heads) == 1


@pytest.mark.parametrize("is_new", [True, False])
def test_a_list_without_anything_new_ends(server, registry, monkeypatch, is_new):
    """Each third page has something new, or none has."""
    monkeypatch.setattr(endpoint, "EMPTY_PAGES", 3)

    def give(head: str) -> bytes:
        number = int(head.split(" ")[1].partition("=")[2] or 0)
        item = number // 3 if is_new else 0
        following = f"/v2/list?n={number + 1}" if number < 11 else ""
        return listing("items", [item], following)

    server.answer = give
    pages = registry.pages("/v2/list", member="items")
    if is_new:
        assert len(list(pages)) == 12
        return
    with pytest.raises(RegistryError, match="has nothing new on 3 pages in a row"):
        list(pages)
    assert len(server.heads) == 4


def test_without_a_member_a_page_itself_is_the_item(server, registry, monkeypatch):
    monkeypatch.setattr(endpoint, "EMPTY_PAGES", 1)
    answers = iter([b"[1]", b"[2]"])
    server.answer = lambda head: answer(
        200, ("Link", f'</v2/{len(server.heads)}>; rel="next"'), body=next(answers)
    )
    pages = registry.pages("/v2/list")
    assert next(pages).document == {}
    # Both are no objects, so the second has nothing new
    next(pages)
    with pytest.raises(RegistryError, match="has nothing new on 1 pages"):
        next(pages)


def test_a_link_that_can_not_be_read_is_an_error_with_the_status(server, registry):
    server.answer = lambda head: answer(200, ("Link", "<ftp://x/y>; rel=next"), body=b"{}")
    with pytest.raises(RegistryError, match="names no page of a registry") as caught:
        list(registry.tags("a"))
    assert (caught.value.cause, caught.value.status) == ("io_error", 200)
