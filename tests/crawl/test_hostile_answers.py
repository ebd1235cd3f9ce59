"""Answers that are wrong or mean harm: what is no row is refused and counted, what is no page is an
error."""

import json

import pytest

from hpc_remetrics.crawl.pages import ListingPage, PageRequest, is_name, parse_page, path_of
from hpc_remetrics.crawl.walks import CAP, Novelty, Pages, Search
from hpc_remetrics.sources.documents import Malformed

SEARCH, CATALOG, TAGS = (
    PageRequest("search", "ab"),
    PageRequest("catalog", ""),
    PageRequest("tags", "a/b"),
)

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


def test_a_journal_of_an_older_version_names_the_row_before_a_page():
    assert path_of(PageRequest("catalog", "", "a/b")) == "/v2/_catalog?n=1000&last=a%2Fb"


def followed(walk, page_after):
    """Return the pages that a walk asks for, given what each answers."""
    asked = []
    while (ask := walk.next()) is not None:
        asked.append(ask.page)
        walk.take(ask, page_after(ask))
    return asked


def test_a_listing_in_a_circle_ends_and_says_so():
    walk = Pages([CATALOG], 1)
    asked = followed(
        walk, lambda ask: ListingPage([], more="b" if ask.page == "a" else "a", fresh=1)
    )
    assert len(asked) == 3
    assert list(walk.given_up.values()) == ["its pages lead in a circle"]
    walk = Pages([CATALOG], 1)
    assert len(followed(walk, lambda ask: ListingPage([], more=path_of(ask), fresh=1))) == 1
    assert list(walk.given_up.values()) == ["its pages lead in a circle"]


def test_a_listing_without_anything_new_is_left_and_the_others_are_read():
    """Pages that are empty or repeat, with a cursor that never does, beside one that goes on
    slowly."""

    def page_after(ask):
        number = 1 if ask.page == 1 else int(ask.page.rpartition("=")[2])
        if ask.name == "a/slow":
            # Ninety-nine pages without anything, then one with something, and so on.
            return ListingPage(
                [], more=f"/x?p={number + 1}" if number < 250 else None, fresh=number % 100 == 0
            )
        return ListingPage([], more=f"/x?p={number + 1}")

    walk = Pages([PageRequest("tag_list", "a/endless"), PageRequest("tag_list", "a/slow")], 2)
    assert len(followed(walk, page_after)) == 100 + 250
    assert walk.given_up == {"tag_list a/endless /x?p=101": "100 pages in a row have nothing new"}
    walk = Pages([PageRequest("tags", "a/b")], 1, empty_pages=7)
    assert followed(walk, lambda ask: ListingPage([], more=ask.page + 1)) == list(range(1, 8))


def test_rows_that_a_listing_has_shown_are_not_new():
    novelty, rows = Novelty(), [["a"], ["b"]]
    first, second = PageRequest("catalog", "", 1), PageRequest("catalog", "", "/2")
    assert novelty.count(first, ListingPage(rows, more="/2")) == 2
    assert novelty.count(second, ListingPage(rows[::-1], more="/3")) == 0
    assert novelty.count(PageRequest("tag_list", "a"), ListingPage(rows, more="/2")) == 2
    assert novelty.count(second, ListingPage([["a"], ["c"]])) == 1
    assert novelty.count(first, ListingPage(rows)) == 2


def test_a_query_that_longer_ones_do_not_divide_is_read_as_far_as_it_goes():
    """A search that ignores what is added would be asked without end."""
    walk, asked = Search(), []
    while (ask := walk.next()) is not None:
        asked.append(ask)
        if ask.kind == "search":
            walk.take(
                ask,
                ListingPage([], CAP if ask.name.startswith("zz") else 0, narrow=ask.name == "zz"),
            )
    assert len(walk.cut) == len(set(walk.cut)) > 30
    assert all(len(query) == 3 for query in walk.cut)
    assert sum(ask.name == "zza" for ask in asked) == 100
