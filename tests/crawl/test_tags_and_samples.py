"""Tags, all or the newest; samples that can be drawn again, and weights that add up."""

import statistics
from collections import Counter

import pytest
from support.hub import Repo, repositories

TAGS = {
    "space/many": [f"v{number}" for number in range(250)],
    "space/one": ["latest"],
    "space/none": [],
}


@pytest.fixture
def hub(start_hub):
    return start_hub([Repo(name, 1, 10, tags) for name, tags in TAGS.items()])


@pytest.mark.slow
def test_all_tags_are_listed_page_by_page(crawl, hub):
    crawl("hub:space", "--tags", "all", hub=hub)
    rows = crawl.rows()
    assert Counter(row["name"] for row in rows) == {"space/many": 250, "space/one": 1}
    assert {row["tag"] for row in rows if row["name"] == "space/many"} == set(TAGS["space/many"])
    assert all(
        row["digest"].startswith("sha256:") and int(row["bytes"]) > 1000 and row["updated"]
        for row in rows
    )
    assert all(row["stars"] == "1" and row["pulls"] == "10" for row in rows)
    assert crawl.about()["repositories"] == 3 and crawl.about()["repositories_listed"] == 2


@pytest.mark.slow
def test_the_newest_tags_cost_no_more_pages_than_they_fill(crawl, hub):
    crawl("hub:space", "--tags", 3, hub=hub)
    assert Counter(row["name"] for row in crawl.rows()) == {"space/many": 3, "space/one": 1}
    assert sum("/many/tags" in path for path in hub.asked) == 1


@pytest.mark.slow
def test_another_wish_uses_what_is_known(crawl, hub):
    crawl("hub:space", hub=hub)
    asked = sum(hub.asked.values())
    crawl("hub:space", "--tags", "all", hub=hub)
    assert sum(hub.asked.values()) == asked + 5
    crawl("hub:space", hub=hub)
    assert sum(hub.asked.values()) == asked + 5
    assert [row["tag"] for row in crawl.rows()] == ["latest"] * 3


NAMESPACES = "hub:bigcorp,library"


@pytest.mark.slow
def test_a_sample_can_be_drawn_again_and_its_weights_add_up(crawl, start_hub):
    hub = start_hub(repositories(3000))
    crawl(NAMESPACES, "--sample", 200, "--seed", 5, hub=hub)
    rows, about = crawl.rows(), crawl.about()
    assert len(rows) == 200
    assert len({row["stratum"] for row in rows}) == len(about["strata"]) > 8
    for name, stratum in about["strata"].items():
        drawn = [row for row in rows if row["stratum"] == name]
        assert len(drawn) == stratum["drawn"] >= min(2, stratum["population"])
        assert sum(float(row["weight"]) for row in drawn) == pytest.approx(stratum["population"])
    assert (
        sum(float(row["weight"]) for row in rows)
        == pytest.approx(about["repositories"])
        == pytest.approx(1325)
    )
    # Another crawl, by two ranks that find things in another order, draws the same.
    again = crawl.runs.directory / "again.csv"
    crawl(NAMESPACES, "--sample", 200, "--seed", 5, hub=hub, ranks=2, output=again)
    keep = [name for name in rows[0] if name != "crawled"]
    assert [[row[name] for name in keep] for row in crawl.rows(again)] == [
        [row[name] for name in keep] for row in rows
    ]
    # Another seed draws others; a larger sample holds the smaller one.
    crawl(NAMESPACES, "--sample", 200, "--seed", 6, hub=hub)
    assert set(crawl.names()) != {row["name"] for row in rows}
    crawl(NAMESPACES, "--sample", 400, "--seed", 5, hub=hub)
    assert set(crawl.names()) > {row["name"] for row in rows}


@pytest.mark.slow
def test_a_sample_that_is_not_smaller_is_all_there_is(crawl, start_hub):
    hub = start_hub(repositories(200))
    crawl(NAMESPACES, "--sample", 10_000, hub=hub)
    assert len(crawl.rows()) == crawl.about()["repositories"]
    assert {row["weight"] for row in crawl.rows()} == {"1"}


@pytest.mark.slow
def test_estimates_from_samples_scatter_around_the_truth():
    """The mean of many samples' estimates of a total is the total."""
    from hpc_remetrics.crawl import sample
    from hpc_remetrics.sources.repositories import Repository

    population = [Repository(repo.stars, repo.pulls, repo.name) for repo in repositories(4000)]
    truth = sum(one.stars for one in population)
    parts = sample.strata(population, 300)
    estimates = []
    for seed in range(200):
        drawn = sample.draw(population, parts, seed)
        chosen = [one for one in population if f"{one.registry}/{one.name}" in drawn]
        assert len(chosen) == 300
        estimates.append(sum(one.stars * parts[sample.stratum_of(one)].weight for one in chosen))
    error = statistics.stdev(estimates) / len(estimates) ** 0.5
    assert abs(statistics.mean(estimates) - truth) < 4 * error < 0.02 * truth
