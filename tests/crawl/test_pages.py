"""Pages of listings: their URLs, their rows, what is refused, and what a failed request means."""

import json
import time

import pytest
from support.raw_server import RawServer, answer

from hpc_remetrics.crawl.pages import (
    ListingPage,
    PageFetcher,
    PageRequest,
    PageResult,
    is_name,
    limit_of,
    parse_page,
    path_of,
)
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.registries import Registries
from hpc_remetrics.sources.documents import Malformed

SEARCH = PageRequest("search", "ab")
CATALOG = PageRequest("catalog", "")
TAGS = PageRequest("tags", "a/b")
TAG_LIST = PageRequest("tag_list", "a/b")


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (SEARCH, "/v2/search/repositories/?query=ab&page=1&page_size=100"),
        (
            PageRequest("search", "a/", 3),
            "/v2/search/repositories/?query=a%2F&page=3&page_size=100",
        ),
        (PageRequest("namespace", "ns", 2), "/v2/namespaces/ns/repositories?page=2&page_size=100"),
        (PageRequest("repository", "library/x"), "/v2/namespaces/library/repositories/x"),
        (TAGS, "/v2/namespaces/a/repositories/b/tags?page=1&page_size=100"),
        (CATALOG, "/v2/_catalog?n=1000"),
        (PageRequest("catalog", "", "/v2/_catalog?n=1&last=x"), "/v2/_catalog?n=1&last=x"),
        # A journal of an older version names the row before a page.
        (PageRequest("catalog", "", "a/b"), "/v2/_catalog?n=1000&last=a%2Fb"),
        (TAG_LIST, "/v2/a/b/tags/list?n=1000"),
    ],
)
def test_the_url_of_a_page(request_, path):
    assert path_of(request_) == path


def parsed(request, **document):
    return parse_page(request, json.dumps(document).encode())


def test_rows_of_a_search():
    first = {"repo_name": "redis", "star_count": 1, "pull_count": 2, "is_official": True}
    second = {"repo_name": "me/cab", "star_count": 0}
    page = parsed(SEARCH, count=101, next="https://elsewhere/", results=[first, second])
    rows = [["library/redis", 1, 2, True], ["me/cab", 0, None, False]]
    assert page == ListingPage(rows, count=101, more=2, narrow=True)
    # The name of an official image is looked at without its namespace.
    page = parsed(PageRequest("search", "ry", 7), next="x", results=[first])
    assert (page.narrow, page.more, page.count) == (False, 8, 0)
    # An empty page is the last one, whatever it says.
    assert parsed(SEARCH, next="x", results=[]).more is None


def test_rows_of_namespaces_and_repositories():
    item = {"namespace": "library", "name": "x", "star_count": 3, "pull_count": 4}
    other = {**item, "namespace": "me"}
    page = parsed(PageRequest("namespace", "me"), count=2, results=[item, other])
    assert page == ListingPage([["library/x", 3, 4, True], ["me/x", 3, 4, False]], 2)
    request = PageRequest("repository", "library/x")
    assert parsed(request, **item) == ListingPage([["library/x", 3, 4, True]], 1)
    assert parsed(request, **{**item, "name": "X"}) == ListingPage([], 1, dropped=1)


def test_rows_of_tags():
    item = {"name": "1", "digest": "d" * 300, "full_size": 5, "last_updated": "2026" * 20}
    page = parsed(TAGS, count=1, results=[item])
    assert page == ListingPage([["1", "d" * 200, 5, "2026" * 10]], 1)
    page = parsed(TAG_LIST, tags=["1", "-x", 5])
    assert page == ListingPage([["1", "", None, ""]], 3, dropped=2)


def test_rows_of_a_catalog():
    page = parsed(CATALOG, repositories=["a/b", "A"])
    assert page == ListingPage([["a/b"]], 2, dropped=1)


def test_names_have_at_most_255_characters():
    assert is_name("a" * 255) and not is_name("a" * 256)


