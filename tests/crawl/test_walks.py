"""Walks: which pages are requested, in which order, and where a listing is left."""

import pytest

from hpc_remetrics.crawl.pages import PAGE_SIZE, ListingPage, PageRequest, path_of
from hpc_remetrics.crawl.walks import CAP, First, Novelty, Pages, Search

CATALOG = PageRequest("catalog", "")
EMPTY = ListingPage([])
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def all_of(walk):
    return list(iter(walk.next, None))


def test_a_search_begins_with_all_pairs_of_letters():
    walk = Search()
    assert walk.waiting == 36 * 40 and not walk.surveyed
    first = all_of(walk)
    assert [one.name for one in first] == [a + b for a in LETTERS for b in LETTERS + "-_./"]
    assert {(one.kind, one.page) for one in first} == {("search", 1)}
    assert walk.next() is None and walk.waiting == 0


def search_at(name: str, first_page: ListingPage) -> Search:
    """Return a search that has all first pages but for one that is about to come."""
    walk = Search()
    for request in all_of(walk):
        walk.take(request, first_page if request.name == name else EMPTY)
    return walk


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (100, 1), (101, 2), (CAP - 1, 100)])
def test_a_query_below_the_cap_is_read_to_its_end(count, pages):
    walk = search_at("ab", ListingPage([], count))
    assert walk.surveyed and walk.waiting == pages - 1
    assert all_of(walk) == [PageRequest("search", "ab", page) for page in range(2, pages + 1)]
    # A later page adds nothing.
    walk.take(PageRequest("search", "ab", 2), ListingPage([], count, more=3))
    assert walk.waiting == 0


def test_a_query_at_the_cap_is_divided_and_its_own_name_looked_up():
    walk = search_at("ab", ListingPage([], CAP, narrow=True))
    assert not walk.surveyed and walk.cut == [] and walk.waiting == 41
    longer = all_of(walk)
    assert [one.name for one in longer[:40]] == [f"ab{letter}" for letter in LETTERS + "-_./"]
    assert longer[40] == PageRequest("repository", "library/ab")
    # Pages of queries come after all first pages.
    walk.take(longer[0], ListingPage([], 200))
    assert walk.next() is None
    for request in longer[1:]:
        walk.take(request, EMPTY)
    assert walk.surveyed and all_of(walk) == [PageRequest("search", "aba", 2)]


def test_queries_that_no_name_can_begin_with_are_left_out():
    walk = search_at("a/", ListingPage([], CAP, narrow=True))
    assert [one.name for one in all_of(walk)] == [f"a/{letter}" for letter in LETTERS]
    walk = search_at("a-", ListingPage([], CAP, narrow=True))
    # "a-" can't be the whole name of a repository, and "a-/", "a-." can't begin one with a slash.
    assert [one.name[2:] for one in all_of(walk)] == [*LETTERS, "-", "_", "."]


def test_a_query_at_the_cap_that_can_not_be_divided_is_cut():
    walk = search_at("ab", ListingPage([], CAP + 5, narrow=False))
    assert walk.cut == ["ab"] and walk.waiting == CAP // PAGE_SIZE - 1
    assert all_of(walk)[-1].page == 100


def test_requests_of_a_search_that_come_back():
    walk = search_at("ab", ListingPage([], 300))
    second, third = walk.next(), walk.next()
    walk.take_back(second)
    walk.postpone(third)
    assert all_of(walk) == [second, third]
    first = PageRequest("search", "zz")
    walk.postpone(first)
    walk.take_back(PageRequest("search", "yy"))
    assert [one.name for one in all_of(walk)] == ["yy", "zz"]


def test_requests_of_listings_that_come_back():
    requests = [PageRequest("tags", name) for name in "abc"]
    walk = Pages(requests, 3)
    first = walk.next()
    assert first == requests[0] and walk.waiting == 2
    walk.postpone(first)
    walk.take_back(requests[2])
    assert walk.waiting == 4
    assert [one.name for one in all_of(walk)] == ["c", "a", "b", "c"] and walk.waiting == 0


@pytest.mark.parametrize(("enough", "pages"), [(None, 4), (1, 1), (100, 1), (101, 2), (300, 3)])
def test_a_listing_is_read_until_it_has_enough(enough, pages):
    walk = Pages([PageRequest("tags", "a/b")], 1, enough)
    asked = followed(
        walk, lambda one: ListingPage([], more=one.page + 1 if one.page < 4 else None, fresh=1)
    )
    assert asked == list(range(1, pages + 1)) and walk.given_up == {}


def test_the_first_page_of_a_walk_is_taken_alone():
    walk = Pages([PageRequest("tags", name) for name in "ab"], 2)
    first = First(walk)
    assert first.surveyed and first.waiting == 1 and walk.waiting == 2
    (request,) = all_of(first)
    first.take(request, ListingPage([], more=2))
    assert all_of(first) == [] and [one.name for one in all_of(walk)] == ["a", "b"]
    assert all_of(First(Pages([], 0))) == []


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


def test_rows_of_the_oldest_open_listings_are_forgotten(monkeypatch):
    monkeypatch.setattr("hpc_remetrics.crawl.walks._OPEN", 2)
    novelty, page = Novelty(), ListingPage([["x"]], more=2)
    listings = [PageRequest("tags", name) for name in "abc"]
    assert [novelty.count(one, page) for one in listings] == [1, 1, 1]
    assert [novelty.count(one, page) for one in listings[::-1]] == [0, 0, 1]


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
