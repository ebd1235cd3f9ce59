"""The client of one registry, against servers in this process: redirects, statuses, deadlines."""

import pytest
from support.raw_server import RawServer, answer
from support.tiny_registry import TinyRegistry

from hpc_remetrics.errors import RegistryError
from hpc_remetrics.records import Digest
from hpc_remetrics.registry import client
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.auth import _TOKEN_SECONDS, _lifetime
from hpc_remetrics.registry.client import REDIRECTS, _joined, origin
from hpc_remetrics.registry.endpoint import Registry


def registry_at(server, **patience) -> Registry:
    soon = {"connect": 2, "idle": 1, "deadline": 5, "tries": 1, **patience}
    return Registry(server.host, Access(patience=Patience(**soon)))


@pytest.fixture
def server():
    with RawServer() as server:
        yield server


def redirecting(count: int):
    """Return what answers `count` requests with a redirect to the next place."""

    def give(head: str) -> bytes:
        number = int(head.split(" ")[1].rpartition("/")[2])
        if number == count:
            return answer(200, body=b"there")
        return answer(307, ("Location", f"/v2/{number + 1}"), body=b"moved")

    return give


def test_ten_redirects_are_followed_and_no_more(server):
    server.answer = redirecting(REDIRECTS)
    assert registry_at(server).client.get("/v2/0").data == b"there"
    assert len(server.heads) == REDIRECTS + 1
    server.answer = redirecting(REDIRECTS + 1)
    with pytest.raises(RegistryError, match="redirects more than 10 times"):
        registry_at(server).client.get("/v2/0")


@pytest.mark.parametrize("status", [300, 304, 404, 500])
def test_any_other_status_is_an_error_that_names_it(server, status):
    server.answer = lambda head: answer(status)
    with pytest.raises(RegistryError) as caught:
        registry_at(server).client.get("/v2/")
    assert caught.value.status == status and str(status) in str(caught.value)


def test_a_passing_failure_is_tried_as_often_as_patience_says(server, monkeypatch):
    waits = []
    monkeypatch.setattr(client, "pause_before", lambda number: waits.append(number) or 0.0)
    server.answer = lambda head: answer(503)
    with pytest.raises(RegistryError, match="returned status 503; tried 3 times"):
        registry_at(server, tries=3).client.get("/v2/")
    assert len(server.heads) == 3
    assert waits == [1, 2]


@pytest.mark.parametrize("status", [200, 202, 299])
def test_every_2xx_is_a_success(server, status):
    server.answer = lambda head: answer(status, body=b"x")
    response = registry_at(server).client.get("/v2/")
    assert (response.status, response.data) == (status, b"x")


def test_interim_responses_and_their_headers_are_passed_over(server):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nA: b\r\n\r\n"
    server.answer = lambda head: early * 32 + answer(200, ("A", "c"), body=b"x")
    response = registry_at(server).client.get("/v2/")
    assert (response.data, response.headers.get("a")) == (b"x", "c")
    server.answer = lambda head: early * 33 + answer(200, body=b"x")
    with pytest.raises(RegistryError, match="HTTPException"):
        registry_at(server).client.get("/v2/")


def test_all_tries_of_an_action_have_one_deadline(server):
    with_five = registry_at(server, deadline=5).client
    assert with_five.trying(with_five.timer.left) <= 5
    assert 5 < with_five.trying(with_five.timer.left, 1e9) <= 1e9


def test_a_deadline_below_a_second_is_one(server):
    server.answer = lambda head: answer(200, body=b"x")
    assert registry_at(server, deadline=0.9).client.get("/v2/").data == b"x"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/b?c", "http://a:1/b?c"),
        ("https://x/y", "https://x/y"),
        ("http://x:1/", "http://x:1/"),
        ("http://x:0/", ""),
        ("http://x:99999/", ""),
        ("http://user@x/", ""),
        ("http://:5/", ""),
        ("ftp://x/", ""),
        ("http://[::1/", ""),
    ],
)
def test_where_a_url_leads(url, target):
    assert _joined("http://a:1/", url) == target


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://a/x", "https://a:443/y", True),
        ("http://a/x", "http://a:80/y", True),
        ("https://a/x", "https://A/x", True),
        ("http://a:443/x", "https://a/x", False),
        ("https://a:80/x", "http://a/x", False),
        ("https://a/x", "https://b/x", False),
        ("https://a:444/x", "https://a/x", False),
        ("https://a:99999/x", "https://a/x", False),
    ],
)
def test_credentials_belong_to_scheme_host_and_port(one, other, is_same):
    assert (origin(one) == origin(other)) is is_same


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [(60, 60.0), (0.5, 0.5), (999_999_999, 999_999_999.0)]
    + [(wrong, _TOKEN_SECONDS) for wrong in (None, True, "60", 0, -5, 1e9, [])],
)
def test_how_long_a_token_is_valid(stated, seconds):
    assert _lifetime({"expires_in": stated}) == seconds


DOCKER_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def test_the_digest_of_a_manifest_is_checked(server):
    body = b'{"schemaVersion": 2}'
    wrong = ("Docker-Content-Digest", f"sha256:{'0' * 64}")
    # Without a stated digest it is that of the bytes.
    server.answer = lambda head: answer(200, body=body)
    manifest = registry_at(server).manifest("a", "1")
    assert manifest.data == body and manifest.size == len(body)
    assert str(manifest.digest).startswith("sha256:") and manifest.digest.hex != "0" * 64
    server.answer = lambda head: answer(200, wrong, body=body)
    with pytest.raises(RegistryError, match="has other bytes"):
        registry_at(server).manifest("a", "1")
    # That of schema 1 covers only a part of it.
    server.answer = lambda head: answer(200, wrong, ("Content-Type", DOCKER_1), body=body)
    manifest = registry_at(server).manifest("a", "1")
    assert (manifest.data, str(manifest.digest)) == (body, f"sha256:{'0' * 64}")


@pytest.mark.parametrize("size", [5, -1])
def test_a_blob_of_any_stated_size_ends_where_it_ends(tmp_path, size):
    with TinyRegistry() as tiny:
        digest = tiny.blob("a", b"five.")["digest"]
        fetched = registry_at(tiny).fetch_blob("a", Digest.parse(digest), size, tmp_path / "blob")
        assert fetched == 5 and (tmp_path / "blob").read_bytes() == b"five."
        assert len(tiny.asked()) == 1