BROKEN = [
    b"",
    b"<html>404</html>",
    b"[]",
    b"null",
    b"[" * 100_000,
    b'{"results": 5}',
    b'{"results": [], "count": "many"}',
    b'{"results": [], "count": -1}',
    b'{"results": [], "count": 1e99}',
    b'{"results": [], "count": 9223372036854775808}',
    b'{"results": [{"repo_name": 5}], "count": 1}',
    b'{"results": [{"repo_name": "a/b", "pull_count": -5}], "count": 1}',
    b'{"results": [{"repo_name": "a/b", "star_count": true}], "count": 1}',
    b'{"results": [], "next": 7}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_page_is_an_error(body):
    with pytest.raises(Malformed):
        parse_page(SEARCH, body)


NAMES = [
    "a/b",
    "../x",
    "a/b\n5,5,evil",
    "A/b",
    "a//b",
    "",
    "a/" + "b" * 300,
    "a/b\x00",
    "=cmd()",
    "\u0430/b",
    "nginx",
]


def test_names_that_no_registry_can_have_are_refused_and_counted():
    results = [*({"repo_name": name, "is_official": 0} for name in NAMES), None, 5, {}]
    page = parse_page(SEARCH, json.dumps({"count": 14, "results": results}).encode())
    assert [row[0] for row in page.rows] == ["a/b", "library/nginx"]
    assert page.dropped == 12
    page = parse_page(CATALOG, json.dumps({"repositories": [*NAMES, None]}).encode())
    assert [row[0] for row in page.rows] == ["a/b", "nginx"]
    assert not is_name("a/b\n")


def test_tags_that_cannot_be_are_refused():
    tags = ["latest", "x" * 129, "a b", "../..", "", "-x"]
    page = parse_page(TAGS, json.dumps({"results": [{"name": tag} for tag in tags]}).encode())
    assert [row[0] for row in page.rows] == ["latest"]


def test_a_link_is_followed_as_it_is_and_never_to_its_host():
    body = json.dumps({"repositories": ["a"]}).encode()
    page = parse_page(
        CATALOG, body, ['<http://169.254.169.254/v2/_catalog?n=5&last=a>; rel="next"']
    )
    assert page.more == "/v2/_catalog?n=5&last=a"
    assert path_of(PageRequest("catalog", "", page.more)) == page.more
    for link, more in (
        ('</v2/_catalog?n=5&next_page=abc%3D>; rel="next"', "/v2/_catalog?n=5&next_page=abc%3D"),
        ("<?last=>; rel=next", "/v2/_catalog?last="),
        ('</v2/_catalog?last=a>; rel="prev"', None),
    ):
        assert parse_page(CATALOG, body, [link]).more == more
    for link in ("<mailto:a>; rel=next", "<http://[::1>; rel=next", "<"):
        with pytest.raises(Malformed):
            parse_page(CATALOG, body, [link])


@pytest.mark.parametrize(
    ("limit", "left", "reset", "meant"),
    [
        ("180", "12", "1764038400", (180, 12, 1764038400.0)),
        ("180", "0", "999999999999", (180, 0, 999999999999.0)),
        ("180", "12", "", None),
        ("180", "-1", "5", None),
        ("1" * 13, "12", "5", None),
    ],
)
def test_the_rate_limit_in_headers(limit, left, reset, meant):
    names = ("limit", "remaining", "reset")
    headers = {
        f"x-ratelimit-{name}": text for name, text in zip(names, (limit, left, reset), strict=True)
    }
    assert limit_of(headers) == meant


@pytest.fixture
def server():
    with RawServer() as server:
        yield server


def fetched(server, request, *, workers=1, stopped=False):
    """Request a page; return the result and the pauses that this led to."""
    registries = Registries(Access(patience=Patience(connect=20, idle=20, deadline=60, tries=1)))
    if stopped:
        registries.stopped.set()
    result = PageFetcher(registries, server.host, workers)(request)
    return result, registries.budget.new_pauses()


BODY = json.dumps({"repositories": ["a/b"]}).encode()


def limited(left, seconds):
    reset = int(time.time() + seconds)
    return answer(
        200,
        ("X-RateLimit-Limit", "180"),
        ("X-RateLimit-Remaining", str(left)),
        ("X-RateLimit-Reset", str(reset)),
        ("Link", "</v2/_catalog?p=2>; rel=next"),
        body=BODY,
    )


def test_a_page_comes_with_its_limit_and_the_next_one(server):
    server.answer = lambda head: limited(4, 60)
    result, pauses = fetched(server, CATALOG, workers=4)
    assert result.page == ListingPage([["a/b"]], 1, more="/v2/_catalog?p=2")
    assert result.limit[:2] == (180, 4) and pauses == []
    assert server.heads[0].startswith("GET /v2/_catalog?n=1000 HTTP")


def test_requests_pause_before_the_limit_is_reached(server):
    server.answer = lambda head: limited(3, 60)
    _, (pause,) = fetched(server, CATALOG, workers=4)
    assert pause.host == server.host and 50 < pause.seconds <= 60
    # A limit that is over by now costs nothing.
    server.answer = lambda head: limited(0, -60)
    assert fetched(server, CATALOG, workers=4)[1] == []


@pytest.mark.parametrize(
    ("request_", "status", "passing"),
    [
        (PageRequest("namespace", "gone"), 404, False),
        (PageRequest("namespace", "gone"), 410, False),
        (SEARCH, 400, False),
        (SEARCH, 403, True),
        (SEARCH, 503, True),
        # A catalog that is not there may be there tomorrow.
        (CATALOG, 404, True),
    ],
)
def test_which_failures_a_later_run_may_not_meet(server, request_, status, passing):
    server.answer = lambda head: answer(status, body=b"{}")
    result, _ = fetched(server, request_)
    assert (result.page, result.passing) == (None, passing)
    assert result.reason.startswith(f"{request_.kind} {request_.name}: ")
    assert str(status) in result.reason


@pytest.mark.parametrize(
    "request_", [PageRequest("repository", "a/b"), PageRequest("tags", "a", 2)]
)
def test_what_is_not_there_is_an_empty_page_beyond_the_first(server, request_):
    server.answer = lambda head: answer(404, body=b"{}")
    assert fetched(server, request_)[0] == PageResult(ListingPage([]))


def test_a_body_that_is_no_page_may_be_one_later(server):
    server.answer = lambda head: answer(200, body=b"<html>")
    result, _ = fetched(server, CATALOG)
    assert result.passing and "catalog : a response that can't be read: " in result.reason


def test_a_stopped_job_has_no_result(server):
    server.answer = lambda head: answer(503)
    assert fetched(server, CATALOG, stopped=True)[0] is None
