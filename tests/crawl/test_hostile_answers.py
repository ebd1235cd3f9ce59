"""Answers that are wrong or mean harm: what is no row is refused and counted, what is no page is an error."""

import json

import pytest

from hpc_remetrics.crawl.pages import Ask, Page, is_name, parse_page, path_of
from hpc_remetrics.crawl.walks import CAP, Pages, Search
from hpc_remetrics.sources.documents import Malformed

SEARCH, CATALOG, TAGS = Ask("search", "ab"), Ask("catalog", ""), Ask("tags", "a/b")

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
    b'{"results": [{"repo_name": 5}], "count": 1}',
    b'{"results": [{"repo_name": "a/b", "pull_count": -5}], "count": 1}',
    b'{"results": [{"repo_name": "a/b", "star_count": true}], "count": 1}',
    b'{"results": [], "next": 7}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_page_is_an_error(body):
    with pytest.raises(Malformed):
        parse_page(SEARCH, body)


NAMES = ["a/b", "../x", "a/b\n5,5,evil", "A/b", "a//b", "", "a/" + "b" * 300, "a/b\x00", "=cmd()", "\u0430/b", "nginx"]


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


def test_a_link_is_followed_to_its_name_and_never_to_its_host():
    body = json.dumps({"repositories": ["a"]}).encode()
    page = parse_page(CATALOG, body, '<http://169.254.169.254/v2/_catalog?n=5&last=a>; rel="next"')
    assert page.more == "a"
    assert path_of(Ask("catalog", "", page.more)) == "/v2/_catalog?n=1000&last=a"
    for link in ('</v2/_catalog?n=5>; rel="next"', "<?last=>; rel=next"):
        with pytest.raises(Malformed):
            parse_page(CATALOG, body, link)
    with pytest.raises(Malformed):
        parse_page(Ask("catalog", "", "a"), body, '</v2/_catalog?last=a>; rel="next"')
    assert parse_page(CATALOG, body, '</v2/_catalog?last=a>; rel="prev"').more is None


def test_a_listing_in_a_circle_ends():
    walk, asked = Pages([CATALOG], 1), 0
    while (ask := walk.next()) is not None:
        asked += 1
        walk.take(ask, Page([], more="b" if ask.page == "a" else "a"))
    assert asked == 3


def test_a_query_that_longer_ones_do_not_divide_is_read_as_far_as_it_goes():
    """A search that ignores what is added would be asked without end."""
    walk, asked = Search(), []
    while (ask := walk.next()) is not None:
        asked.append(ask)
        if ask.kind == "search":
            walk.take(ask, Page([], CAP if ask.name.startswith("zz") else 0, narrow=ask.name == "zz"))
    assert len(walk.cut) == len(set(walk.cut)) > 30
    assert all(len(query) == 3 for query in walk.cut)
    assert sum(ask.name == "zza" for ask in asked) == 100
