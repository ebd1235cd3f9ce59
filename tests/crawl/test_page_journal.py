"""Pages in a journal: what a walk needs of them, and the rows of names and tags."""

import json

import pytest

from hpc_remetrics.crawl.page_journal import PageJournal
from hpc_remetrics.crawl.pages import ListingPage, PageRequest
from hpc_remetrics.errors import OutputError

SEARCH = PageRequest("search", "ab")
TAGS = PageRequest("tags", "a/b")
ROW = ["a/b", 1, 2, False]
TAG = ["1", "sha256:0", 5, "2026"]


@pytest.fixture
def reopened(tmp_path):
    """Return a function that opens the journal anew, as another run does."""
    opened = []

    def reopen(target="hub") -> PageJournal:
        while opened:
            opened.pop().close()
        opened.append(PageJournal(tmp_path / "journal", target))
        return opened[0]

    yield reopen
    for journal in opened:
        journal.close()


def test_a_page_is_known_without_its_rows_in_later_runs_too(reopened):
    page = ListingPage([ROW, ROW], 150, more=2, narrow=True, dropped=3, fresh=1)
    journal = reopened()
    assert SEARCH not in journal and len(journal) == 0
    journal.add(SEARCH, page)
    for known in (journal, reopened()):
        assert SEARCH in known and PageRequest("search", "ab", 2) not in known and len(known) == 1
        assert known[SEARCH] == ListingPage([], 150, more=2, narrow=True, fresh=1)
        assert (known.seen, known.refused) == (2, 3)
        assert list(known.names()) == [(known.begun, ROW), (known.begun, ROW)]


def test_the_last_page_of_a_listing_costs_no_memory_unless_a_search_divides_by_it(reopened):
    journal = reopened()
    last = ListingPage([ROW], 7, fresh=1)
    for request in (PageRequest("search", "ab", 2), PageRequest("namespace", "ns"), SEARCH):
        journal.add(request, last)
    assert journal[PageRequest("search", "ab", 2)] is journal[PageRequest("namespace", "ns")]
    assert journal[PageRequest("namespace", "ns")] == ListingPage([])
    assert journal[SEARCH].count == 7
    journal.add(PageRequest("tags", "a/b"), ListingPage([TAG], 200, more=2))
    assert journal[PageRequest("tags", "a/b")].more == 2


def test_a_failure_is_known_too(reopened):
    reopened().fail(SEARCH, "HTTP 404")
    journal = reopened()
    assert journal.failures == {"search ab 1": "HTTP 404"}
    assert SEARCH in journal and journal[SEARCH] == ListingPage([])
    assert list(journal.names()) == list(journal.tags({}, None)) == []


def test_only_names_are_counted_as_rows(reopened):
    journal = reopened()
    for kind in ("search", "namespace", "repository", "catalog", "tags", "tag_list"):
        journal.add(PageRequest(kind, "a/b"), ListingPage([[kind]], dropped=1))
    assert journal.seen == 4 and journal.refused == 6
    names = [row for _, row in journal.names()]
    assert names == [["search"], ["namespace"], ["repository"], ["catalog"]]


def test_tags_come_by_number_and_in_the_order_of_their_listing(reopened, tmp_path):
    journal = reopened()
    journal.add(PageRequest("tags", "b"), ListingPage([["2"], ["1"]], more=2))
    journal.add(PageRequest("tag_list", "a"), ListingPage([["x"]]))
    journal.add(PageRequest("tags", "other"), ListingPage([["y"]]))
    journal.add(PageRequest("tags", "b", 2), ListingPage([["0"]]))
    journal.add(PageRequest("search", "b"), ListingPage([["b"]]))
    journal.fail(PageRequest("tags", "b", 3), "HTTP 404")
    numbers = {"a": 10, "b": 9}
    tags = list(journal.tags(numbers, tmp_path))
    assert tags == [(9, ["2"]), (9, ["1"]), (9, ["0"]), (10, ["x"])]


def test_the_time_of_the_first_and_of_the_last_page(reopened, monkeypatch):
    journal = reopened()
    assert journal.begun == journal.ended == 0.0
    for moment in (1000.12345, 2000.0, 3000.0):
        monkeypatch.setattr("hpc_remetrics.crawl.page_journal.time.time", lambda now=moment: now)
        journal.add(PageRequest("tags", str(moment)), ListingPage([]))
    assert (journal.begun, journal.ended) == (1000.123, 3000.0)
    assert (reopened().begun, reopened().ended) == (1000.123, 3000.0)


def test_a_journal_of_an_older_version_has_no_number_of_new_rows(reopened, tmp_path):
    from hpc_remetrics.files.journal import Journal

    head = {"format": "hpc_remetrics crawl", "version": 1, "target": "hub"}
    old = Journal(tmp_path / "journal", head)
    record = {"k": TAGS.key, "t": 5.0, "c": 9, "m": 2, "n": False, "d": 0, "r": [TAG, TAG]}
    old.append(record)
    old.close()
    assert reopened()[TAGS].fresh == 2


def test_a_journal_of_another_target_is_refused(reopened):
    reopened("catalog:a").add(SEARCH, ListingPage([]))
    with pytest.raises(OutputError, match="is of another run"):
        reopened("hub")


def test_the_record_of_a_page(reopened, tmp_path):
    reopened().add(SEARCH, ListingPage([ROW], 1, more=2, narrow=True, dropped=4, fresh=5))
    reopened()
    record = json.loads((tmp_path / "journal").read_text().splitlines()[1][9:])
    assert record.pop("t") > 1e9
    assert record == {"k": "search ab 1", "c": 1, "m": 2, "n": True, "d": 4, "w": 5, "r": [ROW]}
