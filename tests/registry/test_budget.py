"""The budget of a process: a rate, pauses, pull limits, and the pauses that ranks exchange."""

import time
from types import SimpleNamespace

import pytest

from hpc_remetrics.registry import budget as budget_module
from hpc_remetrics.registry.access import Access
from hpc_remetrics.registry.budget import ALL, PULLS, Budget, Pause, PullLimit


def test_without_a_rate_every_request_is_allowed_and_counted():
    budget = Budget(Access())
    assert [budget.claim("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert budget.requests == 3


def test_ranks_divide_the_rate_of_a_registry():
    budget = Budget(Access(requests_per_second=0.5, ranks=3))
    assert budget.claim("a") == 0.0
    # A third of half a request per second is one in 6 s; other registries have their own.
    assert 4 < budget.claim("a") <= 6.0
    assert budget.claim("b") == 0.0 and budget.requests == 2


def test_a_pause_of_pulls_stops_only_pulls():
    budget = Budget(Access())
    budget.pause("a", 60, PULLS)
    assert 50 < budget.claim("a", PULLS) <= 60
    assert budget.claim("a") == 0.0 and budget.claim("b", PULLS) == 0.0
    budget.pause("a", 30)
    assert 20 < budget.claim("a") <= 30 and 50 < budget.claim("a", PULLS) <= 60


def test_a_pause_is_sent_once_and_applied_on_other_ranks_without_an_echo():
    mine, other = Budget(Access()), Budget(Access())
    mine.pause("a", 60)
    (pause,) = mine.new_pauses()
    assert (pause.host, pause.kind) == ("a", ALL) and 50 < pause.seconds <= 60
    assert mine.new_pauses() == []
    other.apply_pauses([pause])
    assert 50 < other.claim("a") <= 60 and other.new_pauses() == []
    # The same end again, a little later or earlier, is nothing new.
    mine.pause("a", 59.9)
    mine.apply_pauses([Pause("a", ALL, 30)])
    assert mine.new_pauses() == [] and mine.claim("a") > 50


def test_a_pause_that_is_over_is_not_sent():
    budget = Budget(Access())
    budget.pause("a", 0.06)
    time.sleep(0.07)
    assert budget.new_pauses() == [] and budget.claim("a") == 0.0


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({}, None),
        ({"ratelimit-limit": "none"}, None),
        ({"ratelimit-limit": "100"}, PullLimit(100, 0, -1)),
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            PullLimit(100, 21600, 76),
        ),
        ({"ratelimit-limit": "5 ; w=7", "ratelimit-remaining": "x"}, PullLimit(5, 7, -1)),
    ],
)
def test_the_limit_in_the_headers_of_a_pull(headers, limit):
    assert PullLimit.of(headers) == limit


def test_without_pulls_left_they_continue_at_the_rate_of_the_limit():
    budget = Budget(Access())
    budget.apply_headers("a", {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "1"})
    assert budget.claim("a", PULLS) == 0.0
    budget.apply_headers("a", {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0"})
    assert 215 < budget.claim("a", PULLS) <= 216 and budget.claim("a") == 0.0
    assert budget.limits["a"].remaining == 0
    budget.apply_headers("b", {})
    assert "b" not in budget.limits


def test_what_is_left_of_a_pause_is_waited_for(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(budget_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    budget = Budget(Access(requests_per_second=2.0))
    assert budget.claim("h") == 0.0
    clock.now += 0.25
    assert budget.claim("h") == 0.25
    clock.now += 0.25
    assert budget.claim("h") == 0.0
    budget.pause("h", 10.0)
    clock.now += 9.5
    assert budget.claim("h") == 0.5
    assert [pause.seconds for pause in budget.new_pauses()] == [0.5]
    clock.now += 0.5
    assert budget.claim("h") == 0.0
    assert budget.requests == 3
    # A difference below 50 ms is none, so that ranks don't send it around
    budget.pause("h", 10.0)
    budget.new_pauses()
    budget.pause("h", 10.04)
    assert budget.new_pauses() == []
    budget.pause("h", 10.06)
    assert len(budget.new_pauses()) == 1
