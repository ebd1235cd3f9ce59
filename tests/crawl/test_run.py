"""Crawls in this process, of a stand-in for Docker Hub and of a catalog."""

import csv
import json
import os
import signal
from collections import Counter
from dataclasses import replace

import pytest
from support.hub import Repo
from support.raw_server import RawServer, answer

from hpc_remetrics.crawl.options import CrawlOptions, parse_target
from hpc_remetrics.crawl.run import crawl
from hpc_remetrics.errors import SourceError, UsageError
from hpc_remetrics.files.lock import OutputLock
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.registry.access import Access, Patience

TAGS = {
    "space/many": [f"v{number}" for number in range(150)],
    "space/one": ["latest"],
    "space/none": [],
}
ACCESS = Access(patience=Patience(connect=20, idle=20, deadline=60, tries=1))


pytestmark = pytest.mark.usefixtures("signal_handlers")


@pytest.fixture
def hub(start_hub):
    pulls = {"space/many": 5, "space/one": 70, "space/none": 700}
    return start_hub([Repo(name, 1, pulls[name], tags) for name, tags in TAGS.items()])


@pytest.fixture
def options(hub, tmp_path):
    return CrawlOptions(
        target=parse_target("hub:space"),
        output=tmp_path / "list.csv",
        api=hub.host,
        access=ACCESS,
        quiet=True,
        threads=2,
    )


def crawled(options, code=0):
    """Crawl; return the rows of the list by names of columns."""
    assert crawl(SerialComm(), options) == code
    with open(options.output, newline="") as file:
        return list(csv.DictReader(file))


def about(options):
    return json.loads(options.output.with_name("list.csv.about.json").read_text())


def test_repositories_come_with_most_pulls_first(options, hub, capfd):
    rows = crawled(replace(options, quiet=False))
    assert [row["name"] for row in rows] == ["space/none", "space/one", "space/many"]
    assert {row["tag"] for row in rows} == {"latest"}
    assert {row["registry"] for row in rows} == {"docker.io"}
    assert sum(hub.asked.values()) == 1
    said = capfd.readouterr().err
    assert "hub:space: 1 request, as fast as they go; the host states no limit\n" in said
    assert f"{options.output}: 3 repositories, 3 of them in the list\n" in said
    assert "known after these" not in said
    facts = about(options)
    assert (facts["repositories"], facts["queries_cut"], facts["pages"]) == (3, [], 1)

    # The same command has nothing to do; a journal is all that a further wish needs.
    assert crawl(SerialComm(), replace(options, quiet=False)) == 0
    assert f"nothing to do: {options.output} is complete\n" == capfd.readouterr().err
    assert sum(hub.asked.values()) == 1


def test_the_lock_shows_that_the_job_lives(options, monkeypatch):
    beats = []
    monkeypatch.setattr(OutputLock, "heartbeat", lambda lock: beats.append(1))
    crawled(options)
    assert beats


def test_what_a_killed_crawl_left_is_removed(options):
    left = options.output.with_name(f".list.csv.{'0' * 16}.tmp")
    left.write_text("")
    crawled(options)
    assert not left.exists()


def test_all_tags_and_the_newest_ones(options, hub):
    rows = crawled(replace(options, tags="all"))
    assert Counter(row["name"] for row in rows) == {"space/many": 150, "space/one": 1}
    many = [row for row in rows if row["name"] == "space/many"]
    assert [row["tag"] for row in many] == TAGS["space/many"]
    assert all(row["digest"].startswith("sha256:") for row in rows)
    assert {row["bytes"] for row in many} == {"1002", "1003", "1004"}
    asked = sum(hub.asked.values())
    assert asked == 1 + 4
    newest = crawled(replace(options, tags=2))
    assert [row["tag"] for row in newest] == ["latest", "v149", "v148"]
    assert sum(hub.asked.values()) == asked
    # As many as fit on the first page cost that page alone.
    other = replace(options, tags=100, output=options.output.with_name("other.csv"))
    assert len(crawled(other)) == 101
    assert sum("/many/tags?page=2" in path for path in hub.asked) == 1


def test_a_sample_with_its_weights(options, start_hub):
    hub = start_hub([Repo(f"space/{number:02}", 1, 5) for number in range(12)])
    drawn = crawled(replace(options, api=hub.host, sample=4, seed=3))
    assert len(drawn) == 4
    assert {(row["stratum"], float(row["weight"])) for row in drawn} == {("pulls 1e0", 3.0)}
    assert about(options)["strata"] == {"pulls 1e0": {"population": 12, "drawn": 4, "weight": 3.0}}
    assert about(options)["repositories"] == 12


def test_namespaces_of_names_that_were_found_are_listed_too(options, start_hub):
    hub = start_hub([Repo(name, 1, 5) for name in ("me/a", "you/b", "you/c")])
    real = hub.names.namespace
    hub.names.namespace = lambda name: [*real(name), *(["you/b"] if name == "me" else [])]
    mine = replace(options, target=parse_target("hub:me"), api=hub.host)
    assert [row["name"] for row in crawled(mine)] == ["me/a", "you/b"]
    rows = crawled(replace(mine, list_namespaces=True))
    assert [row["name"] for row in rows] == ["me/a", "you/b", "you/c"]
    assert max(hub.asked.values()) == 1


