"""Size buckets: which layer belongs to which, in which order."""

import pytest

from hpc_remetrics.buckets import BUCKETS, MB, bucket_of, by_size, divide, total_size
from hpc_remetrics.records import Digest, Layer


def layer(size, number=0):
    return Layer(Digest(bytes(31) + bytes([number])), size, "oci_tar")


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        (-1, 0),
        (0, 0),
        (50 * MB, 0),
        (50 * MB + 1, 1),
        (1000 * MB, 1),
        (1000 * MB + 1, 2),
        (2000 * MB, 2),
        (2000 * MB + 1, 3),
    ],
)
def test_the_bucket_of_a_size(size, bucket):
    assert MB == 1_000_000
    assert bucket_of(size) == bucket


def test_layers_are_ordered_and_divided():
    layers = [layer(60 * MB), layer(5, 2), layer(5, 1), layer(-1, 9), layer(3000 * MB)]
    assert by_size(layers) == [layers[4], layers[0], layers[2], layers[1], layers[3]]
    buckets = divide(layers)
    assert [bucket.name for bucket in buckets] == [name for name, _ in BUCKETS]
    assert [len(bucket.layers) for bucket in buckets] == [3, 1, 0, 1]
    assert buckets[0].layers == (layers[2], layers[1], layers[3])
    assert [bucket.bytes for bucket in buckets] == [10, 60 * MB, 0, 3000 * MB]
    assert total_size(layers) == 3060 * MB + 10
