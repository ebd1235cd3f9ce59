"""The time limits of responses, by a clock of the test."""

from types import SimpleNamespace

import pytest

from hpc_remetrics.registry import connections
from hpc_remetrics.registry.access import Patience
from hpc_remetrics.registry.connections import Timer


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def timer(clock):
    """Of at most 100 s, 10 s between two pieces, and 50 bytes a second on average."""
    made = Timer(Patience(idle=10, least_rate=50))
    made.start(100.0)
    made.restart()
    return made


def test_a_read_may_take_the_idle_time_or_what_is_left(clock, timer):
    assert timer.allow() == 10.0
    timer.count(100_000)
    clock.now += 95
    assert timer.left() == timer.allow() == 5.0


def test_the_deadline_ends_an_action(clock, timer):
    timer.count(100_000)
    clock.now += 100
    with pytest.raises(TimeoutError, match="not done after 100 s"):
        timer.allow()
    assert timer.broken == "not done after 100 s"
    # The next action has a time of its own
    timer.start(7.0)
    timer.restart()
    assert timer.broken == ""
    assert timer.allow() == 7.0


def test_a_rate_below_the_least_ends_a_response(clock, timer):
    timer.count(300)
    timer.count(199)
    clock.now += 10
    assert timer.allow() == 10.0  # the average counts once the idle time has passed
    clock.now += 1
    with pytest.raises(TimeoutError, match="45 bytes a second, below the minimum of 50"):
        timer.allow()
    timer.restart()
    assert timer.allow() == 10.0


def test_the_least_rate_itself_is_fast_enough(clock, timer):
    timer.count(550)
    clock.now += 11
    assert timer.allow() == 10.0


def test_without_a_start_there_is_no_deadline(clock):
    timer = Timer(Patience(idle=10))
    assert timer.left() == float("inf")
    assert timer.allow() == 10.0
