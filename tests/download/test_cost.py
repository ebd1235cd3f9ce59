"""Cost of a download, from registries' stated limits and the listed sizes of images."""

import pytest
from support.tiny_registry import TinyRegistry

from hpc_remetrics.download.cost import PullLimits, limit_in_words
from hpc_remetrics.download.options import Wish
from hpc_remetrics.registry.access import Access
from hpc_remetrics.registry.budget import PullLimit
from hpc_remetrics.registry.reference import Reference

LIMIT = [("RateLimit-Limit", "100;w=21600"), ("RateLimit-Remaining", "76;w=21600")]


@pytest.fixture
def registry():
    with TinyRegistry() as registry:
        registry.image("a:1")
        yield registry


def wish(host, name="a:1", bytes=-1):
    return Wish(Reference.parse(f"{host}/{name}"), bytes=bytes)


@pytest.mark.parametrize(
    ("limit", "count", "words"),
    [
        (None, 5, "it states no limit"),
        (PullLimit(1, 60, 1), 1, "it allows 1 pull in 1:00, 1 is left: at least 0 s"),
        (PullLimit(10, 60, 0), 10, "it allows 10 pulls in 1:00, 0 are left: at least 60 s"),
        (PullLimit(10, 60, -1), 30, "it allows 10 pulls in 1:00, 10 are left: at least 2 min"),
        (PullLimit(10, 0, 3), 30, "it allows 10 pulls in 0:00, 3 are left"),
        (PullLimit(0, 60, 3), 30, "it allows 0 pulls in 1:00, 3 are left"),
    ],
)
def test_what_a_limit_means(limit, count, words):
    assert limit_in_words(limit, count) == words


def test_a_registry_is_asked_once_by_a_head(registry):
    registry.headers += LIMIT
    limits = PullLimits(Access())
    assert not limits.counts_pulls(registry.host)
    (line,) = limits.lines([wish(registry.host), wish(registry.host, "b:1")])
    assert line == (
        f"{registry.host}: 2 images, with one or more manifests each; it allows 100 pulls in "
        "6:00:00, 76 are left: at least 0 s; the number of bytes is unknown before the manifests "
        "are read"
    )
    assert limits.counts_pulls(registry.host)
    assert registry.asked() == [("HEAD", "/v2/a/manifests/1")]


def test_a_registry_without_a_limit_and_one_that_does_not_answer(registry):
    limits = PullLimits(Access())
    wishes = [wish(registry.host), wish(registry.host, "gone:1"), wish("127.0.0.1:1")]
    first, second = limits.lines(wishes)
    assert first.startswith(f"{registry.host}: 2 images,") and "; it states no limit;" in first
    assert second.startswith(
        "127.0.0.1:1: 1 image, with one or more manifests each; its limits are"
    )
    assert not limits.counts_pulls(registry.host) and not limits.counts_pulls("127.0.0.1:1")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((-1, -1), "; the number of bytes is unknown before the manifests are read"),
        ((10**9, 5 * 10**9), "; up to 6.00 GB"),
        ((0, 10**7, -1), "; up to 0.01 GB and 1 of unknown size"),
    ],
)
def test_sizes_that_a_list_states(registry, sizes, words):
    (line,) = PullLimits(Access()).lines([wish(registry.host, bytes=size) for size in sizes])
    assert line.endswith(f"it states no limit{words}")


def test_only_the_registries_with_most_images_are_asked(registry, monkeypatch):
    monkeypatch.setattr("hpc_remetrics.download.cost._HOSTS", 1)
    wishes = [wish("127.0.0.1:1"), wish(registry.host), wish(registry.host), wish("127.0.0.1:2")]
    first, second = PullLimits(Access()).lines(wishes)
    assert first.startswith(f"{registry.host}: 2 images") and second == "2 more registries"
