"""The work queue: layers in order, and one request at a time when few are left."""

import pytest

from hpc_remetrics.analyze.plan import cost
from hpc_remetrics.analyze.work_queue import WorkQueue


def test_layers_come_out_in_the_order_in_which_they_were_dealt(made_layers):
    layers = made_layers(5)
    queue = WorkQueue()
    queue.add(layers[:2], is_last=False)
    queue.add(layers[2:], is_last=False)
    assert [queue.next() for _ in layers] == layers
    assert not queue
    with pytest.raises(IndexError):
        queue.next()


def test_nothing_is_requested_before_the_first_layers_came():
    assert WorkQueue().request([]) is None


def test_a_request_says_the_seconds_of_all_layers_in_hand(made_layers):
    *begun, waiting = made_layers(3)[:2]
    queue = WorkQueue()
    queue.add([waiting], is_last=False)
    assert queue.request(begun) == pytest.approx(cost(waiting) + cost(begun[0]))


def test_there_is_one_request_until_layers_come(made_layers):
    queue = WorkQueue()
    queue.add([], is_last=False)
    assert queue.request([]) == 0.0
    assert queue.request([]) is None
    queue.add(made_layers(1), is_last=False)
    assert queue.request([]) is not None


@pytest.mark.parametrize(
    ("queued", "begun", "requests"),
    [(0, 0, True), (1, 0, True), (1, 1, True), (2, 0, False), (1, 2, False), (0, 2, True)],
)
def test_a_rank_with_two_waiting_layers_requests_none(made_layers, queued, begun, requests):
    """The first of the layers that are begun is being profiled, and does not wait."""
    layers = made_layers(queued + begun)
    queue = WorkQueue()
    queue.add(layers[:queued], is_last=False)
    assert (queue.request(layers[queued:]) is not None) == requests


def test_it_is_exhausted_when_the_last_layer_had_its_turn(made_layers):
    queue = WorkQueue()
    queue.add(made_layers(1), is_last=False)
    assert not queue.is_exhausted
    queue.add([], is_last=True)
    assert not queue.is_exhausted
    assert queue.request([]) is None
    queue.next()
    assert queue.is_exhausted


def test_an_empty_queue_is_not_exhausted_while_more_may_come():
    queue = WorkQueue()
    queue.add([], is_last=False)
    assert not queue.is_exhausted
