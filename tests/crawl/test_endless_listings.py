"""Listings of registries that go on in any way, or without end: read to their end, or left and
named."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from support.raw_server import RawServer, answer

NAMES = [f"some/repo-{number:02}" for number in range(25)]
TAGS = {"some/good": ["1", "2"], "some/endless": ["1"]}


class Lister(RawServer):
    """A registry that has listings alone.

    :ivar links: makes the `Link` headers of a page out of the URL of the next one.
    :ivar pages: the paths that were asked for.
    """

    def __init__(self, catalog, tags, links) -> None:
        super().__init__(self._give)
        self._catalog, self._tags, self.links = catalog, tags, links
        self.pages: list[str] = []

    def _give(self, head: str) -> bytes:
        target = head.split(" ")[1]
        parts = urlsplit(target)
        self.pages.append(target)
        number = int(parse_qs(parts.query).get("page", ["t0"])[0][1:])
        if parts.path == "/v2/_catalog":
            rows, more = self._catalog(number)
            document = {"repositories": rows}
        else:
            name = parts.path.removeprefix("/v2/").removesuffix("/tags/list")
            rows, more = self._tags(name, number)
            document = {"name": name, "tags": rows}
        lines = self.links(f"{parts.path}?n=4&page=t{number + 1}") if more else []
        headers = [("Link", line) for line in lines]
        return answer(
            200, ("Content-Type", "application/json"), *headers, body=json.dumps(document).encode()
        )


def fours(number: int) -> tuple[list[str], bool]:
    return NAMES[4 * number : 4 * number + 4], 4 * number + 4 < len(NAMES)


def plain(url: str) -> list[str]:
    return [f'<{url}>; rel="next"']


LINKS = {
    "plain": plain,
    "a parameter before": lambda url: [
        f'<{url}>; type="x"; title="x; y, <z>; rel=prev"; rel="next"'
    ],
    "capitals": lambda url: [f'<{url}>; Rel="Next"'],
    "previous before": lambda url: [f'</v2/_catalog>; rel="previous", <{url}>; rel="next"'],
    "two headers": lambda url: ["</v2/_catalog>; rel=previous", f"<{url}>; rel=next"],
    "a host inside": lambda url: [f"<http://inside.example:5000{url}>; rel=next"],
    "relative": lambda url: [f"<?{url.partition('?')[2]}>; rel=next"],
}


@pytest.mark.slow
@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS)
def test_a_catalog_is_read_to_its_end_however_its_links_are_written(crawl, links):
    with Lister(fours, lambda name, number: (["latest"], False), links) as lister:
        crawl(f"catalog:{lister.host}", "--tags", "latest")
    assert sorted(crawl.names()) == NAMES
    assert len(lister.pages) == 7


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_a_catalog_of_empty_pages_without_end_is_left(crawl, ranks):
    def catalog(number):
        return (NAMES if number == 0 else []), True

    with Lister(catalog, lambda name, number: (["latest"], False), plain) as lister:
        target = f"catalog:{lister.host}"
        said = crawl(target, ranks=ranks, code=3).stderr
        assert said.count("100 pages in a row have nothing new") == 1
        assert len(lister.pages) == 101 + len(NAMES)
        assert {row["name"]: row["tag"] for row in crawl.rows()} == dict.fromkeys(NAMES, "latest")
        # A start that follows asks for nothing, unless it is to look further.
        crawl(target, code=3)
        assert len(lister.pages) == 101 + len(NAMES)
        said = crawl(target, "--empty-pages", 150, code=3).stderr
        assert "150 pages in a row" in said and len(lister.pages) == 151 + len(NAMES)


@pytest.mark.slow
def test_a_catalog_that_repeats_with_cursors_that_do_not_is_left(crawl):
    with Lister(
        lambda number: (NAMES[number % 5 :], True), lambda name, number: ([], False), plain
    ) as lister:
        said = crawl(
            f"catalog:{lister.host}", "--tags", "latest", "--empty-pages", 7, code=3
        ).stderr
    assert said.count("7 pages in a row have nothing new") == 1
    assert sorted(crawl.names()) == NAMES and len(lister.pages) == 8


@pytest.mark.slow
def test_tags_that_repeat_cost_their_repository_alone(crawl):
    def tags(name, number):
        return TAGS[name], name == "some/endless"

    with Lister(lambda number: (list(TAGS), False), tags, plain) as lister:
        said = crawl(f"catalog:{lister.host}", code=3).stderr
    assert said.count("tag_list some/endless: 100 pages in a row have nothing new") == 1
    assert sorted((row["name"], row["tag"]) for row in crawl.rows()) == [
        ("some/endless", "1"),
        ("some/good", "1"),
        ("some/good", "2"),
    ]
    (place,) = crawl.about()["failures"]
    assert place == "tag_list some/endless /v2/some/endless/tags/list"


@pytest.mark.slow
def test_a_listing_in_a_circle_is_left(crawl):
    def around(url):
        path, _, number = url.rpartition("t")
        return [f"<{path}t{int(number) % 3}>; rel=next"]

    with Lister(
        lambda number: (NAMES[number::3], True), lambda name, number: ([], False), around
    ) as lister:
        said = crawl(f"catalog:{lister.host}", "--tags", "latest", code=3).stderr
    assert said.count("lead in a circle") == 1
    assert sorted(crawl.names()) == NAMES


@pytest.mark.slow
def test_a_page_that_is_gone_is_no_end_of_its_listing(crawl):
    """What follows a link that leads to nothing is not known, so the list isn't whole."""

    def elsewhere(url):
        return ["</v2/gone>; rel=next"]

    class Broken(Lister):
        def _give(self, head):
            return answer(404) if "/v2/gone" in head else super()._give(head)

    with Broken(fours, lambda name, number: ([], False), elsewhere) as lister:
        crawl(f"catalog:{lister.host}", "--tags", "latest", "--patience", "tries=1", code=4)
    assert not crawl.output.exists()
