"""A crawl of Docker Hub finds every name within its limits, sends no request twice, and survives
kills, stops and failures."""

import csv
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter

import pytest
from support.hub import CAP, Repo, repositories

SURVEY = 36 * 40
"""Queries of two letters."""


def repeated(hub):
    return sum(hub.asked.values()) - len(hub.asked)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_25000_names_are_found_and_no_request_is_sent_twice(crawl, start_hub, ranks):
    everything = repositories(25_000)
    hub = start_hub(everything)
    said = crawl("hub", hub=hub, ranks=ranks).stderr
    rows = crawl.rows()
    assert sorted(row["name"] for row in rows) == [repo.name for repo in everything]
    truth = {repo.name: (str(repo.stars), str(repo.pulls)) for repo in everything}
    assert all(truth[row["name"]] == (row["stars"], row["pulls"]) for row in rows)
    assert [row["name"] for row in rows if row["official"] == "1"] == sorted(
        (repo.name for repo in everything if repo.name.startswith("library/")),
        key=lambda name: (-hub.names.by_name[name].pulls, name),
    )
    assert repeated(hub) == 0
    # Every query under the cap is read once; each one at the cap costs its longer ones.
    capped = sum(len(found) >= CAP for found in hub.names._found.values())
    assert capped > 5
    assert sum(hub.asked.values()) == crawl.about()["pages"] < SURVEY + 42 * capped + 700
    assert f"{SURVEY:,} requests" in said
    told = int(re.search(r"left are ([\d,]+) requests", said)[1].replace(",", ""))
    assert told == sum("page=1&" not in path and "/search/" in path for path in hub.asked)


@pytest.mark.slow
def test_the_list_is_sorted_by_pulls_and_begins_as_the_2017_tools(crawl, start_hub):
    hub = start_hub(repositories(300))
    crawl("hub:bigcorp,library", hub=hub)
    with open(crawl.output, newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][:3] == ["stars", "pulls", "name"]
    pulls = [int(line[1]) for line in lines[1:]]
    assert pulls == sorted(pulls, reverse=True)
    assert {line[2].partition("/")[0] for line in lines[1:]} == {"bigcorp", "library"}
    assert len(lines) == 1 + 132 + 5
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", line[9]) for line in lines[1:])


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_all_ranks_share_the_limit_and_none_is_refused(crawl, start_hub, ranks):
    everything = repositories(500)
    hub = start_hub(everything, limit=300, window=1.0)
    said = crawl("hub", hub=hub, ranks=ranks).stderr
    assert hub.refused == 0
    assert sorted(crawl.names()) == [repo.name for repo in everything]
    assert "the host allows 300" in said


@pytest.mark.slow
def test_a_rate_bounds_all_ranks_together(crawl, start_hub):
    hub = start_hub([Repo(f"space/repo-{number:04}", 1, number) for number in range(2000)])
    begun = time.monotonic()
    crawl("hub:space", "--rate", 15, hub=hub, ranks=2)
    # 20 pages one after the other; a rank's share is half, and both share what there is.
    assert sum(hub.asked.values()) == 20
    assert time.monotonic() - begun > 20 / 15 - 0.2
    assert len(crawl.rows()) == 2000


@pytest.mark.slow
def test_a_crawl_that_is_too_fast_waits_as_long_as_the_host_says(crawl, start_hub):
    hub = start_hub(
        [Repo(f"space/repo-{number:04}", 1, number) for number in range(800)], limit=5, window=1.0
    )
    crawl("hub:space", hub=hub)
    assert len(crawl.rows()) == 800
    assert hub.refused <= 4


