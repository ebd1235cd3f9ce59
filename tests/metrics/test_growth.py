"""The growth of deduplication over random orders of the layers."""

from __future__ import annotations

import numpy as np

from hpc_remetrics.metrics.growth import ORDERS, checkpoints, growth_summary, order_of

from . import brute_force as brute


def test_a_growth_curve():
    prefixes = np.array([5, 1, 9], np.uint64)
    orders = [order_of(prefixes, order).tolist() for order in range(ORDERS)]
    digests = [int(one).to_bytes(8, "big") for one in prefixes]
    assert orders == [brute.order_of(digests, order) for order in range(ORDERS)]
    assert checkpoints(130)[[0, 1, -1]].tolist() == [1, 2, 130]
    table = {
        "layers": np.tile([1, 2], ORDERS),
        "dedup_ratio_by_count": np.tile([1.0, 2.0], ORDERS) + np.repeat(np.arange(ORDERS), 2),
        "dedup_ratio_by_capacity": np.ones(2 * ORDERS),
    }
    found = growth_summary(table)
    assert found["layers"].tolist() == [1, 2]
    assert found["dedup_ratio_by_count_mean"].tolist() == [8.5, 9.5]
    assert found["dedup_ratio_by_count_min"].tolist() == [1, 2]
    assert found["dedup_ratio_by_count_max"].tolist() == [16, 17]
    np.testing.assert_allclose(
        found["dedup_ratio_by_count_std"], np.sqrt((16**2 - 1) / 12 * 16 / 15)
    )
    assert found["dedup_ratio_by_capacity_std"].tolist() == [0, 0]


def test_checkpoints_end_with_all():
    for layers in (1, 2, 59, 61, 1000, 1_792_609):
        points = checkpoints(layers)
        assert (
            points[0] == 1
            and points[-1] == layers
            and (np.diff(points) > 0).all()
            and len(points) <= 120
        )
    assert len(checkpoints(0)) == 0
