"""Limits: names and numbers from `--limit`, and the time that a layer has."""

import argparse

import pytest

from hpc_remetrics.config import LimitOptions
from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import Limits
from hpc_remetrics.options import build, flag_values


def limits_of(*pairs: str) -> Limits:
    arguments = argparse.Namespace(limit=list(pairs))
    return build(LimitOptions, flag_values(LimitOptions, arguments)).limits


def test_numbers_are_taken_in_their_type():
    limits = limits_of("entries=1_000", "type_seconds=2.5", "ratio=7")
    assert (limits.entries, limits.type_seconds, limits.ratio) == (1000, 2.5, 7)
    assert isinstance(limits.entries, int)
    assert limits.layer_bytes == Limits().layer_bytes
    assert limits_of("entries=1e6").entries == 1_000_000
    assert limits_of() == Limits()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("entrys=1", "--limit: unknown limit 'entrys'; did you mean 'entries'? known: header_byt"),
        ("entries=many", "--limit entries is 'many', not a whole number above 0"),
        ("entries=inf", "--limit entries is 'inf', not a whole number above 0"),
        ("entries=nan", "--limit entries is 'nan', not a whole number above 0"),
        ("entries=0", "--limit entries is '0', not a whole number above 0"),
        ("entries=0.5", "--limit entries is '0.5', not a whole number above 0"),
        ("type_seconds=-1", "--limit type_seconds is '-1', not a number above 0"),
    ],
)
def test_what_is_wrong_is_named(pair, message):
    with pytest.raises(UsageError) as caught:
        limits_of(pair)
    assert str(caught.value).startswith(message)


def test_a_large_layer_has_more_time():
    limits = Limits(layer_seconds=60.0, layer_bytes_per_second=1000)
    assert [limits.layer_time(size) for size in (-1, 0, 5000)] == [60.0, 60.0, 65.0]
