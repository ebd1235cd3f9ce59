"""A walk that is worked off: pages of the journal are not requested, and failures are counted."""

import re

import pytest

from hpc_remetrics.crawl.page_journal import PageJournal
from hpc_remetrics.crawl.pages import ListingPage, PageRequest, PageResult
from hpc_remetrics.crawl.rounds import Round, cost_in_words, rate_of
from hpc_remetrics.crawl.walks import Pages, Search


def pages(*names):
    return Pages([PageRequest("tags", name) for name in names], len(names))


@pytest.fixture
def journal(tmp_path):
    journal = PageJournal(tmp_path / "journal", "hub")
    yield journal
    journal.close()


def begun(journal, walk, budget=None, per_second=0.0):
    crawl = Round(journal, budget, per_second, quiet=True)
    crawl.begin(walk)
    return crawl


ROW = ["1", "sha256:0", 5, "2025"]


def test_a_result_is_kept_and_leads_to_the_next_page(journal):
    crawl = begun(journal, pages("a/b"))
    first = crawl.next()
    assert first == PageRequest("tags", "a/b") and crawl.next() is None
    limit = (180, 12, 1000.0)
    crawl.take(first, PageResult(ListingPage([ROW], 2, more=2), limit=limit))
    assert crawl.limit == limit and journal[first].fresh == 1
    second = crawl.next()
    assert second == PageRequest("tags", "a/b", 2)
    crawl.take(second, PageResult(ListingPage([ROW], 2)))
    assert crawl.next() is None and crawl.lacking == "" and crawl.limit == limit
    # Another run of the same walk requests nothing.
    again = begun(journal, pages("a/b"))
    assert again.next() is None and again.lacking == ""
    assert [row for _, row in journal.tags({"a/b": 0}, journal._journal.path.parent)] == [ROW, ROW]


def test_a_passing_failure_is_tried_once_more_at_the_end(journal):
    crawl = begun(journal, pages("a/a", "a/b"))
    failed = PageResult(None, "503", passing=True)
    first = crawl.next()
    crawl.take(first, failed)
    assert crawl.reason == "503" and crawl.lacking == ""
    second = crawl.next()
    assert second == first
    crawl.take(second, failed)
    assert crawl.lacking == "1 request failed" and first not in journal
    third = crawl.next()
    crawl.take(third, PageResult(ListingPage([])))
    assert crawl.reason == "" and third in journal


def test_a_final_failure_is_kept(journal):
    crawl = begun(journal, pages("a/a"))
    request = crawl.next()
    crawl.take(request, PageResult(None, "404"))
    assert journal.failures == {"tags a/a 1": "404"} and crawl.lacking == ""
    crawl.take(request, None)
    assert len(journal) == 1


def test_the_budget_ends_a_run(journal):
    crawl = begun(journal, pages("a/a", "a/b"), budget=1)
    crawl.take(crawl.next(), PageResult(ListingPage([])))
    assert crawl.next() is None
    assert crawl.lacking == crawl.obstacle == "the 1 request that --budget allows is used up"


def test_a_host_that_fails_twenty_times_in_a_row_is_given_up(journal):
    crawl = begun(journal, pages(*(f"a/{number}" for number in range(30))))
    for _ in range(19):
        crawl.take(crawl.next(), PageResult(None, "500"))
    assert crawl.obstacle == ""
    crawl.take(crawl.next(), PageResult(None, "500"))
    assert crawl.obstacle == "the last 20 requests failed" and crawl.next() is None


def test_the_cost_of_a_search_is_told_once_when_it_is_known(journal, monkeypatch):
    monkeypatch.setattr("hpc_remetrics.crawl.walks._LETTERS", "a")
    monkeypatch.setattr("hpc_remetrics.crawl.walks._SIGNS", "")
    crawl = begun(journal, Search())
    assert crawl.show() == ""
    crawl.take(crawl.next(), PageResult(ListingPage([], 300)))
    assert crawl.show() == "2 requests, as fast as they go; the host states no limit"
    assert crawl.show() == ""
    # That of a listing is told before.
    assert begun(journal, pages("a/b")).show() == ""


def test_the_progress_line(journal):
    crawl = begun(journal, pages("a/a", "a/b"))
    crawl.take(crawl.next(), PageResult(ListingPage([ROW])))
    assert re.fullmatch(r"1 request, 1 to come, 0 rows, [\d.]+ a second", crawl._line())
    crawl.take(crawl.next(), PageResult(None, "404"))
    assert crawl._line().endswith(" a second, 1 failed")


def test_the_last_line_of_a_walk_is_shown_if_it_had_several_requests(journal, capsys):
    crawl = Round(journal, None, 0.0, quiet=False)
    for name, count in (("a", 1), ("b", 2)):
        crawl.begin(pages(*(f"{name}/{number}" for number in range(count))))
        for _ in range(count):
            crawl.take(crawl.next(), PageResult(ListingPage([])))
        crawl.finish()
        assert capsys.readouterr().err.count("to come") == count - 1


def test_the_cost_of_requests():
    assert rate_of(0, None, 0) == 0.0 and rate_of(3, (10, 5, 1005.0), 1000.0) == 2.0
    assert cost_in_words(7, 0, None) == "7 requests, as fast as they go; the host states no limit"
    assert cost_in_words(60, 2, None).startswith("60 requests at 2 a second: ")
    limited = cost_in_words(60, 0, (180, 12, 0.0))
    assert limited.endswith("the host allows 180, 12 are left for the next 0 s")