@pytest.mark.slow
def test_a_budget_ends_a_run_and_the_next_one_continues(crawl, start_hub):
    everything = repositories(500)
    hub = start_hub(everything)
    for run in range(1, 4):
        said = crawl("hub", "--budget", 400, hub=hub, code=4, ranks=run % 2 * 2).stderr
        assert sum(hub.asked.values()) == 400 * run
        assert "the 400 requests that --budget allows are used up" in said
        assert not crawl.output.exists()
    crawl("hub", hub=hub)
    assert repeated(hub) == 0
    assert sorted(crawl.names()) == [repo.name for repo in everything]
    asked = sum(hub.asked.values())
    assert "nothing to do" in crawl("hub", hub=hub).stderr
    assert sum(hub.asked.values()) == asked


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_a_killed_crawl_repeats_only_requests_that_were_under_way(crawl, start_hub, ranks):
    rng = random.Random(11 + ranks)
    everything = repositories(500)
    hub = start_hub(everything, delay=0.001)
    kills, threads = 0, 4 * max(ranks, 1)
    while not crawl.output.exists():
        process = subprocess.Popen(
            crawl.command("hub", hub=hub, ranks=ranks),
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        end = sum(hub.asked.values()) + rng.choice((1, *rng.choices(range(100, 700), k=3)))
        while process.poll() is None and sum(hub.asked.values()) < end:
            time.sleep(rng.uniform(0.001, 0.01))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
            process.wait()
            # Requests of a killed process reach the stand-in a moment later.
            time.sleep(0.05)
        else:
            assert process.returncode == 0
    assert kills > 1
    assert sorted(crawl.names()) == [repo.name for repo in everything]
    # A thread may have one result, and another one may be on its way to rank 0.
    assert repeated(hub) <= 2 * threads * kills
    assert max(hub.asked.values()) <= 1 + kills


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_a_stop_signal_ends_a_crawl_in_order(crawl, start_hub, ranks):
    hub = start_hub(repositories(500), delay=0.02)
    process = subprocess.Popen(
        crawl.command("hub", hub=hub, ranks=ranks), stderr=subprocess.PIPE, text=True
    )
    while sum(hub.asked.values()) < 50:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 4, said
    assert "stopped: on SIGTERM" in said and "run the command again to continue" in said
    assert not crawl.output.exists()


@pytest.mark.slow
def test_failing_pages_are_requested_again_in_this_run_or_in_the_next(crawl, start_hub):
    hub = start_hub([Repo(f"space/repo-{number:04}", 1, number) for number in range(250)])
    second = "/v2/namespaces/space/repositories?page=2&page_size=100"
    tries = ["--patience", "tries=2"]
    hub.broken[second] = 3
    crawl("hub:space", *tries, hub=hub)
    assert len(crawl.rows()) == 250
    hub.asked.clear()
    hub.broken[second] = 4
    other = crawl.runs.directory / "other.csv"
    said = crawl("hub:space", *tries, hub=hub, code=4, output=other).stderr
    assert "1 request failed" in said and "503" in said
    assert not other.exists()
    crawl("hub:space", *tries, hub=hub, output=other)
    assert len(crawl.rows(other)) == 250
    assert Counter(hub.asked)["/v2/namespaces/space/repositories?page=1&page_size=100"] == 1


@pytest.mark.slow
def test_what_is_gone_for_good_is_told_and_does_not_keep_the_list(crawl, start_hub):
    hub = start_hub([Repo("space/repo", 1, 2)])
    said = crawl("hub:space,nobody", hub=hub, code=3).stderr
    assert crawl.names() == ["space/repo"]
    assert "nobody" in said and "404" in said
    assert list(crawl.about()["failures"]) == ["namespace nobody 1"]


@pytest.mark.slow
def test_namespaces_show_what_a_search_hides(crawl, start_hub):
    hub = start_hub([Repo(f"space/repo-{number}", 1, number) for number in range(20)])
    real = hub.names.search
    hub.names.search = lambda query: [name for name in real(query) if not name.endswith("7")]
    crawl("hub", hub=hub)
    assert len(crawl.rows()) == 18
    crawl("hub", "--namespaces", hub=hub)
    assert len(crawl.rows()) == 20
    assert repeated(hub) == 0


@pytest.mark.slow
def test_an_estimate_costs_one_request_that_the_crawl_does_not_repeat(crawl, start_hub):
    hub = start_hub(repositories(200), limit=1000, window=60)
    said = crawl("hub", "--estimate", "--rate", 2, hub=hub).stderr
    assert sum(hub.asked.values()) == 1
    assert "1,440 requests at 2 a second: 12 min; the host allows 1,000, 999 are left" in said
    crawl("hub:library", hub=hub, code=5)
