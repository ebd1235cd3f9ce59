"""The plan: every layer exactly once, shares alike, the four buckets of the 2017 tool."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.analyze.plan import (
    _tail_start,
    cost,
    files_of,
    make_plan,
    next_chunk,
    share_of,
)
from hpc_remetrics.buckets import BUCKETS, bucket_of, divide
from hpc_remetrics.claimed_sizes import unique_layers
from hpc_remetrics.records import Catalog, Digest, Image, Layer


def layer(number: int, size: int) -> Layer:
    return Layer(Digest(hashlib.sha256(str(number).encode()).digest()), size, "oci_tar_gzip")


def test_files_are_estimated_by_bytes_and_by_layers_where_no_size_is_known():
    """47 TB, 5.28 billion files and 1.79 million layers were there in 2017."""
    assert files_of([layer(1, 47 * 10**11), layer(2, 0)]) == pytest.approx(5.28e8, rel=1e-3)
    assert files_of([layer(number, -1) for number in range(1792)]) == pytest.approx(
        5.28e6, rel=1e-3
    )
    assert files_of([]) == 0


sizes = st.lists(st.integers(-1, 5 * 10**9), max_size=200)


@given(sizes, st.integers(1, 70))
def test_every_layer_stands_in_the_plan_once(sizes, ranks):
    layers = [layer(number, size) for number, size in enumerate(sizes)]
    plan = make_plan(layers, ranks)
    dealt = [one for share in plan.assigned for one in share] + list(plan.tail)
    assert len(plan.assigned) == ranks
    assert sorted(one.digest for one in dealt) == sorted(one.digest for one in layers)


@given(sizes, st.integers(1, 20))
def test_shares_differ_by_no_more_than_the_dearest_layer(sizes, ranks):
    layers = [layer(number, size) for number, size in enumerate(sizes)]
    loads = [sum(map(cost, share)) for share in make_plan(layers, ranks).assigned]
    dearest = max(map(cost, layers), default=0)
    assert max(loads) - min(loads) <= dearest + 1e-6


def test_the_biggest_layers_begin_and_the_smallest_are_the_tail():
    layers = [layer(number, number * 10**6) for number in range(1, 101)]
    plan = make_plan(layers, 4)
    assert {share[0].size for share in plan.assigned} == {n * 10**6 for n in (97, 98, 99, 100)}
    assert max(one.size for one in plan.tail) <= min(
        one.size for share in plan.assigned for one in share
    )


def test_the_order_of_the_layers_does_not_matter():
    layers = [layer(number, number % 7 * 10**7) for number in range(100)]
    assert make_plan(layers, 5) == make_plan(reversed(layers), 5)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        (-1, 0),
        (0, 0),
        (50_000_000, 0),
        (50_000_001, 1),
        (10**9, 1),
        (10**9 + 1, 2),
        (2 * 10**9, 2),
        (2 * 10**9 + 1, 3),
    ],
)
def test_the_bounds_of_the_buckets(size, bucket):
    assert bucket_of(size) == bucket


def test_buckets_add_up():
    layers = [layer(number, number * 3 * 10**7) for number in range(100)]
    buckets = divide(layers)
    assert [bucket.name for bucket in buckets] == [name for name, _ in BUCKETS]
    assert sum(bucket.bytes for bucket in buckets) == sum(one.size for one in layers)


def test_a_layer_bigger_than_a_share_is_all_that_its_rank_begins_with():
    layers = [layer(0, 10**10), *(layer(number, 10**6) for number in range(1, 1000))]
    plan = make_plan(layers, 4)
    assert plan.assigned[0] == (layers[0],)
    assert all(plan.assigned)


def test_a_chunk_is_a_quarter_of_what_each_rank_would_have():
    assert next_chunk(1600.0, 4) == 100.0


def test_chunks_shrink_to_nothing():
    left, chunks = 1000.0, []
    while left > 0.1:
        chunks.append(next_chunk(left, 8))
        left -= chunks[-1]
    assert chunks == sorted(chunks, reverse=True)
    assert chunks[-1] < 0.01


def test_a_layer_of_many_images_is_planned_once_with_the_size_that_is_known():
    unknown, known = layer(1, -1), layer(1, 77)
    images = [
        Image(str(n), Digest(bytes(32)), "", "oci", (one,))
        for n, one in enumerate((unknown, known, unknown))
    ]
    assert unique_layers(Catalog(images)) == {known.digest: known}


def test_a_plan_for_no_ranks_is_refused():
    with pytest.raises(ValueError, match="at least 1 profiling rank, got 0"):
        make_plan([], 0)


@pytest.mark.parametrize(
    ("size", "seconds"), [(-1, 0.02), (0, 0.02), (10**7, 1.02), (10**9, 100.02)]
)
def test_the_cost_of_a_layer_is_a_constant_and_a_rate(size, seconds):
    assert cost(layer(0, size)) == pytest.approx(seconds)


def test_the_drawn_example():
    sizes = (90, 60, 50, 40, 30, 20, 20, 10, 10)
    plan = make_plan([layer(n, size * 10**6) for n, size in enumerate(sizes)], 2)
    assert [[one.size // 10**6 for one in layers] for layers in plan.assigned] == [[90], [60]]
    assert [one.size // 10**6 for one in plan.tail] == [50, 40, 30, 20, 20, 10, 10]


@pytest.mark.slow
@given(sizes, st.integers(1, 20))
def test_the_tail_is_as_long_as_may_be(sizes, ranks):
    plan = make_plan([layer(number, size) for number, size in enumerate(sizes)], ranks)
    whole = sum(map(cost, plan.layers))
    tail = sum(map(cost, plan.tail))
    assert tail <= 0.7 * whole + 1e-9
    assigned = [one for layers in plan.assigned for one in layers]
    if len(assigned) > ranks:
        smallest = min(map(cost, assigned))
        assert tail + smallest > 0.7 * whole - 1e-9


@pytest.mark.parametrize(
    ("tail", "start"), [(0.0, 4), (0.09, 4), (0.125, 3), (0.49, 3), (0.5, 2), (0.75, 1), (1.0, 0)]
)
def test_the_tail_begins_at_the_first_layer_that_fits(tail, start):
    """The layers cost 2, 2, 3 and 1 of 8 seconds; they need not be sorted here."""
    assert _tail_start([2.0, 2.0, 3.0, 1.0], tail) == start


def test_every_rank_begins_with_a_layer_where_there_are_enough():
    layers = [layer(number, 10**6) for number in range(5)]
    assert [len(layers) for layers in make_plan(layers, 4).assigned] == [1, 1, 1, 1]
    assert sorted(len(layers) for layers in make_plan(layers, 7).assigned) == [0, 0, 1, 1, 1, 1, 1]


def test_without_a_tail_all_is_assigned():
    layers = [layer(number, number * 10**6) for number in range(20)]
    assert make_plan(layers, 3, tail=0.0).tail == ()


@pytest.mark.slow
@given(sizes, st.integers(1, 9))
def test_the_shares_of_jobs_hold_every_layer_once(sizes, count):
    layers = [layer(number, size) for number, size in enumerate(sizes)]
    shares = [share_of(layers, number, count) for number in range(1, count + 1)]
    assert sorted(one.digest for share in shares for one in share) == sorted(
        one.digest for one in layers
    )


def test_a_plan_lists_the_assigned_layers_and_then_the_tail():
    plan = make_plan([layer(number, number * 10**6) for number in range(30)], 3)
    assert plan.layers == [*(one for layers in plan.assigned for one in layers), *plan.tail]