def test_a_search_says_what_it_costs_when_that_is_known(options, start_hub, capfd, monkeypatch):
    monkeypatch.setattr("hpc_remetrics.crawl.walks._LETTERS", "abem")
    monkeypatch.setattr("hpc_remetrics.crawl.walks._SIGNS", "")
    hub = start_hub([Repo("library/abc", 1, 5), Repo("me/abd", 1, 5)])
    everything = replace(options, target=parse_target("hub"), api=hub.host)
    rows = crawled(replace(everything, quiet=False))
    assert [row["name"] for row in rows] == ["library/abc", "me/abd"]
    assert [row["official"] for row in rows] == ["1", "0"]
    said = capfd.readouterr().err
    assert "hub: 16 requests" in said
    assert "the number of requests for the repositories is known after these\n" in said
    assert "left are 0 requests" in said
    assert max(hub.asked.values()) == 1


def test_an_estimate_costs_one_request(options, hub, capfd):
    assert crawl(SerialComm(), replace(options, quiet=False, estimate=True)) == 0
    assert "hub:space: 1 request, as fast as they go" in capfd.readouterr().err
    assert sum(hub.asked.values()) == 1 and not options.output.exists()


def test_a_budget_that_is_used_up_ends_a_run_and_the_next_goes_on(options, hub, capfd):
    few = replace(options, tags="all", budget=2, quiet=False)
    assert crawl(SerialComm(), few) == 4
    journal = options.output.with_name("list.csv.journal")
    said = capfd.readouterr().err
    reason = "the 2 requests that --budget allows are used up"
    assert f"stopped: {reason}; 2 pages kept in {journal}; run the command again" in said
    assert not options.output.exists()
    assert len(crawled(replace(options, tags="all"))) == 151
    assert max(hub.asked.values()) == 1


def test_a_stop_ends_a_run_in_order(options, hub, capfd):
    real = hub.admit

    def admit(path):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(path)

    hub.admit = admit
    assert crawl(SerialComm(), replace(options, quiet=False)) == 4
    assert "stopped: on SIGTERM; " in capfd.readouterr().err
    assert not options.output.exists()


def test_a_page_that_is_gone_is_named_and_keeps_nobody(options, capfd):
    both = replace(options, target=parse_target("hub:space,nobody"))
    assert len(crawled(both, code=3)) == 3
    assert list(about(options)["failures"]) == ["namespace nobody 1"]
    assert "404" in about(options)["failures"]["namespace nobody 1"]
    assert crawl(SerialComm(), both) == 3


def test_a_host_that_gives_no_first_page_is_an_error(options, hub):
    hub.broken["/v2/namespaces/space/repositories?page=1&page_size=100"] = 99
    with pytest.raises(SourceError, match=r"hub:space can't be crawled: namespace space: .*503"):
        crawl(SerialComm(), options)
    # No lock, list or journal is left.
    assert list(options.output.parent.iterdir()) == []


def test_a_file_that_is_no_list_is_refused_before_any_request(options, hub):
    options.output.write_text("my notes")
    with pytest.raises(UsageError, match="is no list of this program"):
        crawl(SerialComm(), options)
    assert not hub.asked


def test_a_catalog_with_the_tags_of_each_repository(tmp_path):
    pages = {
        "/v2/_catalog?n=1000": ({"repositories": ["b", "a"]}, "/v2/_catalog?p=2"),
        "/v2/_catalog?p=2": ({"repositories": ["a", "c"]}, ""),
        "/v2/a/tags/list?n=1000": ({"tags": ["1", "2"]}, "/v2/a/tags/list?p=2"),
        "/v2/a/tags/list?p=2": ({"tags": ["2", "10"]}, ""),
        "/v2/b/tags/list?n=1000": ({"tags": []}, ""),
        "/v2/c/tags/list?n=1000": ({"tags": ["x"]}, ""),
    }

    def give(head):
        document, following = pages[head.split(" ")[1]]
        links = [("Link", f"<{following}>; rel=next")] if following else []
        return answer(200, *links, body=json.dumps(document).encode())

    with RawServer(give) as server:
        options = CrawlOptions(
            target=parse_target(f"catalog:{server.host}"),
            output=tmp_path / "list.csv",
            tags="all",
            access=ACCESS,
            quiet=True,
        )
        rows = crawled(options)
        assert {row["registry"] for row in rows} == {server.host}
        tags = [(row["name"], row["tag"]) for row in rows]
        assert tags == [("a", "1"), ("a", "2"), ("a", "10"), ("c", "x")]
        newest = crawled(replace(options, tags=2))
        assert [(row["name"], row["tag"]) for row in newest] == [
            ("a", "10"),
            ("a", "2"),
            ("c", "x"),
        ]
        assert len(server.heads) == 6
