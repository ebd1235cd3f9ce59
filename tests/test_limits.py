"""Limits: names and numbers from options, and the time that a layer has."""

import pytest

from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import Limits


def test_numbers_are_taken_in_their_type():
    limits = Limits.from_options({"entries": "1_000", "type_seconds": "2.5", "ratio": 7})
    assert (limits.entries, limits.type_seconds, limits.ratio) == (1000, 2.5, 7)
    assert isinstance(limits.entries, int)
    assert limits.layer_bytes == Limits().layer_bytes
    assert Limits.from_options({"entries": "1e6"}).entries == 1_000_000
    assert Limits.from_options({}) == Limits()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("entrys", 1, "unknown limit 'entrys'; choose from header_bytes, path_bytes, entries"),
        ("entries", "many", "limit entries: 'many' is not a number"),
        ("entries", "inf", "limit entries: 'inf' is not a number"),
        ("entries", "nan", "limit entries: 'nan' is not a number"),
        ("entries", 0, "limit entries: 0 is not above 0"),
        ("entries", "0.5", "limit entries: '0.5' is not above 0"),
        ("type_seconds", -1, "limit type_seconds: -1 is not above 0"),
    ],
)
def test_what_is_wrong_is_named(name, value, message):
    with pytest.raises(UsageError) as caught:
        Limits.from_options({name: value})
    assert str(caught.value).startswith(message)


def test_a_large_layer_has_more_time():
    limits = Limits(layer_seconds=60.0, layer_bytes_per_second=1000)
    assert [limits.layer_time(size) for size in (-1, 0, 5000)] == [60.0, 60.0, 65.0]
