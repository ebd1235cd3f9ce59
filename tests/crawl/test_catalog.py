"""The catalog of a real registry, over more pages than one."""

import pytest
from support.registry import Registry

COUNT = 1_050
"""Repositories: two pages of the catalog."""

TAGS = ("1.10", "1.2", "latest")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with many repositories, made on its disk: a push of each would take minutes."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    for number in range(COUNT):
        directory = (
            registry.directory / f"data/docker/registry/v2/repositories/some/repo-{number:04}"
        )
        (directory / "_layers").mkdir(parents=True)
        for tag in TAGS:
            (directory / "_manifests" / "tags" / tag).mkdir(parents=True)
    yield registry
    registry.stop()


@pytest.mark.slow
def test_the_catalog_is_read_to_its_end_and_tags_are_listed(crawl, registry):
    said = crawl(f"catalog:{registry.host}", ranks=2).stderr
    rows = crawl.rows()
    names = [f"some/repo-{number:04}" for number in range(COUNT)]
    assert sorted(row["tag"] for row in rows[:3]) == sorted(TAGS)
    assert sorted({row["name"] for row in rows}) == names
    assert len(rows) == 3 * COUNT
    assert {(row["registry"], row["stars"], row["pulls"]) for row in rows} == {
        (registry.host, "", "")
    }
    assert crawl.about()["pages"] == 2 + COUNT
    assert f"{COUNT:,} repositories" in said


@pytest.mark.slow
def test_the_newest_tags_of_a_registry_are_its_highest_versions(crawl, registry):
    crawl(f"catalog:{registry.host}", "--sample", 5, "--tags", 2)
    rows = crawl.rows()
    assert [row["tag"] for row in rows] == ["latest", "1.10"] * 5
    assert {(row["stratum"], row["weight"]) for row in rows} == {("pulls unknown", str(COUNT // 5))}


@pytest.mark.slow
def test_a_place_that_cannot_be_crawled_says_so_in_a_line(crawl, start_hub):
    said = crawl(f"catalog:{start_hub([]).host}", code=2).stderr
    assert said.splitlines()[-1].startswith("hpc-remetrics: error: catalog:")
    assert "404" in said and not crawl.output.exists()
    said = crawl("catalog:127.0.0.1:9", "--patience", "tries=1", code=2, ranks=2).stderr
    assert "Connection refused" in said and said.count("error:") == 1
